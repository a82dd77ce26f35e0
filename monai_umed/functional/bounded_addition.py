"""Check a perturbation bound, and add noise to an image within it.

A method may clip its noise while it computes it, and :mod:`monai_umed.io.quantize` clips again in the units of a file.
"""

from __future__ import annotations

import torch


class _StraightThroughClamp(torch.autograd.Function):
    """A clamp whose gradient is that of the identity, so that a saturated generator can still recover."""

    @staticmethod
    def forward(ctx, values, low, high):  # type: ignore[no-untyped-def]
        return torch.minimum(torch.maximum(values, low), high)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient, None, None


def add_bounded(image: torch.Tensor, noise: torch.Tensor, bound: torch.Tensor) -> torch.Tensor:
    """Add ``noise`` to ``image`` so that no pixel changes by more than ``bound`` or leaves [0, 1] (UMed, Eq. 4-6).

    Args:
        image: intensities in [0, 1], shape ``(..., C, *spatial)``; pixels outside [0, 1] are returned unchanged.
        noise: perturbation in the same units, broadcastable to the image.
        bound: largest absolute change per pixel, not negative, broadcastable to the image.

    Returns:
        The perturbed image. The gradient with respect to the noise passes through both clips unchanged.
    """
    low = torch.maximum(-bound, -image).clamp(max=0)
    high = torch.minimum(bound, 1 - image).clamp(min=0)
    darkest, brightest = torch.aminmax(image) if image.numel() else (0, 1)
    if not (darkest >= 0 and brightest <= 1):  # or a value is NaN
        outside = (image < 0) | (image > 1)
        low, high = low.masked_fill(outside, 0), high.masked_fill(outside, 0)
    return image + _StraightThroughClamp.apply(noise.expand_as(image), low, high)
