"""Where the voxels of DICOM files lie in the patient."""

from collections.abc import Sequence

import numpy as np

from ..io.stored import CodecError
from .elements import DicomFile, frame_values

# Positions are decimal text, often of two digits: a slice may miss its place by this share of the slice distance.
_STEP_TOLERANCE = 0.1


def stack_affine(
    name: str,
    labels: Sequence[str],
    positions: np.ndarray,
    orientation: Sequence[float],
    pixel_spacing: Sequence[float],
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Geometry of equally spaced slices.

    Args:
        name: file or folder, for errors.
        labels: name of each slice, for errors.
        positions: ``(slices, 3)``, Image Position (Patient) in mm, in the order of the slices, at least two.
        orientation: Image Orientation (Patient), 6 numbers.
        pixel_spacing: Pixel Spacing in mm: between rows, between columns.

    Returns:
        ``(affine, spacing)``: 4 x 4 from voxel ``(i, j, k, 1)`` to LPS mm, and mm along ``i``, ``j``, ``k``.

    Raises:
        CodecError: a slice is missing, doubled, or out of line.
    """
    along_row, along_column = np.reshape(orientation, (2, 3)).astype(float)
    steps = np.diff(positions, axis=0)
    median = np.median(steps, axis=0)
    distance = abs(float(median @ np.cross(along_row, along_column)))
    if min(distance, *pixel_spacing) <= 0:
        raise CodecError(name, "its slices do not lie behind each other", "keep one stack of slices, without repeats")
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


def frames_geometry(file: DicomFile) -> tuple[np.ndarray | None, tuple[float, ...] | None]:
    """Affine, for volumes, and spacing of one file; None for what it does not say."""
    dataset = file.dataset
    pixel_spacing = frame_values(dataset, "PixelMeasuresSequence", "PixelSpacing") or frame_values(
        dataset, "PixelMeasuresSequence", "ImagerPixelSpacing"
    )
    if len(pixel_spacing) == 0 or len(set(map(tuple, pixel_spacing))) > 1 or min(pixel_spacing[0]) <= 0:
        return None, None
    rows, columns = map(float, pixel_spacing[0])
    if file.pixels.ndim == 2 or dataset.SamplesPerPixel == 3:
        return None, (rows, columns)
    positions = frame_values(dataset, "PlanePositionSequence", "ImagePositionPatient")
    orientations = frame_values(dataset, "PlaneOrientationSequence", "ImageOrientationPatient")
    if len(positions) != len(file.pixels) or len(set(map(tuple, orientations))) != 1:
        distance = dataset.get("SpacingBetweenSlices")
        return None, (columns, rows, float(distance)) if distance and distance > 0 else None
    labels = [f"frame {number + 1}" for number in range(len(positions))]
    return stack_affine(file.name, labels, np.array(positions, dtype=float), orientations[0], (rows, columns))
