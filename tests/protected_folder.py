"""Small datasets of every kind of file, read back with other libraries than the package's own code."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
import torch
from PIL import Image
from scipy import ndimage

from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed

EPS = 4 / 255
WORKING = 32  # side of the working grid
BAND = 2  # half-width of the contour band in its pixels


def small_protector(in_channels: int = 1, spatial_dims: int = 2) -> UMed:
    """A protector whose generators are random but loud: every bound is reached somewhere."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        perturbator = UMedPerturbator(spatial_dims, in_channels, features=(4, 8))
    for part in (perturbator.contour, perturbator.texture):
        with torch.no_grad():
            part.unfold.weight *= 10
    perturbator.eval().requires_grad_(False)
    return UMed(perturbator, (WORKING,) * spatial_dims, EPS, band_radius=BAND)


def noise(shape: tuple[int, ...], high: int = 256, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape)


def square(shape: tuple[int, ...], value: int = 255) -> np.ndarray:
    """A mask with a box from a third to two thirds of every side."""
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(side // 3, 2 * side // 3) for side in shape)] = value
    return mask


def write_array(path: Path, array: np.ndarray) -> None:
    """Write ``(H, W)``, ``(H, W, 3)`` or a volume in the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii.gz", ".nii", ".img")):
        kind = nib.Nifti1Pair if path.suffix == ".img" else nib.Nifti1Image
        kind(array, np.diag([1.0, 1.0, 2.5, 1.0])).to_filename(path)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


def read_array(path: Path) -> np.ndarray:
    """What is stored, in stored units, as NiBabel, tifffile or Pillow see it."""
    if path.name.endswith((".nii.gz", ".nii", ".img")):
        return np.asarray(nib.load(path).dataobj)  # type: ignore[attr-defined]
    if path.suffix == ".tif":
        return tifffile.imread(path)
    return np.asarray(Image.open(path))


def may_change(mask: np.ndarray) -> np.ndarray:
    """The region of interest and its band, whose half-width grows with the image."""
    size = [2 * max(1, round(BAND * side / WORKING)) + 1 for side in mask.shape]
    return ndimage.binary_dilation(mask > 0, np.ones(size))


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by its relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
