"""A folder of DICOM slices as one volume."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..io.listing import visible
from ..io.source import Source
from ..io.stored import CodecError, Decoded, StoredImage
from .elements import DicomFile, dicom_errors
from .geometry import stack_affine
from .image import encode_file, read_file
from .pixels import allowed_limits, check_limits
from .scale import display_window, displayed_scale

_ONE_GRID = "move localizers and other images to a folder of their own"
_ONE_KIND = "keep one kind of image per folder"
_ONE_SCALE = "convert the series to float32 in one .nii.gz or .nrrd file"
# The elements that all slices of a volume must share, with the cure if they do not.
_COMMON = {
    "SeriesInstanceUID": "keep one series per folder",
    "Rows": _ONE_GRID,
    "Columns": _ONE_GRID,
    "PixelSpacing": _ONE_GRID,
    "ImageOrientationPatient": _ONE_GRID,
    "PhotometricInterpretation": _ONE_KIND,
    "BitsAllocated": _ONE_KIND,
    "BitsStored": _ONE_KIND,
    "PixelRepresentation": _ONE_KIND,
    # In PET, a stored unit has another meaning in every slice, so that no window fits them all.
    "RescaleSlope": _ONE_SCALE,
    "RescaleIntercept": _ONE_SCALE,
}
_PLACE = {
    "ImagePositionPatient": "where its first pixel lies, in mm",
    "ImageOrientationPatient": "directions of rows and columns",
    "PixelSpacing": "distance between rows and between columns in mm",
}
_PLACE_CURE = (
    "set it in every slice with pydicom (dataset.{keyword} = [...]; save_as), or move localizers and other images "
    "away; if nobody knows it, delete ImagePositionPatient from every slice, and they are taken by Instance Number"
)
# The same number may be rounded to different decimal texts in different slices.
_RELATIVE_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class SeriesHeader:
    """What is needed to write a series again.

    Attributes:
        name: name of the folder, for errors.
        files: file names and contents without pixels, see `DicomFile`, in the order of the slices.
    """

    name: str
    files: tuple[tuple[str, bytes], ...]


def decode_series(folder: Path) -> Decoded:
    """Decode a folder with one series of single-frame DICOM files as a volume, see `decode_slices`.

    Args:
        folder: folder with the slices and nothing else, except for hidden files and those of operating systems.

    Raises:
        CodecError: If it contains a folder, or for the reasons of `decode_slices`.
        FileNotFoundError: If ``folder`` does not exist.
    """
    paths = visible(folder)
    if subfolders := [path.name for path in paths if path.is_dir()]:
        raise CodecError(f"{folder.name}/{subfolders[0]}", "a folder within a series", "keep one series per folder")
    return decode_slices(folder.name, paths)


def decode_slices(name: str, slices: Sequence[Source]) -> Decoded:
    """Decode the single-frame DICOM files of one series as a volume.

    Slices are ordered by Image Position (Patient) along the normal of the image plane, never by name. If no slice has
    a position, they are ordered by Instance Number, and position and spacing are unknown. Window and range are those of
    `decode_dicom` over all slices; there is no window if the slices disagree.

    Args:
        name: name of the folder, for errors.
        slices: its files, in any order.

    Returns:
        Array ``(1, i, j, k)`` with ``i`` along the columns, ``j`` along the rows, ``k`` along the normal: the order of
        NIfTI and NRRD files, and of ITK's series reader. ``spacing`` is in mm along ``i``, ``j``, ``k``.

    Raises:
        CodecError: If there are fewer than two slices, or color; if series, sizes, orientations, pixel types or rescale
            slopes differ (as in PET); if a slice is missing or repeated, or only some have a position; or for the
            reasons of `decode_dicom`. The message names the slices.
    """
    if len(slices) < 2:
        raise CodecError(name, f"a series of {len(slices)} files", "put all its slices into one folder")
    files = [read_file(file) for file in slices]
    for file in files:
        _check_slice(name, file, files[0])
    with dicom_errors(name):
        placed = any(file.dataset.get("ImagePositionPatient") is not None for file in files)
        affine, spacing = _sort_by_place(name, files) if placed else _sort_by_number(name, files)
        array = np.stack([file.pixels.T for file in files], axis=-1)[None]
        value_range, intensity_window = allowed_limits(files, array), display_window(files, array)
    contents = tuple((file.name, file.content) for file in files)
    slope, intercept = displayed_scale(files[0])
    return Decoded(
        array=np.ascontiguousarray(array),
        format="dicom_series",
        header=SeriesHeader(name, contents),
        spacing=spacing,
        slope=slope,
        intercept=intercept,
        intensity_window=intensity_window,
        value_range=value_range,
        affine=affine,
        grid=affine,
    )


def encode_series(array: np.ndarray, source: StoredImage) -> dict[str, bytes]:
    """Encode a series, file by file; `monai_umed.dicom.derived` lists the elements that differ from the source.

    Args:
        array: ``(1, i, j, k)`` stored values, shape and dtype as ``source.array``.
        source: image with the header from `decode_series`.

    Returns:
        Contents by the file names of the source. All files share one new Series Instance UID.

    Raises:
        CodecError: If a changed value is or becomes padding, or needs more than the stored bits.
    """
    header = source.header
    check_limits(header.name, array, source)
    slices = [np.ascontiguousarray(array[0, :, :, index].T) for index in range(array.shape[-1])]
    digest = hashlib.sha256()
    for pixels in slices:
        digest.update(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes())
    return {
        name: encode_file(pixels, content, digest.hexdigest())
        for (name, content), pixels in zip(header.files, slices, strict=True)
    }


def _sort_by_place(name: str, files: list[DicomFile]) -> tuple[np.ndarray, tuple[float, ...]]:
    """Sort slices along the normal of their plane; return their geometry, see `stack_affine`."""
    for file in files:
        for keyword, meaning in _PLACE.items():
            if file.dataset.get(keyword) is None:
                reason = f"no {keyword} ({meaning}), its place in the volume is unknown"
                raise CodecError(f"{name}/{file.name}", reason, _PLACE_CURE.format(keyword=keyword))
    dataset = files[0].dataset
    orientation = [float(value) for value in dataset.ImageOrientationPatient]
    normal = np.cross(orientation[:3], orientation[3:])
    files.sort(key=lambda file: float(np.dot(normal, _position(file))))
    positions = np.stack([_position(file) for file in files])
    pixel_spacing = [float(size) for size in dataset.PixelSpacing]
    return stack_affine(
        name, [file.name for file in files], positions=positions, orientation=orientation, pixel_spacing=pixel_spacing
    )


def _sort_by_number(name: str, files: list[DicomFile]) -> tuple[None, None]:
    """Sort slices without positions by Instance Number."""
    numbers: dict[int, str] = {}
    for file in files:
        number = file.dataset.get("InstanceNumber")
        if number is None:
            reason = "neither ImagePositionPatient nor InstanceNumber, its place in the volume is unknown"
            cure = "number the slices in their order with pydicom (dataset.InstanceNumber = 1, 2, ...; save_as)"
            raise CodecError(f"{name}/{file.name}", reason, cure)
        if int(number) in numbers:
            reason = f"InstanceNumber {number}, as in {numbers[int(number)]}, and no ImagePositionPatient"
            raise CodecError(f"{name}/{file.name}", reason, "keep one stack of slices, without repeats")
        numbers[int(number)] = file.name
    for before, after in pairwise(sorted(numbers)):
        if after != before + 1:
            reason = f"InstanceNumber {after} of {numbers[after]} follows {before} of {numbers[before]}"
            cure = "add the missing slices, or number all in their order with pydicom (dataset.InstanceNumber; save_as)"
            raise CodecError(name, reason, cure)
    files.sort(key=lambda file: int(file.dataset.InstanceNumber))
    return None, None


def _check_slice(folder: str, file: DicomFile, first: DicomFile) -> None:
    """Refuse a file that does not belong to the same volume as the first one."""
    where = f"{folder}/{file.name}"
    if file.pixels.ndim != 2:
        raise CodecError(where, "color or several frames", "put it into a folder of its own, as a case of its own")
    for keyword, cure in _COMMON.items():
        values = [other.dataset.get(keyword) for other in (file, first)]
        if not _equal(*values):
            raise CodecError(where, f"{keyword} is {values[0]}, in {first.name} it is {values[1]}", cure)


def _equal(value: Any, other: Any) -> bool:
    if value is None or other is None or isinstance(value, str):
        return value == other
    return np.allclose(
        np.array(value, float), np.array(other, float), rtol=_RELATIVE_TOLERANCE, atol=_RELATIVE_TOLERANCE
    )


def _position(file: DicomFile) -> np.ndarray:
    return np.array(file.dataset.ImagePositionPatient, dtype=float)
