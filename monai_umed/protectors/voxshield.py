"""Noise that shifts a surrogate's logits and changes from slice to slice, in the manner of VoxShield (2605.17345)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from ..training.precision import AutocastInferer
from .generated import GeneratedProtector

LOGIT_LIMIT = 10.0


def slice_spectrum_distance(noise: torch.Tensor) -> torch.Tensor:
    """Return how much the spectra of neighboring slices differ: root mean square over frequencies, mean over pairs.

    The Fourier transform keeps energy, so that the number does not depend on the size of the slices.

    Args:
        noise: ``(B, C, H, W, D)``, in units of about its bound; slices are along the last axis.

    Returns:
        A scalar; zero for a single slice.
    """
    if noise.shape[-1] < 2:
        return noise.new_zeros(())
    magnitudes = torch.fft.fft2(noise.float(), dim=(2, 3), norm="ortho").abs()
    # The gradient of a root is infinite at zero, where equal slices start.
    return (magnitudes.diff(dim=-1).square().mean(dim=(2, 3)) + 1e-12).sqrt().mean()


class VoxShield(GeneratedProtector):
    r"""A generator in the foreground with two more terms in its loss (VoxShield 2026, arXiv 2605.17345).

    Surrogate and generator minimize :math:`L(f(x + d), y)` in turn, the generator in addition

    .. math:: -w_s Z(d) - w_l \, \mathrm{mean} |f(x + d) - f(x)|

    where :math:`Z` is :func:`slice_spectrum_distance` of the noise in units of eps: the noise shall change the
    surrogate's logits, and differ between slices. In 2D, :math:`Z` is zero.

    Differs from the paper: :math:`Z` is a root mean square, independent of the size; small U-Nets with Adam at 1e-3;
    at most 12 turns after 10 steps of the surrogate each, instead of 100. A logit's difference counts up to 10, where a
    network is certain of either class; without a limit, it would grow forever.

    Args:
        spectrum_weight: :math:`w_s`.
        logit_weight: :math:`w_l`.
        options: see :class:`GeneratedProtector`.
    """

    paper: ClassVar[str] = "VoxShield 2026, arXiv 2605.17345 (in its manner)"
    default_bound: ClassVar[str] = "roi"

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        spectrum_weight: float = 0.2,
        logit_weight: float = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        for name, weight in (("spectrum_weight", spectrum_weight), ("logit_weight", logit_weight)):
            if not 0 <= weight < float("inf"):
                raise ValueError(f"{name} is {weight}; it must be at least 0.")
        self.spectrum_weight = spectrum_weight
        self.logit_weight = logit_weight

    def generator_loss(
        self, surrogate: torch.nn.Module, image: torch.Tensor, label: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        inferer = AutocastInferer(self.amp)
        moved, still = inferer(image + noise, surrogate), inferer(image, surrogate)
        divergence = (moved - still).abs().clamp(max=LOGIT_LIMIT).mean()
        spectrum = slice_spectrum_distance(noise / self.eps) if self.spatial_dims == 3 else noise.new_zeros(())
        learned = self.criterion()(moved, self.target(label))
        return learned - self.spectrum_weight * spectrum - self.logit_weight * divergence
