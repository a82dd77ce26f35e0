"""NIfTI pairs for tests: images and masks in two files each."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.nifti2 import Nifti2Pair
from protected_folder import noise, square

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
SHAPE = (20, 18, 16)
KINDS = {"ni1": nib.Nifti1Pair, "ni2": Nifti2Pair}


def write_pair(path: Path, seed: int = 0, kind: type[nib.Nifti1Pair] = nib.Nifti1Pair) -> Path:
    """Write a volume of noise, with a name and a comment in its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pair = kind((noise(SHAPE, 2000, seed) - 1000).astype(np.int16), AFFINE)
    pair.header["descrip"] = f"scan {seed}".encode()
    pair.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"kept"))
    pair.to_filename(path)
    return path


def write_mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Pair(square(SHAPE, 1), AFFINE).to_filename(path)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
