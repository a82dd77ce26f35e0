"""Add a perturbation to stored values: whole gray levels, never beyond the bound or out of the window.

The perturbation is converted to stored units, not the image to window units and back, so that a delta of zero gives the
identical file and rounding never exceeds the bound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from ..functional.box import nonzero_box
from .stored import StoredImage

# Fraction of a gray level by which a bound may fall short of a whole level: 8/255 in float32 times 255 is 7.9999998,
# and flooring that to 7 would waste an eighth of the budget.
LEVEL_TOLERANCE = 1e-3

SLAB_VALUES = 2**21
"""Values that are processed at a time, so that temporary arrays take some 100 MiB for volumes of any size; pictures of
1400 x 1400 pixels are one piece."""


def slabs(shape: Sequence[int]) -> Iterator[slice]:
    """Yield pieces of the first spatial axis of ``(C, *spatial)``, at most `SLAB_VALUES` values or one row each."""
    rows = max(1, SLAB_VALUES // (shape[0] * prod(shape[2:])))
    for start in range(0, shape[1], rows):
        yield slice(start, start + rows)


def stored_limit(bound: np.ndarray, stored: StoredImage) -> np.ndarray:
    """Convert a bound to stored units.

    Args:
        bound: limit per voxel in window units, ``(1 or C, *spatial)``, not negative.
        stored: image whose dtype and window are used.

    Returns:
        Array of the shape of ``bound``: whole levels for integer images, ``bound * |window width|`` for float ones.
    """
    width = abs(stored.width)
    # float32 is exact enough for windows of up to 2**13 levels and twice as fast; wider ones need float64.
    exact = stored.array.dtype.itemsize <= 2 and width <= 2**13
    limit = np.multiply(bound, width, dtype=np.float32 if exact else np.float64)
    if np.issubdtype(stored.array.dtype, np.integer):
        limit += LEVEL_TOLERANCE
        np.floor(limit, out=limit)
    return limit


def add_delta(stored: StoredImage, delta: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Add a perturbation to stored values within a bound.

    With the window width ``k`` in stored units, the result is
    ``stored + clip(rint(delta * k), +-floor(bound * k + 1e-3))``, clipped to the window. Float images are not rounded
    to levels; their change is at most ``bound * k`` after rounding to the dtype. Voxels whose stored value is outside
    the window and the alpha channel do not change. Channels with windows of their own are images of their own.

    Args:
        stored: image to perturb.
        delta: perturbation in window units, ``(1 or C, *spatial)``, ``C`` without alpha.
        bound: limit per voxel in window units, ``(1 or C, *spatial)``, not negative.

    Returns:
        A new array with the shape and dtype of ``stored.array``, in stored units.

    Raises:
        ValueError: If ``delta`` or ``bound`` has another shape or is not finite, or ``bound`` is negative.
    """
    delta = _checked("delta", delta, stored)
    bound = _checked("bound", bound, stored)
    _check_not_negative(bound)
    if len(images := stored.each()) > 1:
        whole = [np.broadcast_to(values, stored.color.shape) for values in (delta, bound)]
        steps = zip(images, *(np.split(values, len(values)) for values in whole), strict=True)
        return np.concatenate([add_delta(*step) for step in steps]).astype(stored.array.dtype, copy=False)
    result = stored.array.copy()
    box = (slice(None), *nonzero_box(bound, bound.ndim - 1))  # elsewhere nothing may change
    color, delta, bound = stored.color[box], delta[box], bound[box]
    inner = result[: len(color)][box]
    for rows in slabs(color.shape) if color.size else ():
        slab = replace(stored, array=color[:, rows], has_alpha=False)
        inner[:, rows] = _add_to_color(slab, delta[:, rows], bound[:, rows])
    return result


def _add_to_color(stored: StoredImage, delta: np.ndarray, bound: np.ndarray) -> np.ndarray:
    limit = stored_limit(bound, stored)
    step = np.multiply(delta, stored.width, dtype=limit.dtype)
    if np.issubdtype(stored.array.dtype, np.integer):
        np.rint(step, out=step)
        perturbed = _add_levels(stored, np.clip(step, -limit, limit))
    else:
        perturbed = _add_real(stored, np.clip(step, -limit, limit), limit)
    outside = _outside(stored)
    if outside is not None:
        np.copyto(perturbed, stored.array, where=outside)
    return perturbed


def _add_levels(stored: StoredImage, step: np.ndarray) -> np.ndarray:
    low, high = _limits(stored)
    total = stored.color + step
    np.clip(total, np.ceil(low), np.floor(high), out=total)
    return total.astype(stored.array.dtype)


def _add_real(stored: StoredImage, step: np.ndarray, limit: np.ndarray) -> np.ndarray:
    low, high = _limits(stored)
    color = stored.color
    exact = color.astype(np.float64)
    perturbed = np.clip(exact + step, low, high).astype(color.dtype)
    # Rounding to the dtype may overshoot by half a unit in the last place: step back toward the stored value.
    result = perturbed.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity minus infinity, a value outside every window
        over = (np.abs(result - exact) > limit) | (result < low) | (result > high)
    perturbed[over] = np.nextafter(perturbed[over], color[over])
    return perturbed


def _limits(stored: StoredImage) -> tuple[float, float]:
    """Return the ends of the window in ascending order, clipped to the ranges of the file and the dtype."""
    low, high = sorted(stored.ends)
    if stored.value_range is not None:
        low, high = max(low, stored.value_range[0]), min(high, stored.value_range[1])
    if np.issubdtype(stored.array.dtype, np.integer):
        info = np.iinfo(stored.array.dtype)
        return max(low, float(info.min)), min(high, float(info.max))
    return low, high


def _outside(stored: StoredImage) -> np.ndarray | None:
    """Return a mask of color values outside the window (also NaN); None if the window spans the whole dtype."""
    low, high = _limits(stored)
    dtype = stored.array.dtype
    if np.issubdtype(dtype, np.integer) and low <= np.iinfo(dtype).min and high >= np.iinfo(dtype).max:
        return None
    color = stored.color
    if dtype == np.float32:
        color = color.astype(np.float64)  # NumPy 2 would compare in float32 and round the window's ends
    return ~((color >= low) & (color <= high))


def _checked(name: str, values: np.ndarray, stored: StoredImage) -> np.ndarray:
    channels, *spatial = stored.color.shape
    if values.ndim != stored.array.ndim or list(values.shape[1:]) != spatial or values.shape[0] not in (1, channels):
        allowed = " or ".join(str((count, *spatial)) for count in sorted({1, channels}))
        raise ValueError(f"{name} has shape {tuple(values.shape)}, must be {allowed}; compute it from this image")
    if not all(np.isfinite(values[:, rows]).all() for rows in slabs(values.shape)):
        raise ValueError(f"{name} has NaN or infinity, must be finite; check the method that computed it")
    return values


def _check_not_negative(bound: np.ndarray) -> None:
    if bound.size and bound.min() < 0:
        raise ValueError(f"bound has the value {bound.min():g}, must be >= 0; pass the limit of |delta|")
