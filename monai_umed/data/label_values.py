"""How many classes the labels of a dataset show: all of them are looked at, since a class may be in few files only."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..dicom import lazy as lazy_dicom
from ..io.joint_path import joint_files
from ..io.stored import CodecError
from .case import Case
from .labels import read_label

MANY_CLASSES = 16
"""A mask with larger values holds gray levels, not classes."""
_READERS = 2


def count_classes(cases: Sequence[Case]) -> int:
    """Classes of the labels of these cases, background included; images are not read.

    Labels that cannot be read say nothing here. Where most of the others hold larger values than 15, all of them are
    taken for one class, whatever its value; else a few such labels do not decide.

    Args:
        cases: see :func:`monai_umed.data.cases.find_cases`.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        found = [value for value in pool.map(_highest, cases) if value is not None]
    numbers = [value for value in found if value < MANY_CLASSES]
    has_numbers = 2 * len(numbers) >= len(found)
    return max(1, *numbers) + 1 if has_numbers and numbers else 2


def _highest(case: Case) -> int | None:
    """Largest value of a case's label; None if it cannot be read."""
    try:
        if (
            case.label.suffix.lower() == ".dcm"
            and not joint_files(case.label)
            and lazy_dicom.is_segmentation(case.label)
        ):
            return lazy_dicom.highest_segment(case.label)
        values = read_label(case.label)
        return int(np.max(values, initial=0, where=values != (case.ignore_label or 0)))
    except CodecError:  # whoever uses the case says why
        return None
