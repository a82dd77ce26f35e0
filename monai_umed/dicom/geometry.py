"""The positions of DICOM voxels in the patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..io.stored import CodecError
from .elements import DicomFile, frame_values

# Positions are decimal text, often of two digits: a slice may deviate by this fraction of the slice distance.
_STEP_TOLERANCE = 0.1
_FLAT = 1e-3
"""Area of a pixel, as a fraction of a rectangle with its sides, below which its sides count as parallel."""


def stack_affine(
    name: str,
    labels: Sequence[str],
    *,
    positions: np.ndarray,
    orientation: Sequence[float],
    pixel_spacing: Sequence[float],
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return the affine and the spacing of equally spaced slices.

    Args:
        name: file or folder, for errors.
        labels: name of each slice, for errors.
        positions: Image Position (Patient) in mm of at least two slices in their order, ``(slices, 3)``.
        orientation: Image Orientation (Patient), 6 numbers.
        pixel_spacing: Pixel Spacing in mm, between rows and between columns.

    Returns:
        A 4 x 4 matrix from voxel ``(i, j, k, 1)`` to LPS mm, and the spacing in mm along ``i``, ``j``, ``k``.

    Raises:
        CodecError: If a slice is missing, repeated, or out of line.
    """
    along_row, along_column = np.reshape(orientation, (2, 3)).astype(float)
    steps = np.diff(positions, axis=0)
    median = np.median(steps, axis=0)
    distance = abs(float(median @ np.cross(along_row, along_column)))
    if min(distance, *pixel_spacing) <= 0:
        raise CodecError(name, "its slices do not form a stack", "keep one stack of slices, without repeats")
    deviation = np.linalg.norm(steps - median, axis=1)
    if (deviation > _STEP_TOLERANCE * distance).any():
        worst = int(deviation.argmax())
        reason = (
            f"from {labels[worst]} to {labels[worst + 1]} it is {np.linalg.norm(steps[worst]):.3f} mm, "
            f"elsewhere {distance:.3f} mm"
        )
        raise CodecError(name, reason, "add missing slices, remove repeated ones and those of another stack")
    affine = np.eye(4)
    affine[:3, 0] = along_row * pixel_spacing[1]
    affine[:3, 1] = along_column * pixel_spacing[0]
    affine[:3, 2] = (positions[-1] - positions[0]) / len(steps)
    affine[:3, 3] = positions[0]
    return affine, (float(pixel_spacing[1]), float(pixel_spacing[0]), distance)


@dataclass(frozen=True, eq=False)
class FramesGeometry:
    """Where the frames of a file are in the patient, as far as the file says.

    Attributes:
        affine: for several frames, 4 x 4 matrix from voxel ``(i, j, k, 1)`` to LPS mm; ``k`` counts along ``order``.
        spacing: in mm between rows and between columns of a single frame, or along ``i``, ``j`` and ``k``.
        grid: ``affine``, or for a single frame a matrix from ``(row, column, 0, 1)`` to LPS mm.
        order: numbers of the stored frames in their order in space; None for the order in which they are stored.
    """

    affine: np.ndarray | None = None
    spacing: tuple[float, ...] | None = None
    grid: np.ndarray | None = None
    order: tuple[int, ...] | None = None


def frames_geometry(file: DicomFile) -> FramesGeometry:
    """Return where the frames of a file are; frames that are stored in spatial order, or its reverse, keep it.

    Raises:
        CodecError: If the frames are not an evenly spaced stack in any order.
    """
    dataset = file.dataset
    pixel_spacing = frame_values(dataset, "PixelMeasuresSequence", "PixelSpacing") or frame_values(
        dataset, "PixelMeasuresSequence", "ImagerPixelSpacing"
    )
    if len(pixel_spacing) == 0 or len(set(map(tuple, pixel_spacing))) > 1 or min(pixel_spacing[0]) <= 0:
        return FramesGeometry()
    rows, columns = map(float, pixel_spacing[0])
    positions = frame_values(dataset, "PlanePositionSequence", "ImagePositionPatient")
    orientations = frame_values(dataset, "PlaneOrientationSequence", "ImageOrientationPatient")
    if file.pixels.ndim == 2 or dataset.SamplesPerPixel == 3:
        return FramesGeometry(spacing=(rows, columns), grid=_plane_grid(positions, orientations, (rows, columns)))
    if len(positions) != len(file.pixels) or len(set(map(tuple, orientations))) != 1:
        distance = dataset.get("SpacingBetweenSlices")
        return FramesGeometry(spacing=(columns, rows, float(distance)) if distance and distance > 0 else None)
    places = np.array(positions, dtype=float)
    order = _stack_order(places, orientations[0])
    labels = [f"frame {number + 1}" for number in order or range(len(places))]
    sorted_places = places if order is None else places[list(order)]
    affine, spacing = stack_affine(
        file.name, labels, positions=sorted_places, orientation=orientations[0], pixel_spacing=(rows, columns)
    )
    return FramesGeometry(affine, spacing, affine, order)


def _stack_order(positions: np.ndarray, orientation: Sequence[float]) -> tuple[int, ...] | None:
    """Return the order of frames along the normal of the image plane; None if it or its reverse is that of the file."""
    row, column = np.reshape(orientation, (2, 3)).astype(float)
    heights = positions @ np.cross(row, column)
    steps = np.diff(heights)
    if (steps > 0).all() or (steps < 0).all():
        return None
    return tuple(np.argsort(heights, kind="stable").tolist())


def _plane_grid(
    positions: Sequence[Sequence[float]], orientations: Sequence[Sequence[float]], pixel_spacing: tuple[float, float]
) -> np.ndarray | None:
    """Return the matrix of a single frame, None if the file does not give it or its axes are parallel."""
    if [np.size(value) for value in (*positions, *orientations)] != [3, 6]:
        return None
    along_row, along_column = np.reshape(orientations[0], (2, 3)).astype(float)
    grid = np.eye(4)
    grid[:3, 0], grid[:3, 1] = along_column * pixel_spacing[0], along_row * pixel_spacing[1]
    grid[:3, 2], grid[:3, 3] = np.cross(grid[:3, 0], grid[:3, 1]), positions[0]
    size = float(np.linalg.norm(grid[:3, 2]))
    if not np.isfinite(grid).all() or size < _FLAT * pixel_spacing[0] * pixel_spacing[1]:
        return None
    grid[:3, 2] /= size
    return grid
