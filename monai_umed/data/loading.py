"""Read one case and refuse it, with a reason, if nothing sensible can be done with it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..io.stored import CodecError, IntensityWindow, StoredImage
from .case import Case, CaseError
from .codec import read_image
from .labels import read_label

MIN_SIDE = 16
"""Smallest permitted spatial side in pixels or voxels, but for the thinnest side of a volume."""
_MAX_LISTED = 10
BINARY_FOREGROUNDS = (1, 255, 65535)
"""Values that mark the only structure of a mask with two values."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """Content of one case.

    Attributes:
        case: where it came from.
        stored: image in stored units.
        label: uint8 class numbers ``(1, *spatial)``, 0 is background.
        outside: boolean ``(1, *spatial)``, pixels that must stay as they are: those without a finite value, and those
            whose label says that they are of no class; None if there are none.
    """

    case: Case
    stored: StoredImage
    label: np.ndarray
    outside: np.ndarray | None = None


def load_case(case: Case, num_classes: int = 2, intensity_window: IntensityWindow | None = None) -> LoadedCase:
    """Read image and label of a case and check them.

    Args:
        case: from `find_cases`.
        num_classes: number of classes with background, 2 to 256. With 2 the foreground may be 1, 255 or 65535.
        intensity_window: displayed values that map to 0 and 1, see `read_image`.

    Returns:
        The case with its label as class numbers ``0 .. num_classes - 1``.

    Raises:
        CaseError: unreadable files, shapes that differ, a side below 16 (the thinnest one of a volume does not count),
            NaN or infinity inside the structure, a constant image, or a mask that is empty, covers everything or holds
            other values.
        ValueError: ``num_classes`` or ``intensity_window`` is out of range.
    """
    if not 2 <= num_classes <= 256:
        raise ValueError(f"num_classes is {num_classes}, must be 2 to 256")
    stored, values = read_case(case, intensity_window)
    reason = _shape_problem(stored, values) or _image_problem(stored)
    if reason:
        raise CaseError(case.id, reason)
    label = class_numbers(case.id, values, num_classes, ignore_label=case.ignore_label)
    gaps = _gaps(stored)
    if gaps is not None and (bad := int(np.count_nonzero(label[gaps]))):
        cure = "take them out of the mask, or fill them from their neighbors"
        raise CaseError(case.id, f"{bad} pixels inside the structure are NaN or infinite; {cure}")
    if not label.any():
        raise CaseError(case.id, "the mask is empty; draw the structure or remove the case")
    if label.all():
        raise CaseError(case.id, "the mask covers everything; leave background around the structure or remove the case")
    return LoadedCase(case, stored, label, _either(gaps, _void(values, case.ignore_label)))


def _gaps(stored: StoredImage) -> np.ndarray | None:
    """Pixels ``(1, *spatial)`` with a channel that is NaN or infinite; None if there are none."""
    if stored.color.dtype.kind != "f":
        return None
    gaps = ~np.isfinite(stored.color).all(axis=0, keepdims=True)
    return gaps if gaps.any() else None


def _void(values: np.ndarray, ignore_label: int | None) -> np.ndarray | None:
    return None if ignore_label is None else values == ignore_label


def _either(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    if first is None or second is None:
        return second if first is None else first
    return first | second


def read_case(case: Case, intensity_window: IntensityWindow | None = None) -> tuple[StoredImage, np.ndarray]:
    """Read image and label of a case as they are, see `read_image` and `read_label`.

    Raises:
        CaseError: If one of them cannot be read; it is named with its folder, because both may have one name.
        ValueError: ``intensity_window`` is out of range.
    """
    stored = _named(case, case.image, lambda: read_image(case.image, intensity_window))
    return stored, _named(case, case.label, lambda: read_label(case.label, stored))


def read_case_image(case: Case) -> StoredImage:
    """Read the image of a case alone, as :func:`read_case` does.

    Raises:
        CaseError: If it cannot be read.
    """
    return _named(case, case.image, lambda: read_image(case.image))


def _named(case: Case, path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except CodecError as error:
        is_within = path.is_dir() and error.name.split("/")[0] != path.name
        folder = path if is_within else path.parent
        raise CaseError(case.id, f"{folder.name}/{error}") from error


def _shape_problem(stored: StoredImage, values: np.ndarray) -> str | None:
    label_shape = tuple(values.shape[1:])
    if stored.shape != label_shape:
        return f"the image has shape {stored.shape}, its mask {label_shape}; export the mask on the image's grid"
    # A volume may be a stack of a few slices.
    side = sorted(stored.shape)[len(stored.shape) - 2]
    if side < MIN_SIDE:
        return f"shape {stored.shape} has a side of {side}, must be >= {MIN_SIDE}; remove the case"
    return None


def _image_problem(stored: StoredImage) -> str | None:
    images = stored.each()
    for number, image in enumerate(images):
        if reason := _values_problem(image):
            return f"channel {number}: {reason}" if len(images) > 1 else reason
    return None


def _values_problem(image: StoredImage) -> str | None:
    color = image.color
    if color.dtype.kind == "f":
        color = color[np.isfinite(color)]
        if not color.size:
            return "all values of the image are NaN or infinite; export it again or remove the case"
    low, high = sorted(image.ends)
    darkest, brightest = float(color.min()), float(color.max())
    if darkest == brightest:
        return f"the image is constant ({darkest:g}); export it again or remove the case"
    if max(darkest, low) >= min(brightest, high):
        return (
            f"the image is constant within the window ({low:g}, {high:g}), its values reach from {darkest:g} to "
            f"{brightest:g} (stored units); choose a window that overlaps them"
        )
    return None


def class_numbers(case_id: str, values: np.ndarray, num_classes: int, *, ignore_label: int | None = None) -> np.ndarray:
    """Class numbers as uint8, 0 where ``ignore_label`` is; `CaseError` for values that are none."""
    if ignore_label is not None:
        values = np.where(values == ignore_label, 0, values)
    highest = int(values.max())
    if num_classes == 2:
        has_others = ((values != 0) & (values != 1) & (values != highest)).any()
        is_mixed = highest in BINARY_FOREGROUNDS[1:] and bool((values == 1).any()) and not has_others
        foreground = highest if highest in BINARY_FOREGROUNDS and not is_mixed else 1
        is_known = (values == 0) | (values == foreground)
        label = (values == foreground).astype(np.uint8)
        expected = "0 and 1 (or 255, or 65535)"
        cure = "threshold it, or set the number of classes"
        if is_mixed:
            expected = f"0 beside 1 or beside {highest}, not both"
            cure = f"if {highest} marks pixels to be ignored, {_say_ignored(highest)}, else threshold it"
    else:
        is_known = (values >= 0) & (values < num_classes)
        label = values.astype(np.uint8)
        expected = f"0 to {num_classes - 1}"
        cure = "renumber the classes, or set the number of classes"
        if highest in BINARY_FOREGROUNDS:
            cure += f"; if {highest} marks pixels to be ignored, {_say_ignored(highest)}"
    if not is_known.all():
        unexpected = np.unique(values[~is_known]).tolist()
        listed = ", ".join(map(str, unexpected[:_MAX_LISTED])) + (", ..." if len(unexpected) > _MAX_LISTED else "")
        raise CaseError(case_id, f"the mask holds the values {listed}, expected {expected}; {cure}")
    return label


def _say_ignored(value: int) -> str:
    return f"give --ignore-label {value} (ignore_label={value})"
