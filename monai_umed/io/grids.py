"""Check where the voxels of a file are in the patient, and reorder a label's voxels to match its image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np

from .stored import CodecError, Decoded, StoredImage
from .tilt import tilt_cure

GRID_TOLERANCE = 0.1
"""Fraction of a voxel by which labels may deviate from the image's grid; text and float32 deviate by 0.001 voxels."""
_SMALLEST, _LARGEST = 1e-9, 1e9
"""Plausible sizes in mm, from a picometer to a thousand kilometers, which also limit coordinates."""
_FLAT = 1e-6
"""Volume of a voxel, as a fraction of a box with its sides, below which its sides count as coplanar."""
NIFTI_CURE = "correct its header with nibabel (image.header.set_zooms, image.set_sform, image.set_qform), and save it"
_TEXT_CURE = (
    "correct the text at the head of the file (space directions and space origin; ElementSpacing, TransformMatrix and "
    "Offset), or export it again"
)
_CURE = (
    "resample it to the image (SimpleITK.Resample(mask, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)) "
    "or, if it was drawn on the image and its header alone is wrong, give it the image's (mask.CopyInformation(image))"
)


def filled_grid(affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Make an affine invertible if the file does not give the size of an axis of one voxel.

    Args:
        affine: square matrix from voxel ``(*spatial, 1)`` to mm, with at least as many axes as ``shape``.
        shape: spatial shape.

    Returns:
        The affine; in 3D, if the column of a single axis of one voxel is zero, it is the normal of the other two.
    """
    ndim = len(affine) - 1
    thin = [axis for axis, side in enumerate(_padded(shape, ndim)) if side == 1 and not affine[:ndim, axis].any()]
    if ndim != 3 or len(thin) != 1:
        return affine
    grid = affine.copy()
    first, second = np.delete(affine[:3, :3], thin[0], axis=1).T
    normal = np.cross(first, second)
    grid[:3, thin[0]] = normal / (np.linalg.norm(normal) or 1)
    return grid


def check_geometry(name: str, decoded: Decoded) -> None:
    """Refuse a file whose header gives its voxels an impossible size or position.

    Args:
        name: name of the file, for errors.
        decoded: the content of the file.

    Raises:
        CodecError: If a size is NaN, infinite or not within 1e-9 to 1e9 mm, if a coordinate is NaN or beyond 1e9 mm, or
            if axes are coplanar.
    """
    reason = _geometry_problem(decoded)
    if reason:
        raise CodecError(name, reason, NIFTI_CURE if decoded.format.startswith("nifti") else _TEXT_CURE)


def _geometry_problem(decoded: Decoded) -> str | None:
    for axis, size in enumerate(decoded.spacing or ()):
        if not _SMALLEST <= size <= _LARGEST:
            return f"its voxels are {size:g} mm long along axis {axis}, must be {_SMALLEST:g} to {_LARGEST:g} mm"
    for affine in (decoded.affine, decoded.grid):
        if affine is not None and not (np.abs(affine) <= _LARGEST).all():
            return f"its affine {affine[:-1].tolist()} has NaN or numbers beyond {_LARGEST:g} mm"
    if decoded.grid is not None:
        axes = decoded.grid[:-1, :-1]
        if not abs(np.linalg.det(axes)) > _FLAT * np.linalg.norm(axes, axis=0).prod():
            return f"its axes are in one plane (affine {decoded.grid[:-1].tolist()})"
    return None


def on_image_grid(name: str, values: np.ndarray, grid: np.ndarray | None, image: StoredImage) -> np.ndarray:
    """Reorder a label's voxels to match its image, by the positions in both files.

    Axes are flipped and exchanged, nothing is resampled. Files without positions are not compared, nor are planes with
    two coordinates with planes that have three.

    Args:
        name: file name of the label, for errors.
        values: ``(1, *spatial)`` in the order of the label's file.
        grid: grid of the label, see `Decoded`.
        image: the image that the label belongs to.

    Returns:
        ``(1, *spatial)`` with the image's spatial shape, or ``values`` if the files are not compared.

    Raises:
        CodecError: If the positions of the voxels differ by more than a tenth of a voxel.
    """
    if grid is None or image.grid is None or grid.shape != image.grid.shape or not _same_axes(values, image):
        return values
    ndim = len(grid) - 1
    sides, target = _padded(values.shape[1:], ndim), _padded(image.shape, ndim)
    corners = grid_corners(sides)
    moved = np.linalg.solve(image.grid, grid @ corners)
    for axes in permutations(range(ndim)):
        if tuple(sides[axis] for axis in axes) != target:
            continue
        for flips in product((False, True), repeat=ndim):
            expected = corners[[*axes, ndim]]
            for axis in np.flatnonzero(flips):
                expected[axis] = target[axis] - 1 - expected[axis]
            if np.abs(moved - expected).max() <= GRID_TOLERANCE:
                turned = np.flip(values[0].reshape(sides).transpose(axes), tuple(np.flatnonzero(flips).tolist()))
                return np.ascontiguousarray(turned).reshape(1, *image.shape)
    first, last = (moved[:ndim, index].round(1).tolist() for index in (0, -1))
    reason = (
        f"the mask is not on the image's grid, it reaches from the image's voxel {first} to {last} (mm, LPS; "
        f"mask: {describe_grid(grid, values.shape[1:])}; image: {describe_grid(image.grid, image.shape)})"
    )
    if image.format == "dicom_series" and (tilted := tilt_cure(image.grid)):
        raise CodecError(name, f"{tilted[0]}; {reason}", tilted[1])
    raise CodecError(name, reason, _CURE)


def _same_axes(values: np.ndarray, image: StoredImage) -> bool:
    """Return whether a label has its image's axes; that of a single DICOM slice may have a third one of one voxel."""
    more = len(values.shape) - 1 - len(image.shape)
    return more == 0 or (image.format == "dicom" and more == 1 and 1 in values.shape[1:])


def describe_grid(grid: np.ndarray, shape: Sequence[int]) -> str:
    """Describe shape, and in LPS mm SimpleITK's spacing, origin and direction."""
    sizes = np.linalg.norm(grid[:-1, :-1], axis=0)
    spacing, origin = ([float(f"{value:.6g}") for value in values] for values in (sizes, grid[:-1, -1]))
    direction = ((grid[:-1, :-1] / sizes).round(4) + 0.0).tolist()  # without negative zeros
    return f"shape {tuple(shape)}, spacing {spacing}, origin {origin}, direction {direction}"


def grid_corners(shape: Sequence[int]) -> np.ndarray:
    """Return the corner voxels of ``n`` axes as ``(n + 1, 2 ** n)``, whose last row is 1."""
    ends = np.array(np.meshgrid(*([0.0, side - 1.0] for side in shape), indexing="ij")).reshape(len(shape), -1)
    return np.concatenate([ends, np.ones((1, ends.shape[1]))])


def _padded(shape: Sequence[int], ndim: int) -> tuple[int, ...]:
    return (*shape, 1, 1, 1)[:ndim]
