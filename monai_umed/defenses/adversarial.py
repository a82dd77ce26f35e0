"""Train on the hardest variants of each image: adversarial training, and the worst of several augmentations."""

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
    """Maximize the loss near every image by signed gradients, from a random start (Madry et al. 2018, Sec. 2.1).

    Args:
        image: ``(B, C, *spatial)`` in [0, 1].
        label: label for ``objective``.
        objective: loss of every case, ``(B,)``, differentiable in the image.
        radius: largest change of any pixel, as a fraction of the [0, 1] window.
        steps: gradient steps per image.
        step: length of a step, as a fraction of the [0, 1] window.
        generator: random generator on the CPU.

    Returns:
        Images of the same shape in [0, 1], see :func:`monai_umed.functional.projected_gradient.minimize`.
    """
    start = (2 * torch.rand(image.shape, generator=generator) - 1).to(image)
    return minimize(
        lambda adversary: -objective(adversary, label), image, radius, steps=steps, step_size=step, start=radius * start
    )


@dataclass(frozen=True)
class AdversarialTraining(Defense):
    """Train on adversarial images only (Madry et al. 2018, arXiv 1706.06083).

    Args:
        radius: largest change of any pixel, as a fraction of the [0, 1] window; it can only cover perturbations that
            are not larger.
        steps: gradient steps per image, each of which takes about as long as a step of ordinary training.
        step: length of a step as a fraction of the radius.
    """

    radius: float
    steps: int = 5
    step: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.radius <= 1:
            raise ValueError(
                f"radius is {self.radius}; it must be above 0 and at most 1, a fraction of the [0, 1] window."
            )
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be at least 1.")
        if not (math.isfinite(self.step) and self.step > 0):
            raise ValueError(f"step is {self.step}; it must be positive, a fraction of the radius.")

    def batch(
        self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        step = self.step * self.radius
        return projected_ascent(
            image, label, objective, radius=self.radius, steps=self.steps, step=step, generator=generator
        ), label


@dataclass(frozen=True)
class WorstOf(Defense):
    """Train on the strong augmentation with the largest loss (UEraser, Qin et al. 2023, arXiv 2303.15127).

    The paper draws only once after the first part of the training; here the worst draw is used throughout.

    Args:
        draws: augmentations per case; 1 is the paper's fast variant.
        probability: see :func:`monai_umed.defenses.strong_augmentation.strong_augmentation`.
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
