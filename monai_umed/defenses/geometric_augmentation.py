"""Random geometric transforms of image and label, drawn for every item in every epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from monai.transforms import RandAffined, RandFlipd, RandSpatialCropd, RandZoomd, SpatialPadd, Transform

from .augment import BOTH, LINEAR, Augment
from .base import Defense, Materials


def crop_transforms(size: tuple[int, ...], fraction: float) -> list[Transform]:
    """Return the transforms of :class:`RandomCrop` for one size."""
    box = [max(1, round(fraction * length)) for length in size]
    return [RandSpatialCropd(BOTH, roi_size=box, random_size=False), SpatialPadd(BOTH, spatial_size=size)]


def affine_transforms(size: tuple[int, ...], degrees: float, scale: tuple[float, float]) -> list[Transform]:
    """Return the transforms of :class:`Affine` for one size."""
    angle, axes = math.radians(degrees), 1 if len(size) == 2 else 3
    return [
        RandAffined(BOTH, prob=1, rotate_range=(angle,) * axes, mode=("bilinear", "nearest"), padding_mode="zeros"),
        # RandAffined would draw one factor for each axis.
        RandZoomd(
            BOTH,
            prob=1,
            min_zoom=scale[0],
            max_zoom=scale[1],
            mode=(LINEAR[len(size)], "nearest-exact"),
            padding_mode="constant",
        ),
    ]


def flip_transforms(size: tuple[int, ...]) -> list[Transform]:
    """Return the transforms of :class:`Flips` for one size."""
    return [RandFlipd(BOTH, prob=0.5, spatial_axis=axis) for axis in range(len(size))]


@dataclass(frozen=True)
class RandomCrop(Defense):
    """A random crop, padded with black to the image's size.

    Patterns thus move by whole pixels, and networks cannot find them at the same pixels of the grid every time.

    Args:
        fraction: fraction of every side of the image that is kept, between 0 and 1.
    """

    fraction: float = 0.875

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise ValueError(f"fraction is {self.fraction!r}; it must be between 0 and 1, for example 0.875.")

    def augmentation(self, materials: Materials) -> list[Transform]:
        return [Augment(partial(crop_transforms, fraction=self.fraction))]


@dataclass(frozen=True)
class Affine(Defense):
    """A random rotation, about every axis in 3D, and a random zoom; pixels from outside are 0.

    Args:
        degrees: largest rotation in either direction.
        scale: smallest and largest factor by which structures grow.
    """

    degrees: float = 20
    scale: tuple[float, float] = (0.8, 1.25)

    def __post_init__(self) -> None:
        if not 0 < self.degrees <= 180:
            raise ValueError(f"degrees is {self.degrees!r}; it must be above 0 and at most 180.")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(
                f"scale is {self.scale!r}; give two positive factors, the smaller one first, for example (0.8, 1.25)."
            )

    def augmentation(self, materials: Materials) -> list[Transform]:
        return [Augment(partial(affine_transforms, degrees=self.degrees, scale=self.scale))]


@dataclass(frozen=True)
class Flips(Defense):
    """Random flips along every axis, each with probability 0.5."""

    def augmentation(self, materials: Materials) -> list[Transform]:
        return [Augment(flip_transforms)]
