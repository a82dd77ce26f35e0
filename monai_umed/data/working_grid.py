"""The grid that images are resampled to: as large as usual, but no larger than the images are."""

from __future__ import annotations

from collections.abc import Sequence

IMAGE_SIZE = (128, 128)
"""Grid for images that are at least that large, and of exploiters for all images."""
STRIDE = 16
"""The sides of a grid or a window of native voxels are multiples of this, which every method's surrogate accepts."""
_TOO_SMALL = 10
"""At most one of that many images may be smaller than the grid: a single thumbnail must not decide for all others."""


def held_sides(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The longest sides in pixels that at least nine of ten images hold, along each axis.

    Args:
        shapes: spatial shapes of images; of less than ten, all count.
    """
    return tuple(sorted(axis)[(len(shapes) - 1) // _TOO_SMALL] for axis in zip(*shapes, strict=True))


def fitting_grid(sides: Sequence[int]) -> tuple[int, ...] | None:
    """The grid for images of these sides: a pattern that is made on a larger one would be averaged away in them.

    Returns:
        One number per axis, :data:`IMAGE_SIZE` at most; None if networks have no grid that small: they halve it four
        times, and normalization needs more than the one pixel that 16 x 16 leave.
    """
    grid = tuple(min(usual, side // STRIDE * STRIDE) for usual, side in zip(IMAGE_SIZE, sides, strict=True))
    return grid if min(grid) >= STRIDE and max(grid) > STRIDE else None


def say_sides(sides: Sequence[int]) -> str:
    """Sides as people write them, such as ``40 x 60``."""
    return " x ".join(map(str, sides))
