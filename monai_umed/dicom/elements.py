"""Read elements of a DICOM file, also those that multi-frame files keep elsewhere, with errors that name the file."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import uid
from pydicom.errors import InvalidDicomError

from ..io.dicom_sign import lacks_preamble
from ..io.source import Source
from ..io.stored import CodecError

AGAIN = "fetch or export it again"
"""The cure for damaged files."""


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A DICOM file that was read and checked.

    Attributes:
        name: file name, for errors.
        dataset: all elements except the pixels.
        pixels: stored values ``([frames,] rows, columns)`` or ``(rows, columns, 3)``.
        content: the whole file in Explicit VR Little Endian, without pixels.
    """

    name: str
    dataset: Any
    pixels: np.ndarray
    content: bytes


def read_elements(source: Source) -> Any:
    """Read all elements of a file; if preamble and header are missing, add the header that the elements imply.

    Raises:
        CodecError: If the header is missing and the pixels are compressed.
        Exception: If pydicom cannot read the file, see `dicom_errors`.
    """
    content = source.read_bytes()
    dataset: Any = pydicom.dcmread(io.BytesIO(content), force=lacks_preamble(content))
    if "TransferSyntaxUID" not in dataset.file_meta:
        if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
            reason = "compressed pixels, and no header that says how"
            raise CodecError(source.name, reason, "export it again as a file with its header (Part 10)")
        implicit, little = dataset.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    return dataset


def read_some(path: Path, keywords: Sequence[str]) -> Any:
    """Read some elements of a file without its pixels; errors of pydicom are passed on."""
    with path.open("rb") as file:
        bare = lacks_preamble(file.read(132))
        file.seek(0)
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(keywords), force=bare)


@contextmanager
def dicom_errors(name: str) -> Iterator[None]:
    """Convert errors that pydicom raises for a damaged file to a `CodecError` that names the file."""
    try:
        yield
    except (CodecError, FileNotFoundError):
        raise
    except InvalidDicomError as error:
        raise CodecError(name, "no DICOM file", "export it again, or move it away") from error
    except Exception as error:  # elements that are parsed late raise a dozen unrelated types
        detail = str(error).strip().splitlines() or ["no details"]
        raise CodecError(name, f"cannot be read ({type(error).__name__}: {detail[0]})", AGAIN) from error


def frame_values(dataset: Any, sequence: str, keyword: str) -> list[Any]:
    """Return the values of an element that are set: that of all frames, else one per frame, else the file's own."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = [group[sequence].value[0] for group in dataset.get(groups) or () if sequence in group]
        if values := [item[keyword].value for item in items if item.get(keyword) is not None]:
            return values
    return [] if dataset.get(keyword) is None else [dataset[keyword].value]
