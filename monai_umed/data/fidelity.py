"""How close the perturbed image is to the original, measured on the stored values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


@dataclass(frozen=True)
class Fidelity:
    """Difference between two images.

    Attributes:
        psnr: peak signal-to-noise ratio in dB; None for identical images, for which it is infinite.
        ssim: structural similarity, 1 for identical images.
        max_abs_delta: largest change in stored units (gray levels): int for integer images, else float.
        perturbed_fraction: share of the stored values that changed, in [0, 1].
    """

    psnr: float | None
    ssim: float
    max_abs_delta: int | float
    perturbed_fraction: float


def measure(before: np.ndarray, after: np.ndarray, data_range: float) -> Fidelity:
    """Compare an image with its perturbed version.

    Args:
        before: ``(C, *spatial)`` stored values, every spatial side >= 7, finite, without alpha.
        after: same shape and dtype.
        data_range: stored units that count as full scale, the width of the intensity window, not zero (its sign is
            ignored).

    Returns:
        The measures.

    Raises:
        ValueError: shapes or dtypes differ, or ``data_range`` is zero.
    """
    if before.shape != after.shape or before.dtype != after.dtype:
        raise ValueError(
            f"before is {before.dtype} {before.shape}, after is {after.dtype} {after.shape}; they must be equal"
        )
    if data_range == 0:
        raise ValueError("data_range is 0, must be the width of the intensity window")
    data_range = abs(data_range)
    changed = before != after
    if not changed.any():
        is_integer = np.issubdtype(before.dtype, np.integer)
        return Fidelity(psnr=None, ssim=1.0, max_abs_delta=0 if is_integer else 0.0, perturbed_fraction=0.0)
    # float32 holds the squares of 8-bit values well enough for SSIM, and is nearly twice as fast as float64.
    float_type: type[np.floating[Any]] = np.float32 if before.dtype.itemsize == 1 else np.float64
    first, second = before.astype(float_type), after.astype(float_type)
    largest = np.abs(second - first).max().item()
    return Fidelity(
        psnr=float(peak_signal_noise_ratio(first, second, data_range=data_range)),
        ssim=_ssim(first, second, data_range),
        max_abs_delta=int(largest) if np.issubdtype(before.dtype, np.integer) else largest,
        perturbed_fraction=float(changed.mean()),
    )


def _ssim(first: np.ndarray, second: np.ndarray, data_range: float) -> float:
    if first.shape[0] == 1:
        return float(structural_similarity(first[0], second[0], data_range=data_range))
    return float(structural_similarity(first, second, data_range=data_range, channel_axis=0))
