"""Find the intensity windows of files: those that were given, or those that fit the values."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..io.stored import CodecError, Decoded, IntensityWindow, windows_of

WINDOW_PERCENTILES = (0.5, 99.5)
"""Percentiles of the volume that map to 0 and 1 for NIfTI, NRRD, MetaImage and for 16-bit files that name no window of
their own: their full range is mostly empty."""

_VOLUME_FORMATS = ("nifti", "nifti_pair", "nrrd", "mha")


def given_windows(
    name: str, intensity_window: IntensityWindow | None, channels: int
) -> Sequence[tuple[float, float] | None]:
    """Return a window, or None, for each channel.

    Args:
        name: name of the file, for errors.
        intensity_window: window of all channels, or windows of each; None for no window.
        channels: number of channels.

    Raises:
        CodecError: If there are more or fewer windows than channels.
    """
    try:
        return (None,) * channels if intensity_window is None else windows_of(intensity_window, channels)
    except ValueError as error:
        reason, _, cure = str(error).partition("; ")
        raise CodecError(name, reason, cure) from error


def stored_window(name: str, decoded: Decoded, intensity_window: IntensityWindow | None) -> IntensityWindow:
    """Return the stored values that map to 0 and 1.

    Args:
        name: name of the file, for errors.
        decoded: content of the file. Each volume along the fourth axis of a NIfTI file has its own window.
        intensity_window: displayed values that map to 0 and 1, for all channels or for each. Default: the window of the
            file, or `default_window`.

    Raises:
        CodecError: As :func:`given_windows`.
    """
    volumes = np.split(decoded.array, len(decoded.array)) if decoded.format.startswith("nifti") else [decoded.array]
    stored = []
    for volume, window in zip(volumes, given_windows(name, intensity_window, len(volumes)), strict=True):
        if window is None:
            stored.append(decoded.intensity_window or default_window(replace(decoded, array=volume)))
        else:
            low, high = ((value - decoded.intercept) / decoded.slope for value in window)
            stored.append((float(low), float(high)))
    return tuple(stored) if len(stored) > 1 else stored[0]


def default_window(decoded: Decoded) -> tuple[float, float]:
    """Stored values that map to 0 and 1, from the finite ones alone; the first is larger with a negative slope."""
    array = decoded.array
    if array.dtype == np.uint8 and decoded.format not in _VOLUME_FORMATS:
        return (0.0, 1.0) if decoded.bilevel else (0.0, 255.0)
    color = array[:-1] if decoded.has_alpha else array
    finite = color[np.isfinite(color)] if color.dtype.kind == "f" else color.ravel()
    if decoded.value_range is not None:
        finite = finite[(finite >= decoded.value_range[0]) & (finite <= decoded.value_range[1])]
    if finite.size == 0:
        return 0.0, 1.0
    # The methods pick values that occur in the file, so that the window's ends are whole levels.
    low = float(np.percentile(finite, WINDOW_PERCENTILES[0], method="lower"))
    high = float(np.percentile(finite, WINDOW_PERCENTILES[1], method="higher"))
    if low == high:  # nearly all background
        low, high = float(finite.min()), float(finite.max())
    if low == high:  # constant: any window will do
        high = low + 1.0
    return (low, high) if decoded.slope > 0 else (high, low)
