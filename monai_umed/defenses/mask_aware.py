"""Defenses that use the published masks, which reveal where the files were changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..functional.contour_band import contour_band, half_widths
from ..functional.filters import gaussian_blur
from .base import Defense, Items, Materials

REGIONS = ("mask", "image")
CUT = 3  # standard deviations after which a Gaussian is cut off
DOUBT = 1e-7  # distance of a certain prediction from 1, about the smallest that float32 can represent there

Filter = Callable[[torch.Tensor], torch.Tensor]


def grown(label: torch.Tensor, band: int) -> torch.Tensor:
    """Return the foreground of class numbers ``(1, *spatial)`` and all within ``band`` pixels of it, boolean."""
    foreground = label > 0
    return foreground | contour_band(foreground, (band,) * (label.ndim - 1))


def faded(region: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return weights that are 1 on a region ``(1, *spatial)`` and fall to 0 within six ``sigma``, in pixels."""
    reach = math.ceil(CUT * sigma)
    return gaussian_blur(grown(region, reach).to(torch.float32), sigma, 2 * reach + 1)


def changed(items: Items, change: Filter, weigh: Filter) -> Items:
    """Return new items whose images are blended with changed ones, by weights that depend on the label.

    Args:
        items: dictionaries with ``image`` ``(C, *spatial)`` in [0, 1] and ``label`` ``(1, *spatial)``.
        change: maps an image to another one of the same shape and range.
        weigh: maps a label to the weights of the changed image, ``(1, *spatial)`` in [0, 1].
    """

    def blend(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return torch.lerp(image, change(image), weigh(label).to(image).expand_as(image)).clamp(0, 1)

    return [{**item, "image": blend(item["image"], item["label"])} for item in items]


def _check_band(band: int) -> None:
    if band != int(band) or band < 0:
        raise ValueError(f"band is {band}; it must be a whole number of pixels, 0 or more.")


@dataclass(frozen=True)
class DenoiseInMask(Defense):
    """Gaussian smoothing of training images where they were changed; test images are not smoothed.

    Smoothness that follows the mask is itself a stamp, which test images lack, and a seam around it would be the
    strongest. So smoothing uses the pixels on both sides of the border and fades out over six sigma. A difference in
    texture remains, which ``region="image"`` removes, at the cost of details outside.

    Args:
        sigma: standard deviation of the Gaussian in pixels.
        band: assumed distance of changed pixels from the foreground, in pixels.
        region: ``"mask"`` for foreground and band, ``"image"`` for the whole image.
    """

    sigma: float = 1.0
    band: int = 2
    region: str = "mask"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma is {self.sigma}; it must be positive, in pixels.")
        _check_band(self.band)
        if self.region not in REGIONS:
            raise ValueError(f"region is {self.region!r}; use one of {', '.join(REGIONS)}.")

    def prepare(self, items: Items, materials: Materials) -> Items:
        kernel = 2 * math.ceil(CUT * self.sigma) + 1
        weigh = torch.ones_like if self.region == "image" else lambda label: faded(grown(label, self.band), self.sigma)
        return changed(items, lambda image: gaussian_blur(image, self.sigma, kernel), weigh)


@dataclass(frozen=True)
class QuantizeInMask(Defense):
    """Rounding of training images to fewer levels where they were changed; test images are not rounded.

    No pixel changes by more than half a step, which also limits seams.

    Args:
        levels: distance of the remaining levels, in 1/255.
        band: see :class:`DenoiseInMask`.
    """

    levels: int = 8
    band: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.levels <= 255:
            raise ValueError(f"levels is {self.levels}; it must be above 0 and at most 255.")
        _check_band(self.band)

    def prepare(self, items: Items, materials: Materials) -> Items:
        step = self.levels / 255
        return changed(items, lambda image: (image / step).round() * step, lambda label: grown(label, self.band))


@dataclass(frozen=True)
class IgnoreBorder(Defense):
    """Training without the contour band, where the loss gets the label itself instead of the network's output.

    There, cross-entropy is the entropy of the label, 0 except for soft labels, Dice counts the band as found, and
    gradients are zero. A soft label has a band wherever it changes, for example around both of two mixed masks.

    Args:
        radius: half-width of the band in pixels, a positive whole number.
    """

    radius: int = 2

    def __post_init__(self) -> None:
        half_widths(self.radius, 2)

    def prediction(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        levels = (label * 255).round().to(torch.uint8)
        band = contour_band(levels, half_widths(self.radius, label.ndim - 2)).any(dim=1, keepdim=True)
        certain = label.clamp(DOUBT, 1 - DOUBT)
        certain = certain.logit() if label.shape[1] == 1 else certain.log()
        return torch.where(band, certain.to(logits), logits)
