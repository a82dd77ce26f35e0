"""Targeted adversarial poison: every image looks to a network like the wrong segmentation (arXiv 2106.10807)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from .surrogate import Loss
from .targeted import TargetedProtector


class TAP(TargetedProtector):
    r"""Targeted adversarial poison (Fowl et al. 2021, NeurIPS, arXiv 2106.10807).

    .. math:: \min_{|d| \le b} L(f(x + d), (y + 1) \bmod K)

    A surrogate :math:`f` is trained on the clean images. Then each image is moved by signed gradients to where the
    surrogate finds the wrong one of :math:`K` classes in every pixel: of two classes the other one. The noise holds
    features of the wrong class, so a network that learns from them errs on clean images.

    Differs from the paper: cross-entropy plus Dice of every pixel; the surrogate is trained like an exploiter's
    network, without augmentation, and there are no random transforms in the descent; one start, uniform, instead of
    the best of eight; 40 steps of eps/20 instead of 250, for the time that they take on a CPU.

    Args:
        epochs: of the surrogate.
        noise_steps: gradients per image.
        noise_step: length of a step as a share of eps.
        options: what :class:`SurrogateProtector` takes.

    Raises:
        ValueError: If an argument is out of range, or the bound holds a band measured in mm.
    """

    paper: ClassVar[str] = "Fowl et al. 2021, arXiv 2106.10807"

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        epochs: int = 15,
        noise_steps: int = 40,
        noise_step: float = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(
            spatial_dims, in_channels, epochs=epochs, noise_steps=noise_steps, noise_step=noise_step, **options
        )

    def objective(self, wrong: torch.Tensor) -> Loss:
        return self.loss(self.networks[0], self.target(wrong))
