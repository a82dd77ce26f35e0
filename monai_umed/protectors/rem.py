"""Robust error-minimizing noise, which is designed to withstand adversarial training (REM and SEM)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from monai.networks.layers import GaussianFilter

from ..defenses import Composed, Defense, Objective
from ..defenses.adversarial import AdversarialTraining
from ..functional.projected_gradient import minimize
from .sample_wise import SampleWiseProtector
from .surrogate import Loss, check_counts, check_positive

BLUR = (0.3, 1.0)
"""Smallest and largest sigma of random blur, in pixels of the working grid."""


def random_view(
    image: torch.Tensor, label: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Randomly flip each axis of a batch and blur its images, differentiably.

    Args:
        image: ``(B, C, *spatial)`` in [0, 1].
        label: ``(B, any, *spatial)``, flipped like the image.
        generator: random generator on the CPU; one draw serves the whole batch.
    """
    draw = torch.rand(image.ndim, generator=generator).tolist()
    flipped = [axis for axis in range(2, image.ndim) if draw[axis] < 0.5]
    if draw[0] < 0.5:
        image = GaussianFilter(image.ndim - 2, BLUR[0] + draw[1] * (BLUR[1] - BLUR[0])).to(image.device)(image)
    return image.flip(flipped), label.flip(flipped)


class RandomViews(Defense):
    """Training on :func:`random_view` of every batch."""

    def batch(
        self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return random_view(image, label, generator)


class RobustProtector(SampleWiseProtector, ABC):
    """Noise that minimizes the loss of disturbed random views.

    The surrogate is trained adversarially on random views of the protected images, with a radius below eps.

    Args:
        radius: largest disturbance as a fraction of eps; the papers use half of it.
        attack_steps: gradient steps of an adversarial disturbance.
        attack_step: length of a step as a fraction of the radius.
        views: random views per gradient of the noise.
        options: see :class:`SampleWiseProtector`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        radius: float = 0.5,
        attack_steps: int = 2,
        attack_step: float = 0.5,
        views: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        check_counts(attack_steps=attack_steps, views=views)
        check_positive(attack_step=attack_step)
        if not 0 < radius < 1:
            raise ValueError(
                f"radius is {radius}; it must be above 0 and below 1, a fraction of eps: noise cannot withstand a "
                "disturbance of its own size."
            )
        self.radius = radius
        self.attack_steps = attack_steps
        self.attack_step = attack_step
        self.views = views

    def training(self) -> Defense:
        radius = self.radius * self.eps
        return Composed([RandomViews(), AdversarialTraining(radius, self.attack_steps, self.attack_step)])

    @abstractmethod
    def disturbed(self, view: torch.Tensor, loss: Loss, radius: float, start: torch.Tensor) -> torch.Tensor:
        """Return a disturbed view, as an exploiter's training may see it.

        Args:
            view: ``(B, C, *size)``, detached.
            loss: loss of the surrogate for the view.
            radius: largest disturbance in [0, 1] units.
            start: uniform noise within the radius.
        """

    def begin(self, items: list[dict]) -> None:
        super().begin(items)
        self._draws = self.generator("views")

    def finish(self, items: list[dict]) -> None:
        super().finish(items)
        del self._draws

    def move(
        self,
        network: torch.nn.Module,
        image: torch.Tensor,
        label: torch.Tensor,
        bound: torch.Tensor,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        radius, target = self.radius * self.eps, self.target(label)

        def worst(perturbed: torch.Tensor) -> torch.Tensor:
            view, turned = random_view(perturbed, target, self._draws)
            loss = self.loss(network, turned)
            start = radius * (2 * torch.rand(view.shape, generator=self._draws) - 1).to(view)
            # The gradient at the disturbed view stands for that at the view.
            disturbance = self.disturbed(view.detach(), loss, radius, start) - view.detach()
            return loss(view + disturbance)

        def objective(perturbed: torch.Tensor) -> torch.Tensor:
            return torch.stack([worst(perturbed) for _ in range(self.views)]).mean()

        return minimize(
            objective, image, bound, steps=self.noise_steps, step_size=self.noise_step * self.eps, start=noise
        )


class REM(RobustProtector):
    r"""Robust error-minimizing noise (Fu et al. 2022, ICLR, arXiv 2203.14533).

    .. math:: \min_\theta \min_{|d| \le b} E_t \max_{|a| \le r} L(f_\theta(t(x + d) + a), t(y))

    The noise minimizes the loss at the worst disturbance of a random view, found by the surrogate's gradients.

    Differs from the paper: cross-entropy plus Dice of every pixel; views are flips and blur, one draw per batch,
    instead of crops and flips per image; a U-Net with Adam; 1 view, 2 steps of the disturbance and 3 of the noise in
    at most 8 turns, instead of 5, 10 and 10 over 5000 steps, to save time on CPUs; no final pass over all images after
    the last turn; eps as in all methods instead of 8/255.
    """

    paper: ClassVar[str] = "Fu et al. 2022, arXiv 2203.14533"

    def __init__(
        self, spatial_dims: int, in_channels: int, rounds: int = 8, noise_steps: int = 3, **options: Any
    ) -> None:
        super().__init__(spatial_dims, in_channels, rounds=rounds, noise_steps=noise_steps, **options)

    def disturbed(self, view: torch.Tensor, loss: Loss, radius: float, start: torch.Tensor) -> torch.Tensor:
        return minimize(
            lambda at: -loss(at),
            view,
            radius,
            steps=self.attack_steps,
            step_size=self.attack_step * radius,
            start=start,
        )


class SEM(RobustProtector):
    """Stable error-minimizing noise (Liu et al. 2024, AAAI, arXiv 2311.13091).

    Like :class:`REM`, but the noise minimizes the loss at one random disturbance instead of the worst one, which is
    cheaper and, in the paper, more robust; the surrogate is still trained adversarially.

    Differs from the paper like :class:`REM`, except for the number of turns.
    """

    paper: ClassVar[str] = "Liu et al. 2024, arXiv 2311.13091"

    def disturbed(self, view: torch.Tensor, loss: Loss, radius: float, start: torch.Tensor) -> torch.Tensor:
        return (view + start).clamp(0, 1)
