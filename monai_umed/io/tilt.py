"""Volumes whose slices are shifted against each other, as in CT with a tilted gantry, which most readers ignore."""

import numpy as np

_LEAST = 0.5
"""Smallest tilt in degrees that is reported; rounded positions cause a tenth of it."""


def tilt_of(grid: np.ndarray) -> float:
    """Return the angle in degrees between the stacking direction of slices and the normal of their plane.

    Args:
        grid: 4 x 4 matrix from voxel ``(i, j, k, 1)`` to mm, slices along ``k``. For any other shape, the angle is 0.
    """
    if grid.shape != (4, 4):
        return 0.0
    normal = np.cross(grid[:3, 0], grid[:3, 1])
    sizes = np.linalg.norm(normal) * np.linalg.norm(grid[:3, 2])
    return float(np.degrees(np.arccos(np.clip(abs(normal @ grid[:3, 2]) / sizes, 0.0, 1.0))))


def tilt_cure(grid: np.ndarray) -> tuple[str, str] | None:
    """Return the tilt of a series as a reason, and the cure for a mask that ignores it; None if it is not tilted.

    Args:
        grid: matrix of the series to mm toward the patient's left, posterior and superior.
    """
    tilt = tilt_of(grid)
    if tilt < _LEAST:
        return None
    affine = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid).round(6).tolist()
    cure = (
        "if the mask was drawn slice by slice on what SimpleITK, which ignores the tilt, makes of the series, save its "
        "voxels where the slices lie: nibabel.save(nibabel.Nifti1Image(SimpleITK.GetArrayFromImage(mask).T, "
        f"{affine}), 'NAME.nii.gz'); else save one picture per slice (.png), named as the slice"
    )
    return f"the image's slices are tilted by {tilt:.1f} degrees (gantry)", cure
