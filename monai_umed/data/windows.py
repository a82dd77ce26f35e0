"""Intensity windows that have a name, and the ways in which a window may be given."""

import math
from collections.abc import Sequence

import numpy as np

from ..io.stored import Decoded
from ..io.suggest import did_you_mean

WINDOW_PERCENTILES = (0.5, 99.5)
"""Percentiles of the volume that map to 0 and 1 for NIfTI, NRRD, MetaImage and for 16-bit files that name no window of
their own: their full range is mostly empty."""
_VOLUME_FORMATS = ("nifti", "nifti_pair", "nrrd", "mha")

# Level -/+ half the width in HU. Lung (-600, 1500) and bone (400, 1800; there for the spine) are the typical values of
# Radiopaedia, "Windowing (CT)". Soft tissue (40, 400) is the usual general setting; sites differ by some ten HU.
WINDOWS: dict[str, tuple[float, float]] = {
    "ct-soft": (-160.0, 240.0),
    "ct-lung": (-1350.0, 150.0),
    "ct-bone": (-500.0, 1300.0),
}
"""Displayed values (HU) that map to 0 and 1, by the name of the preset."""


def as_window(value: str | Sequence[float] | None) -> tuple[float, float] | None:
    """Window from a preset's name, from text or from numbers.

    Args:
        value: name in `WINDOWS`, ``"lo,hi"`` or two numbers, in displayed units (HU in CT); None for what
            `monai_umed.data.codec.read_image` takes by default: the file's own window, the full range or percentiles.

    Returns:
        Displayed values that map to 0 and 1, or None.

    Raises:
        ValueError: it is none of these (the nearest name is offered), or not two different finite numbers.

    Example:
        >>> mu.as_window("ct-soft")
        (-160.0, 240.0)
    """
    if value is None:
        return None
    if isinstance(value, str) and value.strip() in WINDOWS:
        return WINDOWS[value.strip()]
    try:
        low, high = map(float, value.split(",") if isinstance(value, str) else value)
    except (TypeError, ValueError) as error:
        hint = did_you_mean(str(value).lower(), WINDOWS)
        ways = f"two numbers such as -160,240, or one of {', '.join(WINDOWS)}"
        raise ValueError(f"There is no window {value!r}.{hint} Pass {ways}.") from error
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        raise ValueError(f"window {value!r} must be two different finite numbers, such as -160,240")
    return low, high


def default_window(decoded: Decoded) -> tuple[float, float]:
    """Stored values that map to 0 and 1 in a file that names none: its full range or the `WINDOW_PERCENTILES`."""
    array = decoded.array
    if array.dtype == np.uint8 and decoded.format not in _VOLUME_FORMATS:
        return (0.0, 1.0) if decoded.bilevel else (0.0, 255.0)
    color = array[:-1] if decoded.has_alpha else array
    finite = color[np.isfinite(color)] if color.dtype.kind == "f" else color.ravel()
    if decoded.limits is not None:
        finite = finite[(finite >= decoded.limits[0]) & (finite <= decoded.limits[1])]
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
