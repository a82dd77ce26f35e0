"""Random moves of image and label together, on whole batches, drawn anew for every case at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import torch
from torch.nn import functional as F

from .base import Defense, Objective

Pair = tuple[torch.Tensor, torch.Tensor]


def _uniform(low: float, high: float, count: int, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _with_background(label: torch.Tensor) -> torch.Tensor:
    """What came into view is 0 in all channels; where labels have one channel a class, it is background."""
    return label if label.shape[1] == 1 else torch.cat([1 - label[:, 1:].sum(1, keepdim=True), label[:, 1:]], 1)


def _rotations(angles: torch.Tensor) -> torch.Tensor:
    """Matrices ``(B, axes, axes)`` that turn in every plane of two axes by angles in radians, ``(planes, B)``."""
    axes = 2 if len(angles) == 1 else 3
    turned = torch.eye(axes).repeat(angles.shape[1], 1, 1)
    for (first, second), angle in zip(combinations(range(axes), 2), angles, strict=True):
        plane = torch.eye(axes).repeat(len(angle), 1, 1)
        plane[:, first, first] = plane[:, second, second] = angle.cos()
        plane[:, first, second], plane[:, second, first] = -angle.sin(), angle.sin()
        turned = turned @ plane
    return turned


def _displaced(displacement: torch.Tensor) -> torch.Tensor:
    """Where every pixel is taken from, as ``grid_sample`` reads it, of shifts in pixels ``(B, axes, *spatial)``."""
    count, axes, size = len(displacement), displacement.shape[1], displacement.shape[2:]
    still = F.affine_grid(torch.eye(axes, axes + 1).repeat(count, 1, 1), [count, 1, *size], align_corners=False)
    # grid_sample counts the axes from the last one, and every side from -1 to 1.
    return still + displacement.movedim(1, -1) * 2 / torch.tensor(size[::-1])


def _sample(image: torch.Tensor, label: torch.Tensor, grid: torch.Tensor) -> Pair:
    grid = grid.to(image)
    moved = F.grid_sample(image, grid, align_corners=False).clamp(0, 1)
    return moved, _with_background(F.grid_sample(label, grid, mode="nearest", align_corners=False))


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

    def batch(self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator) -> Pair:
        size = image.shape[2:]
        box = [max(1, round(self.fraction * side)) for side in size]
        margins = [(side - part) // 2 for side, part in zip(size, box, strict=True)]
        middle = tuple(slice(start, start + part) for start, part in zip(margins, box, strict=True))
        cropped, labels = torch.zeros_like(image), torch.zeros_like(label)
        for case in range(len(image)):
            starts = [
                int(torch.randint(side - part + 1, (), generator=generator))
                for side, part in zip(size, box, strict=True)
            ]
            place = tuple(slice(start, start + part) for start, part in zip(starts, box, strict=True))
            cropped[case][(slice(None), *middle)] = image[case][(slice(None), *place)]
            labels[case][(slice(None), *middle)] = label[case][(slice(None), *place)]
        return cropped, _with_background(labels)


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

    def batch(self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator) -> Pair:
        count, size = len(image), image.shape[2:]
        planes, limit = math.comb(len(size), 2), math.radians(self.degrees)
        angles = _uniform(-limit, limit, planes * count, generator).reshape(planes, count)
        maps = _rotations(angles) / _uniform(*self.scale, count, generator)[:, None, None]
        # affine_grid counts the axes from the last one, and every side from -1 to 1.
        sides = torch.tensor(size[::-1], dtype=torch.float32)
        maps = F.pad(maps * sides / sides[:, None], (0, 1))
        return _sample(image, label, F.affine_grid(maps, [count, 1, *size], align_corners=False))


@dataclass(frozen=True)
class Flips(Defense):
    """Random flips along every axis, each with probability 0.5."""

    def batch(self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator) -> Pair:
        for axis in range(2, image.ndim):
            chosen = (torch.rand(len(image), generator=generator) < 0.5).to(image.device)
            chosen = chosen.reshape(-1, *[1] * (image.ndim - 1))
            image, label = (torch.where(chosen, each.flip(axis), each) for each in (image, label))
        return image, label


@dataclass(frozen=True)
class Elastic(Defense):
    """Smoothly bent (Simard et al. 2003): shifts at control points, linear between them.

    Args:
        pixels: largest shift of a control point along every axis, in pixels of the grid.
        spacing: of the control points, in the same pixels.

    Raises:
        ValueError: If an argument is not positive, or images would fold, which takes shifts of half the spacing.
    """

    pixels: float = 4
    spacing: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.pixels < self.spacing / 2:
            raise ValueError(f"pixels is {self.pixels}; it must be above 0 and below half of spacing, {self.spacing}.")

    def batch(self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator) -> Pair:
        count, size = len(image), image.shape[2:]
        points = [math.ceil(side / self.spacing) + 1 for side in size]
        shifts = self.pixels * (2 * torch.rand(count, len(size), *points, generator=generator) - 1)
        mode = "bilinear" if len(size) == 2 else "trilinear"
        return _sample(image, label, _displaced(F.interpolate(shifts, size=size, mode=mode, align_corners=True)))


@dataclass(frozen=True)
class RandomInterpolation(Defense):
    """Every pixel between others near it, each by a shift of its own (COIN, Li et al. 2025, arXiv 2311.18403).

    The label stays as it is.

    Args:
        pixels: largest shift along every axis, in pixels of the grid.

    Raises:
        ValueError: If ``pixels`` is not positive.
    """

    pixels: float = 2

    def __post_init__(self) -> None:
        if not self.pixels > 0:
            raise ValueError(f"pixels is {self.pixels}; it must be positive, for example 2.")

    def batch(self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator) -> Pair:
        shifts = self.pixels * (2 * torch.rand(len(image), image.ndim - 2, *image.shape[2:], generator=generator) - 1)
        grid = _displaced(shifts).to(image)
        return F.grid_sample(image, grid, padding_mode="border", align_corners=False).clamp(0, 1), label
