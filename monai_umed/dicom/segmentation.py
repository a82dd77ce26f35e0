"""Read labels from DICOM SEG files onto the grid of their image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid

from ..io.grids import GRID_TOLERANCE, grid_corners
from ..io.stored import CodecError
from .elements import dicom_errors, frame_values, read_elements, read_some

_LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
_PICTURE_CURE = (
    "if it was drawn on this image, save its pixels as pictures of the image's size (pydicom's pixel_array, Pillow's "
    "save): one .png, or for a series one per slice, named as the slice"
)


def is_segmentation(path: Path) -> bool:
    """Return whether a file is a DICOM SEG of any kind; False if it cannot be read."""
    try:
        kind = read_some(path, ["SOPClassUID"]).get("SOPClassUID")
    except Exception:  # whatever is wrong is reported when the file is read as an image
        return False
    return kind in (uid.SegmentationStorage, _LABEL_MAP_STORAGE)


def highest_segment(path: Path) -> int:
    """Return the largest Segment Number that a SEG file declares, without reading its pixels.

    Raises:
        CodecError: If it declares none, or the file is damaged.
    """
    with dicom_errors(path.name):
        dataset = read_some(path, ["SegmentSequence"])
        return max(int(segment.SegmentNumber) for segment in dataset.SegmentSequence)


def decode_segmentation(path: Path, grid: np.ndarray | None, shape: Sequence[int]) -> np.ndarray:
    """Read a DICOM SEG onto the grid of an image.

    Frames are placed by their position in the patient; slices without a frame are background. If neither a single image
    nor the frames have a position, as with X-rays, pixels correspond row by row.

    Args:
        path: SEG file of type BINARY.
        grid: the image's grid, from `decode_series` or `decode_dicom`.
        shape: the image's ``(i, j, k)``, or ``(rows, columns)`` of a single image.

    Returns:
        Class numbers ``(1, *shape)``, the Segment Number or 0, as uint8, or as uint16 if a segment is above 255.

    Raises:
        CodecError: If the file is damaged or of another type, segments overlap, or frames are not on the image's grid.
    """
    with dicom_errors(path.name):
        dataset = read_elements(path)
        kind = dataset.get("SegmentationType", "LABELMAP" if dataset.SOPClassUID == _LABEL_MAP_STORAGE else None)
        if kind != "BINARY":
            cure = "export it as a BINARY segmentation, or as a label map in a .nii.gz or .nrrd file"
            raise CodecError(path.name, f"segmentation of the type {kind}, must be BINARY", cure)
        masks = np.reshape(dataset.pixel_array, (-1, dataset.Rows, dataset.Columns)).astype(bool)
        count = len(masks)
        segments = _per_frame(dataset, "SegmentIdentificationSequence", "ReferencedSegmentNumber", count)
        affine, sides = (grid, shape) if len(shape) == 3 else (_columns_first(grid), (*shape[::-1], 1))
        placed = _frame_grids(path.name, dataset, count, affine)
        volume = np.zeros(sides, np.uint8 if max(segments) <= np.iinfo(np.uint8).max else np.uint16)
        for number, mask in enumerate(masks):
            if affine is None or placed is None:
                _check_size(path.name, mask.shape, shape)
                index = 0
            else:
                index = _slice_index(
                    path.name, number, frame=placed[number], frame_shape=mask.T.shape, affine=affine, shape=sides
                )
            plane = volume[:, :, index]
            if np.setdiff1d(plane[mask.T], (0, segments[number])).size:
                reason = f"segments overlap in frame {number + 1}"
                raise CodecError(path.name, reason, "store overlapping structures as files of their own")
            plane[mask.T] = segments[number]
    return (volume if len(shape) == 3 else volume[:, :, 0].T)[None]


def _columns_first(grid: np.ndarray | None) -> np.ndarray | None:
    """Return the grid of a single image with its columns as first axis, as in a volume."""
    return None if grid is None else grid[:, [1, 0, 2, 3]]


def _frame_grids(name: str, dataset: Any, count: int, affine: np.ndarray | None) -> list[np.ndarray] | None:
    """Return the matrix of each frame; None if neither the frames nor the image have a position."""
    if not frame_values(dataset, "PlanePositionSequence", "ImagePositionPatient"):
        if affine is None:
            return None
        raise CodecError(name, "its frames have no position, its image has one", _PICTURE_CURE)
    if affine is None:
        raise CodecError(name, "its frames have a position, its image has none", _PICTURE_CURE)
    positions = _per_frame(dataset, "PlanePositionSequence", "ImagePositionPatient", count)
    orientations = _per_frame(dataset, "PlaneOrientationSequence", "ImageOrientationPatient", count)
    spacings = _per_frame(dataset, "PixelMeasuresSequence", "PixelSpacing", count)
    grids = []
    for number in range(count):
        frame = np.eye(4)
        frame[:3, :2] = np.reshape(orientations[number], (2, 3)).T.astype(float) * spacings[number][::-1]
        frame[:3, 3] = positions[number]
        grids.append(frame)
    return grids


def _check_size(name: str, frame_shape: Sequence[int], shape: Sequence[int]) -> None:
    """Refuse a frame whose size differs from that of a single image without a position."""
    if tuple(frame_shape) != tuple(shape):
        reason = f"frames of {tuple(frame_shape)} rows and columns, its image has {tuple(shape)}"
        raise CodecError(name, reason, "pair it with the image that it was drawn on")


def _per_frame(dataset: Any, sequence: str, keyword: str, count: int) -> list[Any]:
    """Return one value per frame."""
    values = frame_values(dataset, sequence, keyword)
    if len(values) not in (1, count):
        raise ValueError(f"{len(values)} values of {keyword} for {count} frames")
    return values if len(values) == count else values * count


def _slice_index(
    name: str, number: int, *, frame: np.ndarray, frame_shape: Sequence[int], affine: np.ndarray, shape: Sequence[int]
) -> int:
    """Return the slice of the image's grid on which a frame is."""
    corners = grid_corners((*frame_shape, 1))
    # The frame has no third axis. Zeros suffice, because all its corners have the same third coordinate.
    moved = np.linalg.solve(affine, frame @ corners)
    index = round(float(moved[2, 0]))
    expected = corners + np.array([[0], [0], [index], [0]])
    in_grid = 0 <= index < shape[2] and tuple(frame_shape) == tuple(shape[:2])
    if not in_grid or np.abs(moved - expected).max() > GRID_TOLERANCE:
        reason = f"frame {number + 1} at {frame[:3, 3].tolist()} mm is on no slice of the image"
        raise CodecError(name, reason, "pair it with the series that it was drawn on, or resample it to that series")
    return index
