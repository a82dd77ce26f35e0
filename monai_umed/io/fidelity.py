"""Measure how close a perturbed image is to its original, in stored values."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..functional.box import grown, nonzero_box
from .quantize import SLAB_VALUES, slabs
from .stored import StoredImage

_WINDOW = 7  # scikit-image's default side of the SSIM window
_RADIUS = _WINDOW // 2
_CACHED = {2: 2**16, 3: 2**18}  # values, by axes, whose sums stay in a cache; halves of volumes overlap more
_COLORS = 2**14  # pixels that CIEDE2000 is computed for; all of a photograph would take longer than everything else


@dataclass(frozen=True)
class Fidelity:
    """Difference between two images.

    Attributes:
        psnr: peak signal-to-noise ratio in dB; None for identical images, for which it is infinite.
        ssim: structural similarity, 1 for identical images.
        max_abs_delta: largest change in stored units (gray levels): int for integer images, else float; that of each
            channel if they have windows of their own.
        perturbed_fraction: fraction of the stored values that changed, in [0, 1].
        ciede2000: mean color difference over all pixels (CIEDE2000 of sRGB, D65 white), visible from about 1; None for
            images that do not have three channels.
    """

    psnr: float | None
    ssim: float
    max_abs_delta: int | float | tuple[int | float, ...]
    perturbed_fraction: float
    ciede2000: float | None = None

    @property
    def rms(self) -> float:
        """Root mean square of the change as a share of full scale."""
        return 0.0 if self.psnr is None else 10 ** (-self.psnr / 20)


def compare(before: StoredImage, after: StoredImage) -> Fidelity:
    """Compare an image with its perturbed version in the windows of the former, see `measure` and `mean_fidelity`."""
    return mean_fidelity(compare_each(before, after))


def compare_each(before: StoredImage, after: StoredImage) -> list[Fidelity]:
    """Compare the channels of two images if they have their own windows, else the images as a whole, see `measure`."""
    pairs = zip(before.each(), after.in_window(before.intensity_window).each(), strict=True)
    return [measure(first.color, second.color, first.width) for first, second in pairs]


def mean_fidelity(channels: Sequence[Fidelity]) -> Fidelity:
    """Return the fidelity of an image from that of its channels.

    SSIM and fraction are means, PSNR is that of the mean square of all changes in units of their windows.
    """
    if len(channels) == 1:
        return channels[0]
    squares = float(np.mean([0.0 if one.psnr is None else 10 ** (-one.psnr / 10) for one in channels]))
    return Fidelity(
        psnr=float(-10 * np.log10(squares)) if squares else None,
        ssim=float(np.mean([one.ssim for one in channels])),
        max_abs_delta=tuple(largest for one in channels if not isinstance(largest := one.max_abs_delta, tuple)),
        perturbed_fraction=float(np.mean([one.perturbed_fraction for one in channels])),
    )


def measure(before: np.ndarray, after: np.ndarray, data_range: float) -> Fidelity:
    """Compare an image with its perturbed version.

    Large volumes are compared in pieces, with the result that scikit-image has for the whole. SSIM uses the windows of
    7 x 7 (x 7) values that fit into the image. For a volume with a side below 7, such as a series of three slices, it
    is the mean SSIM of the slices across that side, with windows of 7 x 7.

    Args:
        before: stored values ``(C, *spatial)`` without alpha, at least two spatial sides >= 7. Values that are not
            finite count as equal if all of their bits are equal.
        after: values of the same shape and dtype.
        data_range: full scale in stored units, the width of the intensity window; its sign is ignored.

    Raises:
        ValueError: If shapes or dtypes differ, if fewer than two sides are >= 7, or if ``data_range`` is zero.
    """
    if before.shape != after.shape or before.dtype != after.dtype:
        raise ValueError(
            f"before is {before.dtype} {before.shape}, after is {after.dtype} {after.shape}; they must be equal"
        )
    if sum(side >= _WINDOW for side in before.shape[1:]) < 2:
        raise ValueError(f"shape {before.shape[1:]} must have two sides >= {_WINDOW} for SSIM; leave the image out")
    if data_range == 0:
        raise ValueError("data_range is 0, must be the width of the intensity window")
    before, after = _without_gaps(before, after)
    is_integer, data_range = np.issubdtype(before.dtype, np.integer), abs(data_range)
    has_color = len(before) == 3 and is_integer
    box = nonzero_box(before, before.ndim - 1, other=after)
    if not box[0].stop:
        return Fidelity(None, 1.0, 0 if is_integer else 0.0, 0.0, 0.0 if has_color else None)
    inner, others = before[(slice(None), *box)], after[(slice(None), *box)]
    changed, largest, squares, color = 0, np.float64(0), np.float64(0), 0.0
    for rows in slabs(inner.shape):
        first, second = inner[:, rows], others[:, rows]
        here = int(np.count_nonzero(first != second))
        if here:
            changed += here
            difference = np.abs(_real(second) - _real(first))
            largest = np.maximum(largest, difference.max())  # unlike max, it propagates NaN
            squares += np.square(difference, out=difference).sum(dtype=np.float64)
            color += _color_difference(first, second, data_range) if has_color else 0.0
    ciede2000 = color / prod(before.shape[1:]) if has_color else None
    return Fidelity(
        psnr=float(10 * np.log10(data_range**2 / (squares / before.size))),
        ssim=float(np.mean([_ssim(*pair, data_range, box) for pair in zip(before, after, strict=True)])),
        max_abs_delta=int(largest) if is_integer else float(largest),
        perturbed_fraction=changed / before.size,
        ciede2000=ciede2000,
    )


def _color_difference(before: np.ndarray, after: np.ndarray, data_range: float) -> float:
    """Return the sum of CIEDE2000 over the pixels of ``(3, *spatial)``, estimated from some if very many changed."""
    changed = np.flatnonzero((before != after).any(axis=0))
    seen = changed[:: -(-len(changed) // _COLORS)]
    pair = (np.clip(image.reshape(3, -1)[:, seen].T / data_range, 0, 1) for image in (before, after))
    from skimage.color import deltaE_ciede2000, rgb2lab  # loads SciPy, as below

    return float(deltaE_ciede2000(*map(rgb2lab, pair)).mean()) * len(changed)


def _without_gaps(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Set both to zero where they have the same bits of a value that is not finite."""
    if before.dtype.kind != "f" or np.isfinite(before).all():
        return before, after
    bits = f"u{before.dtype.itemsize}"
    gaps = ~np.isfinite(before) & (before.view(bits) == after.view(bits))
    return np.where(gaps, before.dtype.type(0), before), np.where(gaps, before.dtype.type(0), after)


