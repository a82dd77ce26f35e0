"""A small dataset of everything that is written differently, for tests that interrupt or hinder protecting it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_files import make, save
from protected_folder import noise, small_protector, square, write_array

from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import Manifest
from monai_umed.protectors import UMed
from monai_umed.release.protect import protect_dataset

NAMES = "abc"
SHAPE = (40, 48)


def write_dataset(folder: Path, names: str = NAMES, ending: str = ".bmp") -> Path:
    """One gray image per letter, all different."""
    for name in names:
        write_array(folder / "images" / f"{name}{ending}", noise(SHAPE, seed=ord(name)).astype(np.uint8))
        write_array(folder / "masks" / f"{name}.png", square(SHAPE))
    return folder


def add_dicom(folder: Path) -> None:
    save(make(noise(SHAPE, 4096).astype(np.uint16), bits=12), folder / "images" / "d.dcm")
    write_array(folder / "masks" / "d.png", square(SHAPE))


def protect(dataset: Path, out: Path, protector: UMed | None = None, num_workers: int = 1) -> Manifest:
    return protect_dataset(
        find_cases(dataset), protector or small_protector(), out, num_workers=num_workers, progress=False
    )
