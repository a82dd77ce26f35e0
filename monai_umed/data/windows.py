"""Intensity windows that have a name, and the ways in which a window may be given."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from ..io.stored import IntensityWindow
from ..io.suggest import did_you_mean

# Level -/+ half the width in HU. Lung (-600, 1500) and bone (400, 1800; there for the spine) are the typical values of
# Radiopaedia, "Windowing (CT)". Soft tissue (40, 400) is the usual general setting; sites differ by some ten HU.
WINDOWS: dict[str, tuple[float, float]] = {
    "ct-soft": (-160.0, 240.0),
    "ct-lung": (-1350.0, 150.0),
    "ct-bone": (-500.0, 1300.0),
}
"""Displayed values (HU) that map to 0 and 1, by the name of the preset."""


GivenWindow: TypeAlias = str | Sequence[float] | Sequence[str | Sequence[float]]
"""A window, or one per channel, as users give it."""


def as_window(value: GivenWindow | None) -> IntensityWindow | None:
    """Window from a preset's name, from text or from numbers; or one per channel.

    Args:
        value: name in `WINDOWS`, ``"lo,hi"`` or two numbers, in displayed units (HU in CT), or a list of these, one per
            channel, in text with semicolons between them (``"ct-soft;0,20"``); None for what
            `monai_umed.data.codec.read_image` takes by default: the file's own window, the full range or percentiles.

    Returns:
        Displayed values that map to 0 and 1, of all channels or of each, or None.

    Raises:
        ValueError: If it is none of these (the nearest name is offered), or not two different finite numbers.

    Example:
        >>> mu.as_window("ct-soft")
        (-160.0, 240.0)
    """
    if value is None:
        return None
    several = value.split(";") if isinstance(value, str) else value
    is_list = isinstance(several, Sequence) and len(several) > 1  # of numbers, or of windows
    if is_list and not all(isinstance(window, float | int) for window in several):
        return tuple(_as_pair(window) for window in several)
    return _as_pair(value)


def _as_pair(value: object) -> tuple[float, float]:
    if isinstance(value, str) and value.strip() in WINDOWS:
        return WINDOWS[value.strip()]
    try:
        low, high = (float(end) for end in (value.split(",") if isinstance(value, str) else cast(Any, value)))
    except (TypeError, ValueError) as error:
        hint = did_you_mean(str(value).lower(), WINDOWS)
        ways = f"two numbers such as -160,240, or one of {', '.join(WINDOWS)}"
        raise ValueError(f"There is no window {value!r}.{hint} Pass {ways}.") from error
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        raise ValueError(f"window {value!r} must be two different finite numbers, such as -160,240")
    return low, high
