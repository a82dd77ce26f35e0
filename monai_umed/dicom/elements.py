"""Elements of a DICOM file, found wherever several frames keep them, with errors that name the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.errors import InvalidDicomError

from ..io.stored import CodecError

AGAIN = "fetch or export it again"
"""Cure for damaged files."""


@dataclass(frozen=True, eq=False)
class DicomFile:
    """One file, read and checked.

    Attributes:
        name: file name, for errors.
        dataset: all elements but the pixels.
        pixels: stored values ``([frames,] rows, columns)`` or ``(rows, columns, 3)``.
        content: the whole file as Explicit VR Little Endian, but without pixels.
    """

    name: str
    dataset: Any
    pixels: np.ndarray
    content: bytes


@contextmanager
def dicom_errors(name: str) -> Iterator[None]:
    """Turn whatever pydicom raises on a damaged file into a `CodecError` that names the file."""
    try:
        yield
    except (CodecError, FileNotFoundError):
        raise
    except InvalidDicomError as error:
        raise CodecError(
            name, "no DICOM file, or one without its preamble", "export it again, or move it away"
        ) from error
    except Exception as error:  # lazily parsed elements raise a dozen unrelated types
        detail = str(error).strip().splitlines() or ["no details"]
        raise CodecError(name, f"cannot be read ({type(error).__name__}: {detail[0]})", AGAIN) from error


def frame_values(dataset: Any, sequence: str, keyword: str) -> list[Any]:
    """Values of an element: that shared by all frames, else one per frame, else the file's own; without empty ones."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = [group[sequence].value[0] for group in dataset.get(groups) or () if sequence in group]
        if values := [item[keyword].value for item in items if item.get(keyword) is not None]:
            return values
    return [] if dataset.get(keyword) is None else [dataset[keyword].value]
