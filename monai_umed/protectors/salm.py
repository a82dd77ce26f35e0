"""Sparsity-aware local masking: error-minimizing noise on the few pixels that matter (arXiv 2403.10573)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from ..functional.projected_gradient import minimize
from .sample_wise import SampleWiseProtector


def largest(score: torch.Tensor, share: float) -> torch.Tensor:
    """The pixels of largest score, of every case as many as ``share`` of all its pixels, rounded down, at least one.

    Args:
        score: not negative, ``(B, 1, *spatial)``; pixels of score 0 are never among them.
        share: in (0, 1].

    Returns:
        A mask of the score's shape, True for these pixels. Of equal scores those with lower index come first.
    """
    flat = score.flatten(1)
    order = flat.argsort(dim=1, descending=True, stable=True)
    kept = order[:, : max(1, int(share * flat.shape[1]))]
    return (torch.zeros_like(flat, dtype=torch.bool).scatter_(1, kept, True) & (flat > 0)).reshape(score.shape)


class SALM(SampleWiseProtector):
    """Error-minimizing noise on the most salient pixels of each case (Sun et al. 2024, arXiv 2403.10573); our reading.

    The paper perturbs selected pixels only, because medical images are sparse; how it selects them was not at hand.
    Here a pixel's score is the surrogate's gradient summed over channels, ``sum_c |dL/dx_c|``, within the bound;
    the support is chosen anew in every turn and holds for all steps of it, so that no case ever has more changed pixels
    than its share. That is also true of the file: where noise is resampled to the image's size, it is cut back to
    the support and to the share of the file's own pixels.

    Differs from the paper beyond that: as :class:`monai_umed.protectors.em.EM`.

    Args:
        share: pixels that may change, of all pixels of an image.
        options: what :class:`SampleWiseProtector` takes.
    """

    paper: ClassVar[str] = "Sun et al. 2024, arXiv 2403.10573 (our reading)"

    def __init__(self, spatial_dims: int, in_channels: int, share: float = 0.2, **options: Any) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        if not 0 < share <= 1:
            raise ValueError(f"share is {share}; it must be above 0 and at most 1, a share of an image's pixels.")
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
        if not self.native:  # resampling has smeared the support
            own = self.raw(image, label, case_id).ne(0).any(dim=0)[None, None].to(noise)
            score = score * F.interpolate(own, size=noise.shape[1:], mode="nearest")
        return noise * largest(score, self.share)[0]
