"""The DICOM modules, imported at the first DICOM file, since other formats work without pydicom or with an old one.

MONAI Label requires pydicom 2, which can neither decode nor write all that this package supports.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from ..io.dicom_sign import is_dicom
from ..io.listing import visible
from ..io.source import Source
from ..io.stored import CodecError, Decoded, StoredImage

MIN_PYDICOM = 3
"""First major version whose decoders and writers suffice for `monai_umed.dicom.image`."""


def require_pydicom(name: str) -> None:
    """Raise `CodecError`, naming the file ``name``, the versions and the cure, if pydicom is missing or too old."""
    try:
        found = version("pydicom")
    except PackageNotFoundError:
        found = ""
    if not found or int(found.split(".", 1)[0]) < MIN_PYDICOM:
        here = f"this environment has {found}" if found else "this environment has none"
        cure = (
            f'install "pydicom>={MIN_PYDICOM}", in an environment of its own if MONAI Label is in this one, or convert '
            "the file to .nii.gz"
        )
        raise CodecError(name, f"DICOM files need pydicom {MIN_PYDICOM}, {here}", cure)


def decode_dicom(source: Source) -> Decoded:
    """See `monai_umed.dicom.image.decode_dicom`."""
    require_pydicom(source.name)
    from . import image as dicom

    return dicom.decode_dicom(source)


def encode_dicom(array: np.ndarray, source: StoredImage) -> bytes:
    """See `monai_umed.dicom.image.encode_dicom`."""
    from . import image as dicom

    return dicom.encode_dicom(array, source)


def decode_series(folder: Path) -> Decoded:
    """See `monai_umed.dicom.series.decode_series`."""
    require_pydicom(folder.name)
    from . import series as dicom_series

    return dicom_series.decode_series(folder)


def decode_slices(name: str, slices: Sequence[Source]) -> Decoded:
    """See `monai_umed.dicom.series.decode_slices`."""
    require_pydicom(name)
    from . import series as dicom_series

    return dicom_series.decode_slices(name, slices)


def encode_series(array: np.ndarray, source: StoredImage) -> dict[str, bytes]:
    """See `monai_umed.dicom.series.encode_series`."""
    from . import series as dicom_series

    return dicom_series.encode_series(array, source)


def is_segmentation(path: Path) -> bool:
    """See `monai_umed.dicom.segmentation.is_segmentation`; raises `CodecError` if pydicom is missing or too old."""
    require_pydicom(path.name)
    from . import segmentation as dicom_segmentation

    return dicom_segmentation.is_segmentation(path)


def only_segmentation(path: Path) -> Path:
    """Return the DICOM SEG in a folder that contains nothing else, as archives deliver it; else ``path`` itself."""
    files = visible(path) if path.is_dir() else []
    return files[0] if len(files) == 1 and is_dicom(files[0]) and is_segmentation(files[0]) else path


def highest_segment(path: Path) -> int:
    """See `monai_umed.dicom.segmentation.highest_segment`."""
    from . import segmentation as dicom_segmentation

    return dicom_segmentation.highest_segment(path)


def decode_segmentation(path: Path, grid: np.ndarray | None, shape: Sequence[int]) -> np.ndarray:
    """See `monai_umed.dicom.segmentation.decode_segmentation`."""
    from . import segmentation as dicom_segmentation

    return dicom_segmentation.decode_segmentation(path, grid, shape)