def _real(values: np.ndarray) -> np.ndarray:
    # float32 is exact enough for the SSIM of 8-bit values, and nearly twice as fast as float64.
    float_type: type[np.floating[Any]] = np.float32 if values.dtype.itemsize == 1 else np.float64
    return values.astype(float_type)


def _ssim(first: np.ndarray, second: np.ndarray, data_range: float, box: Sequence[slice]) -> float:
    """Return the SSIM of one channel ``(*spatial)``; outside of ``box`` nothing differs, so every window counts 1."""
    thin = [axis for axis, side in enumerate(first.shape) if side < _WINDOW]
    if thin:
        slices = zip(np.moveaxis(first, thin[0], 0), np.moveaxis(second, thin[0], 0), strict=True)
        rest = [part for axis, part in enumerate(box) if axis != thin[0]]
        return float(np.mean([_ssim(*pair, data_range, rest) for pair in slices]))
    # All that a window sees which holds some of the box; wherever it lies, that is no less than a window.
    near = grown(box, [2 * _RADIUS] * first.ndim)
    first, second, whole = first[near], second[near], _windows(first)
    return (whole - _windows(first) + _ssim_sum(first, second, data_range)) / whole


def _windows(image: np.ndarray) -> int:
    """How many windows fit into an image ``(*spatial)``."""
    return prod(side - 2 * _RADIUS for side in image.shape)


def _ssim_sum(first: np.ndarray, second: np.ndarray, data_range: float) -> float:
    """Return the sum of SSIM over all windows that fit; halves overlap so that each window is in exactly one."""
    if first.size > min(SLAB_VALUES, _CACHED[first.ndim]):
        axis = int(np.argmax(first.shape))  # the overlap is smallest across the longest axis
        middle = first.shape[axis] // 2
        halves = (slice(middle + _RADIUS), slice(middle - _RADIUS, None))
        parts = [(*[slice(None)] * axis, half) for half in halves]
        return sum(_ssim_sum(first[part], second[part], data_range) for part in parts)
    wide, real = _types(first)
    first, second = first.astype(wide), second.astype(wide)
    count = _WINDOW**first.ndim
    # Sums in place of means: both factors of numerator and denominator are larger by a power of the windows' size.
    left, right = _over_windows(first), _over_windows(second)
    means, powers = left * right, left * left + right * right
    covariance = count * _over_windows(first * second) - means
    variances = count * _over_windows(first * first + second * second) - powers
    small, less = real((count * 0.01 * data_range) ** 2), real(count * (count - 1) * (0.03 * data_range) ** 2)
    first, second = (2 * means).astype(real), (2 * covariance).astype(real)
    similarity = (first + small) * (second + less)
    similarity /= (powers.astype(real) + small) * (variances.astype(real) + less)
    return float(similarity.sum(dtype=np.float64))


def _types(image: np.ndarray) -> tuple[type[np.number[Any]], type[np.floating[Any]]]:
    """A type in which sums of squares, times the size of a window, are exact if they can be, and one for quotients."""
    if image.dtype.kind == "f" or image.dtype.itemsize > 2:
        return np.float64, np.float64
    # Quotients of 8-bit values are exact enough in float32, which takes half of the time.
    return (np.int32, np.float32) if image.dtype.itemsize == 1 and image.ndim == 2 else (np.int64, np.float64)


def _over_windows(values: np.ndarray) -> np.ndarray:
    """Return the sum over each window that fits, axis by axis: of two, of four, and of seven values."""
    for axis in range(values.ndim):
        values = values.swapaxes(0, axis)
        pairs = values[:-1] + values[1:]
        values = ((pairs[:-2] + pairs[2:])[:-3] + pairs[4:-1] + values[6:]).swapaxes(0, axis)
    return values
