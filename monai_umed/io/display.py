"""Stored values as pictures that a screen can show."""

from __future__ import annotations

import numpy as np

GAIN = 20
"""Of a difference, which is too small to see."""
MID_GRAY = 128


def channels_last(image: np.ndarray) -> np.ndarray:
    """``(C, H, W)`` as ``(H, W, 3)`` if it has three channels, else its first one as ``(H, W)``."""
    return np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]


def gray_levels(color: np.ndarray, intensity_window: tuple[float, float], index: int = 0) -> np.ndarray:
    """Stored values ``(C, *spatial)`` as 8-bit ``(H, W)`` or ``(H, W, 3)``.

    Args:
        color: the values, without alpha.
        intensity_window: those that become 0 and 255; what lies beyond is clipped.
        index: slice of a volume, across its last axis.
    """
    shown = color if color.ndim == 3 else color[..., index]
    scaled = (shown.astype(np.float64) - intensity_window[0]) / (intensity_window[1] - intensity_window[0])
    return channels_last(np.clip(255 * scaled, 0, 255).round().astype(np.uint8))


def difference(original: np.ndarray, protected: np.ndarray) -> np.ndarray:
    """``protected - original``, `GAIN` times, around mid-gray; uint8 of the same shape."""
    change = protected.astype(np.int16) - original.astype(np.int16)
    return np.clip(MID_GRAY + GAIN * change, 0, 255).astype(np.uint8)
