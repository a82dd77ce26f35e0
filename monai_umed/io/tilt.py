"""Volumes whose slices are shifted against each other, as in CT with a tilted gantry: most readers ignore it."""

import numpy as np

_LEAST = 0.5
"""Degrees from which on a tilt is named; rounded positions make up a tenth of it."""


def tilt_of(grid: np.ndarray) -> float:
    """Degrees between the direction in which slices follow each other and the normal of their plane.

    Args:
        grid: voxel ``(i, j, k, 1)`` to mm, 4 x 4, slices along ``k``; 0 for grids of two coordinates.
    """
    if grid.shape != (4, 4):
        return 0.0
    normal = np.cross(grid[:3, 0], grid[:3, 1])
    sizes = np.linalg.norm(normal) * np.linalg.norm(grid[:3, 2])
    return float(np.degrees(np.arccos(np.clip(abs(normal @ grid[:3, 2]) / sizes, 0.0, 1.0))))


def tilt_cure(grid: np.ndarray) -> tuple[str, str] | None:
    """How tilted a series is, and what to do with a mask whose file knows nothing of it; None if it is not tilted.

    Args:
        grid: of the series, toward the patient's left, posterior and superior.
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
