"""Convert stored values to pictures for a screen."""

from __future__ import annotations

import numpy as np

GAIN = 20
"""Factor by which a difference, too small to see, is amplified."""
MID_GRAY = 128


def channels_last(image: np.ndarray) -> np.ndarray:
    """Return ``(C, H, W)`` as ``(H, W, 3)`` if it has three channels, else the first channel as ``(H, W)``."""
    return np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]


def gray_levels(color: np.ndarray, intensity_window: tuple[float, float], index: int = 0) -> np.ndarray:
    """Convert stored values ``(C, *spatial)`` to uint8 ``(H, W)`` or ``(H, W, 3)``.

    Args:
        color: the values, without alpha.
        intensity_window: the values that become 0 and 255; values beyond are clipped.
        index: number of a volume's slice along its last axis.
    """
    shown = color if color.ndim == 3 else color[..., index]
    scaled = (shown.astype(np.float64) - intensity_window[0]) / (intensity_window[1] - intensity_window[0])
    return channels_last(np.clip(255 * scaled, 0, 255).round().astype(np.uint8))


def difference(original: np.ndarray, protected: np.ndarray) -> np.ndarray:
    """Return ``protected - original``, amplified by `GAIN` around mid-gray, as uint8 of the same shape."""
    change = protected.astype(np.int16) - original.astype(np.int16)
    return np.clip(MID_GRAY + GAIN * change, 0, 255).astype(np.uint8)
