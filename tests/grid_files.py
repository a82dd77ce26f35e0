"""Volumes on grids that are turned in space, written by SimpleITK, and their labels in any order of axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK
from protected_folder import noise

from monai_umed.data.case import Case

SHAPE = (20, 18, 7)
SUFFIXES = (".nii.gz", ".nrrd", ".mha")


def turned(seed: int, ndim: int = 3) -> list[float]:
    """Direction cosines of a rotation."""
    axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(ndim, ndim))).Q
    axes[:, 0] *= np.linalg.det(axes)
    return axes.ravel().tolist()


def label_array(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A mask that no flip or exchange of axes leaves as it is."""
    label = np.zeros(shape, np.uint8)
    label[2:9, 3:7, 1:4] = 1
    label[2:4, 3:12, 1] = 1
    return label


def placed(array: np.ndarray, seed: int = 0) -> SimpleITK.Image:
    """``(i, j[, k])`` on a grid of its own spacing, origin and direction."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing([0.7, 0.9, 2.5][: array.ndim])
    image.SetOrigin([-31.25, 12.5, 400.0][: array.ndim])
    image.SetDirection(turned(seed, array.ndim))
    return image


def reordered(image: SimpleITK.Image, axes: Sequence[int], flips: Sequence[bool]) -> SimpleITK.Image:
    """The same voxels at the same places, stored in another order."""
    ndim = image.GetDimension()
    return SimpleITK.Flip(SimpleITK.PermuteAxes(image, list(axes)), list(flips)[:ndim], False)


def write_case(folder: Path, image: SimpleITK.Image, label: SimpleITK.Image, suffixes: tuple[str, str]) -> Case:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    case = Case("a", folder / "images" / f"a{suffixes[0]}", folder / "masks" / f"a{suffixes[1]}")
    SimpleITK.WriteImage(image, str(case.image))
    SimpleITK.WriteImage(label, str(case.label))
    return case


def volume(seed: int = 0) -> SimpleITK.Image:
    return placed(noise(SHAPE, 400, seed).astype(np.int16), seed)
