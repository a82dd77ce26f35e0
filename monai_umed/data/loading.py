"""Read one case and refuse it, with a reason, if nothing sensible can be done with it."""

from dataclasses import dataclass

import numpy as np

from ..io.stored import CodecError, StoredImage
from .case import Case, CaseError
from .codec import read_image, read_label

MIN_SIDE = 16
"""Smallest permitted spatial side in pixels or voxels, but for the thinnest side of a volume."""
_MAX_LISTED = 10
BINARY_FOREGROUNDS = (1, 255, 65535)
"""Values that mark the only structure of a mask with two values."""


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """Content of one case.

    Attributes:
        case: where it came from.
        stored: image in stored units.
        label: uint8 class numbers ``(1, *spatial)``, 0 is background.
    """

    case: Case
    stored: StoredImage
    label: np.ndarray


def load_case(case: Case, num_classes: int = 2, window: tuple[float, float] | None = None) -> LoadedCase:
    """Read image and label of a case and check them.

    Args:
        case: from `find_cases`.
        num_classes: number of classes with background, 2 to 256. With 2 the foreground may be 1, 255 or 65535.
        window: displayed values that map to 0 and 1, see `read_image`.

    Returns:
        The case with its label as class numbers ``0 .. num_classes - 1``.

    Raises:
        CaseError: unreadable files, shapes that differ, a side below 16 (the thinnest one of a volume does not count),
            NaN, infinity, a constant image, or a mask that is empty, covers everything or holds other values.
        ValueError: ``num_classes`` or ``window`` is out of range.
    """
    if not 2 <= num_classes <= 256:
        raise ValueError(f"num_classes is {num_classes}, must be 2 to 256")
    try:
        stored = read_image(case.image, window)
        values = read_label(case.label, stored)
    except CodecError as error:
        raise CaseError(case.id, str(error)) from error
    reason = _shape_problem(stored, values) or _image_problem(stored)
    if reason:
        raise CaseError(case.id, reason)
    label = class_numbers(case.id, values, num_classes)
    if not label.any():
        raise CaseError(case.id, "the mask is empty; draw the structure or remove the case")
    if label.all():
        raise CaseError(case.id, "the mask covers everything; leave background around the structure or remove the case")
    return LoadedCase(case, stored, label)


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
    color = stored.color
    if color.dtype.kind == "f" and (bad := color.size - int(np.isfinite(color).sum())):
        return f"the image holds {bad} values that are NaN or infinite; replace them by the background's value"
    low, high = sorted(stored.window)
    darkest, brightest = float(color.min()), float(color.max())
    if darkest == brightest:
        return f"the image is constant ({darkest:g}); export it again or remove the case"
    if max(darkest, low) >= min(brightest, high):
        return (
            f"the image is constant within the window ({low:g}, {high:g}), its values reach from {darkest:g} to "
            f"{brightest:g} (stored units); choose a window that overlaps them"
        )
    return None


def class_numbers(case_id: str, values: np.ndarray, num_classes: int) -> np.ndarray:
    """Class numbers as uint8; `CaseError` for values that are none."""
    highest = int(values.max())
    if num_classes == 2:
        foreground = highest if highest in BINARY_FOREGROUNDS else 1
        is_known = (values == 0) | (values == foreground)
        label = (values == foreground).astype(np.uint8)
        expected = "0 and 1 (or 255, or 65535)"
        cure = "threshold it, or set the number of classes"
    else:
        is_known = (values >= 0) & (values < num_classes)
        label = values.astype(np.uint8)
        expected = f"0 to {num_classes - 1}"
        cure = "renumber the classes, or set the number of classes"
    if not is_known.all():
        unexpected = np.unique(values[~is_known]).tolist()
        listed = ", ".join(map(str, unexpected[:_MAX_LISTED])) + (", ..." if len(unexpected) > _MAX_LISTED else "")
        raise CaseError(case_id, f"the mask holds the values {listed}, expected {expected}; {cure}")
    return label
