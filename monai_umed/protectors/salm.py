"""Sparsity-aware local masking: error-minimizing noise on the most salient pixels (arXiv 2403.10573)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from ..functional.projected_gradient import minimize
from .sample_wise import SampleWiseProtector


def largest(score: torch.Tensor, share: float) -> torch.Tensor:
    """Select the pixels of every case with the largest scores.

    Args:
        score: scores ``(B, 1, *spatial)``, not negative; pixels of score 0 are never selected.
        share: fraction of a case's pixels to select, in (0, 1], rounded down, but at least one pixel.

    Returns:
        A mask of the score's shape. Among equal scores, pixels of lower index are selected first.
    """
    flat = score.flatten(1)
    order = flat.argsort(dim=1, descending=True, stable=True)
    kept = order[:, : max(1, int(share * flat.shape[1]))]
    return (torch.zeros_like(flat, dtype=torch.bool).scatter_(1, kept, True) & (flat > 0)).reshape(score.shape)


class SALM(SampleWiseProtector):
    """Error-minimizing noise on the most salient pixels of each case (Sun et al. 2024, arXiv 2403.10573); our reading.

    The paper perturbs selected pixels only, because medical images are sparse; how it selects them was not available.
    Here a pixel's score is the surrogate's gradient, ``sum_c |dL/dx_c|``, within the bound. Pixels are selected again
    in every turn and kept for all its steps, so that a case never has more changed pixels than ``share``. The same
    holds for the file: noise that was resampled to the image's size is cut back to the selection and to ``share`` of
    the file's own pixels. Otherwise it differs from the paper like :class:`monai_umed.protectors.em.EM`.

    Args:
        share: fraction of an image's pixels that may change.
        options: see :class:`SampleWiseProtector`.
    """

    paper: ClassVar[str] = "Sun et al. 2024, arXiv 2403.10573 (our reading)"

    def __init__(self, spatial_dims: int, in_channels: int, share: float = 0.2, **options: Any) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        if not 0 < share <= 1:
            raise ValueError(f"share is {share}; it must be above 0 and at most 1, a fraction of an image's pixels.")
        self.share = share

    def move(
        self,
        network: torch.nn.Module,
        image: torch.Tensor,
        label: torch.Tensor,
        bound: torch.Tensor,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        loss = self.loss(network, self.target(label))
        with torch.enable_grad():
            seen = (image + noise).requires_grad_()
            (gradient,) = torch.autograd.grad(loss(seen), seen)
        salient = largest(gradient.abs().sum(dim=1, keepdim=True) * (bound > 0), self.share)
        return minimize(
            loss, image, bound * salient, steps=self.noise_steps, step_size=self.noise_step * self.eps, start=noise
        )

    def noise(
        self, image: torch.Tensor, label: torch.Tensor, bounds: torch.Tensor, case_id: str | None
    ) -> torch.Tensor:
        noise = super().noise(image, label, bounds, case_id)
        score = noise.abs().amax(dim=0)[None, None]
        if not self.native:  # resampling has spread the noise beyond the selection
            own = self.raw(image, label, case_id).ne(0).any(dim=0)[None, None].to(noise)
            score = score * F.interpolate(own, size=noise.shape[1:], mode="nearest")
        return noise * largest(score, self.share)[0]
