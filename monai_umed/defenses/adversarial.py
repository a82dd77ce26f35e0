"""Training on the hardest variants of each image: adversarial training, and the worst of several augmentations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..functional.projected_gradient import minimize
from .base import Defense, Objective
from .strong_augmentation import strong_augmentation


def projected_ascent(
    image: torch.Tensor,
    label: torch.Tensor,
    objective: Objective,
    *,
    radius: float,
    steps: int,
    step: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Climb the loss near every image by signed gradients, from a random start (Madry et al. 2018, Sec. 2.1).

    No gradient reaches the network's parameters.

    Args:
        image: ``(B, C, *spatial)`` in [0, 1].
        label: what ``objective`` takes.
        objective: loss of every case, ``(B,)``, differentiable in the image.
        radius: largest change of any pixel, a share of the [0, 1] window.
        steps: gradients per image.
        step: length of a step in the units of ``radius``.
        generator: source of randomness, on the CPU.

    Returns:
        A tensor of the image's shape, in [0, 1] and without history.
    """
    start = (2 * torch.rand(image.shape, generator=generator) - 1).to(image)
    return minimize(
        lambda adversary: -objective(adversary, label), image, radius, steps=steps, step_size=step, start=radius * start
    )


@dataclass(frozen=True)
class AdversarialTraining(Defense):
    """Adversarial images instead of the files', all of them (Madry et al. 2018, arXiv 1706.06083).

    Args:
        radius: largest change of any pixel, a share of the [0, 1] window. What the files were changed by can only be
            covered if it is no larger.
        steps: gradients per image; training takes so many times longer.
        step: length of a step as a share of the radius.

    Raises:
        ValueError: If an argument is out of range.
    """

    radius: float
    steps: int = 5
    step: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.radius <= 1:
            raise ValueError(
                f"radius is {self.radius}; it must be above 0 and at most 1, a share of the [0, 1] window."
            )
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be at least 1.")
        if not (math.isfinite(self.step) and self.step > 0):
            raise ValueError(f"step is {self.step}; it must be positive, a share of the radius.")

    def batch(
        self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        step = self.step * self.radius
        return projected_ascent(
            image, label, objective, radius=self.radius, steps=self.steps, step=step, generator=generator
        ), label


@dataclass(frozen=True)
class WorstOf(Defense):
    """Of several strong augmentations the one with the largest loss (UEraser, Qin et al. 2023, arXiv 2303.15127).

    The paper takes a single draw once the first part of the training is over; here the worst one is taken throughout.

    Args:
        draws: augmentations per case; 1 is the paper's fast variant, without a choice.
        probability: of plasma brightness, plasma contrast and shuffled colors, each.

    Raises:
        ValueError: If an argument is out of range.
    """

    draws: int = 5
    probability: float = 0.5

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}; it must be at least 1.")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it must be between 0 and 1.")

    def batch(
        self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        worst = strong_augmentation(image, label, self.probability, generator)
        if self.draws == 1:
            return worst
        with torch.no_grad():
            largest = objective(*worst)
            for _ in range(self.draws - 1):
                draw = strong_augmentation(image, label, self.probability, generator)
                loss = objective(*draw)
                harder = (loss > largest).reshape(-1, *[1] * (image.ndim - 1))
                worst = torch.where(harder, draw[0], worst[0]), torch.where(harder, draw[1], worst[1])
                largest = torch.maximum(loss, largest)
        return worst
