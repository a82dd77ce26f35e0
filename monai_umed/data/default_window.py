"""The intensity window of files that name none."""

import numpy as np

from ..io.stored import Decoded

WINDOW_PERCENTILES = (0.5, 99.5)
"""Percentiles of the volume that map to 0 and 1 for NIfTI, NRRD, MetaImage and for 16-bit files that name no window of
their own: their full range is mostly empty."""

_VOLUME_FORMATS = ("nifti", "nifti_pair", "nrrd", "mha")


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
