"""DICOM as scanners and archives write it: protected where the label lies, verified, and restored bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import make, save
from PIL import Image
from protected_folder import may_change, noise, square, tree
from pydicom import uid
from sealed_folders import KEY, folders_in, protect_and_seal, restore_all

from monai_umed.release.verify import verify_folder
from monai_umed.sealing.originals import Originals

SHAPE = SLICES, ROWS, COLUMNS = 9, 36, 40
MASK = square(SHAPE, 1)
ORIGIN, STEP, SPACING = (-10.0, -20.0, 5.0), 2.5, (0.8, 0.6)  # mm; the spacing between rows, between columns


def slices(**elements: Any) -> list[Any]:
    """A series, each slice with its place, lowest first."""
    datasets = []
    for number, pixels in enumerate(noise(SHAPE, 4096).astype(np.uint16)):
        dataset = make(pixels, bits=12, InstanceNumber=number + 1, SOPInstanceUID=f"1.2.3.{number + 1}")
        dataset.PixelSpacing = list(SPACING)
        dataset.ImagePositionPatient = [*ORIGIN[:2], ORIGIN[2] + STEP * number]
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        datasets.append(dataset)
    return datasets


def strip_header(path: Path) -> None:
    """Take preamble and header from a file, which is left with its elements as Implicit VR Little Endian."""
    dataset: Any = pydicom.dcmread(path)
    del dataset.file_meta, dataset.preamble
    dataset.save_as(path, implicit_vr=True, little_endian=True)


def write_label(root: Path, mask: np.ndarray = MASK) -> None:
    """A label map that lies where `slices` do."""
    label = SimpleITK.GetImageFromArray(mask)
    label.SetSpacing((SPACING[1], SPACING[0], STEP))
    label.SetOrigin(ORIGIN)
    (root / "masks").mkdir(exist_ok=True)
    SimpleITK.WriteImage(label, str(root / "masks" / "a.nrrd"))


def write_series(root: Path, name: Callable[[int], str] = "{}.dcm".format, without_header: bool = False) -> None:
    (root / "images" / "a").mkdir(parents=True)
    for number, dataset in enumerate(slices()):
        path = save(dataset, root / "images" / "a" / name(number))
        if without_header:
            strip_header(path)
    write_label(root)


def write_single(root: Path) -> None:
    (root / "images").mkdir()
    (root / "masks").mkdir()
    save(slices()[SLICES // 2], root / "images" / "1.2.840.7")
    Image.fromarray(MASK[SLICES // 2]).save(root / "masks" / "1.2.840.7.png")


KINDS: dict[str, Callable[[Path], None]] = {
    "series without ending": lambda root: write_series(root, "IM{:06}".format),
    "series of .IMA": lambda root: write_series(root, "{}.IMA".format),
    "series named by UIDs": lambda root: write_series(root, "1.2.840.{}".format),
    "series without preamble": lambda root: write_series(root, without_header=True),
    "single without ending": write_single,
}


def pixels_by_place(path: Path) -> dict[float, np.ndarray]:
    """Pixels ``(rows, columns)`` of an image by height in mm, as pydicom reads them."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = {}
    for file in files:
        dataset: Any = pydicom.dcmread(file, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
        found[float(dataset.ImagePositionPatient[2])] = dataset.pixel_array
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_what_users_have_is_protected_in_its_place_and_comes_back(tmp_path: Path, kind: str) -> None:
    folders = folders_in(tmp_path)
    folders.dataset.mkdir()
    KINDS[kind](folders.dataset)
    [image] = (folders.dataset / "images").iterdir()
    dims = 3 if image.is_dir() else 2
    assert protect_and_seal(folders, spatial_dims=dims).done == [image.name]
    assert verify_folder(folders.protected, folders.dataset, progress=False) == []

    before, after = (pixels_by_place(root / "images" / image.name) for root in (folders.dataset, folders.protected))
    assert before.keys() == after.keys()
    changed = 0
    for number, height in enumerate(ORIGIN[2] + STEP * np.arange(SLICES)):
        if height in before:
            difference = before[height] != after[height]
            near = may_change(MASK)[number] if dims == 3 else may_change(MASK[number])
            assert not difference[~near].any()
            changed += int(difference[MASK[number] > 0].sum())
    assert changed > 0

    restore_all(folders)
    assert tree(folders.output) == tree(folders.dataset)
    originals = Originals(folders.protected, folders.sealed, KEY)
    _, label = originals.image_and_label(originals.records[0])
    assert int(label.sum()) == int(MASK.sum() if dims == 3 else MASK[SLICES // 2].sum())
