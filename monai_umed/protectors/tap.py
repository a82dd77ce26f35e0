"""Targeted adversarial poison: to a network, every image looks like the wrong segmentation (arXiv 2106.10807)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from .surrogate import Loss
from .targeted import TargetedProtector


class TAP(TargetedProtector):
    r"""Targeted adversarial poison (Fowl et al. 2021, NeurIPS, arXiv 2106.10807).

    .. math:: \min_{|d| \le b} L(f(x + d), (y + 1) \bmod K)

    A surrogate :math:`f` is trained on the clean images. Then signed gradients move each image so that the surrogate
    predicts the wrong one of :math:`K` classes in every pixel. The noise contains features of the wrong class, so a
    network that learns from them errs on clean images.

    Differs from the paper: cross-entropy plus Dice of every pixel; the surrogate is trained like an exploiter's
    network, without augmentation, and the descent has no random transforms; one uniform start instead of the best of
    eight; 40 steps of eps/20 instead of 250, to save time on CPUs.

    Args:
        epochs, noise_steps, noise_step, options: see :class:`TargetedProtector`.
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
