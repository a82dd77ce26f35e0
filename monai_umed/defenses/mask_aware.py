"""Defenses that use the published masks, which tell where the files were changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..functional import contour_band, half_widths
from ..functional.filters import gaussian_blur
from .base import Defense, Items, Materials

REGIONS = ("mask", "image")
CUT = 3  # standard deviations after which a Gaussian ends
DOUBT = 1e-7  # of a certain prediction: about the least that float32 can tell from none next to 1

Filter = Callable[[torch.Tensor], torch.Tensor]


def grown(label: torch.Tensor, band: int) -> torch.Tensor:
    """The foreground of class numbers ``(1, *spatial)`` and what lies within ``band`` pixels of it, boolean."""
    foreground = label > 0
    return foreground | contour_band(foreground, (band,) * (label.ndim - 1))


def faded(region: torch.Tensor, sigma: float) -> torch.Tensor:
    """Weights that are 1 on a region ``(1, *spatial)`` and fall smoothly to 0 within six ``sigma`` of it, in pixels."""
    reach = math.ceil(CUT * sigma)
    return gaussian_blur(grown(region, reach).to(torch.float32), sigma, 2 * reach + 1)


def changed(items: Items, change: Filter, weigh: Filter) -> Items:
    """New items in whose images ``change`` counts as much as the weight says that ``weigh`` makes of the label.

    Args:
        items: with ``image`` ``(C, *spatial)`` in [0, 1] and ``label`` ``(1, *spatial)``.
        change: from one image to another of the same shape and range.
        weigh: from a label to weights ``(1, *spatial)`` in [0, 1].
    """

    def blend(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return torch.lerp(image, change(image), weigh(label).to(image).expand_as(image)).clamp(0, 1)

    return [{**item, "image": blend(item["image"], item["label"])} for item in items]


def _check_band(band: int) -> None:
    if band != int(band) or band < 0:
        raise ValueError(f"band is {band}; it must be a whole number of pixels, 0 or more.")


@dataclass(frozen=True)
class DenoiseInMask(Defense):
    """Training images smoothed by a Gaussian where they were changed, and nowhere else; test images stay as they are.

    Smoothness that follows the mask is a stamp itself, and one that is missing on test images; a seam around it would
    be the strongest one. So the smoothing sees the pixels on both sides of the border and fades out over six sigma.
    What remains is the difference in texture, which ``region="image"`` takes away, at the price of details outside.

    Args:
        sigma: of the Gaussian, in pixels.
        band: how far from the foreground the files are taken to be changed, in pixels.
        region: ``"mask"``, foreground and band; ``"image"``, everywhere.

    Raises:
        ValueError: If an argument is out of range.
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
    """Training images with their low bits rounded away where they were changed; test images stay as they are.

    No pixel moves by more than half a step, so that no seam is larger than that.

    Args:
        levels: distance of the values that remain, in 1/255.
        band: how far from the foreground the files are taken to be changed, in pixels.

    Raises:
        ValueError: If an argument is out of range.
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
    """Training without the contour band: there the loss sees the label itself instead of the network's output.

    So cross-entropy is nothing more than the entropy of the label, 0 but for soft ones, Dice counts the band as found,
    and no gradient comes from it. A soft label has a band wherever it changes, around either of two mixed masks.

    Args:
        radius: of the band, in pixels to each side of the border between two classes.

    Raises:
        ValueError: If the radius is not a positive whole number.
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
