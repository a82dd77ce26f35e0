"""DICOM as scanners and archives write it: protected where the label lies, verified, and restored bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import make, make_segmentation, save
from PIL import Image
from protected_folder import may_change, noise, square, tree
from pydicom import uid
from pydicom.dataset import Dataset
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


def write_series(
    root: Path,
    name: Callable[[int], str] = "{}.dcm".format,
    *,
    without_header: bool = False,
    datasets: Sequence[Any] = (),
) -> None:
    (root / "images" / "a").mkdir(parents=True)
    for number, dataset in enumerate(datasets or slices()):
        path = save(dataset, root / "images" / "a" / name(number))
        if without_header:
            strip_header(path)
    write_label(root)


def write_single(root: Path) -> None:
    (root / "images").mkdir()
    (root / "masks").mkdir()
    save(slices()[SLICES // 2], root / "images" / "1.2.840.7")
    Image.fromarray(MASK[SLICES // 2]).save(root / "masks" / "1.2.840.7.png")


def group(**elements: Any) -> list[Any]:
    """A sequence of one item."""
    item: Any = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return [item]


def write_enhanced(root: Path, order: Sequence[int]) -> None:
    """One file of several frames, stored in some order."""
    parts = slices()
    dataset = make(np.stack([parts[number].pixel_array for number in order]), bits=12)
    dataset.SOPClassUID = uid.EnhancedCTImageStorage
    dataset.SharedFunctionalGroupsSequence = group(
        PixelMeasuresSequence=group(PixelSpacing=list(SPACING)),
        PlaneOrientationSequence=group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
    )
    dataset.PerFrameFunctionalGroupsSequence = [
        group(PlanePositionSequence=group(ImagePositionPatient=parts[number].ImagePositionPatient))[0]
        for number in order
    ]
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
    (root / "images").mkdir()
    save(dataset, root / "images" / "a.dcm")
    write_label(root)


def write_pictures(root: Path, name: Callable[[int], str] = "{}.dcm".format) -> None:
    """A series and one picture per slice, whose names are in another order than the slices."""
    write_series(root, lambda number: name(SLICES + 1 - number))
    (root / "masks" / "a.nrrd").unlink()
    (root / "masks" / "a").mkdir()
    for number, mask in enumerate(MASK):
        stem = name(SLICES + 1 - number).removesuffix(".dcm")
        Image.fromarray(mask * 255).save(root / "masks" / "a" / f"{stem}.png")


def write_label_series(root: Path) -> None:
    """Image and label as a series each; the files of the label are in another order."""
    write_series(root)
    (root / "masks" / "a.nrrd").unlink()
    (root / "masks" / "a").mkdir()
    for number, dataset in enumerate(slices(SeriesInstanceUID="1.2.3.9")):
        dataset.PixelData = MASK[number].astype(np.uint16).tobytes()
        save(dataset, root / "masks" / "a" / f"L{SLICES - number:03}")


def write_segmentation(root: Path, single: bool = False, placed: bool = True) -> None:
    """A DICOM SEG in a folder of its own, of a series or of a single image that may not tell where it lies."""
    affine = np.diag([SPACING[1], SPACING[0], STEP, 1])
    affine[:3, 3] = ORIGIN
    numbers = [SLICES // 2] if single else np.flatnonzero(MASK.any(axis=(1, 2))).tolist()
    segmentation = make_segmentation({(1, number): MASK[number] for number in numbers}, affine)
    if single:
        image = slices()[SLICES // 2]
        if not placed:
            del image.ImagePositionPatient, image.ImageOrientationPatient
            for frame in segmentation.PerFrameFunctionalGroupsSequence:
                del frame.PlanePositionSequence
        (root / "images").mkdir()
        save(image, root / "images" / "a.dcm")
    else:
        write_series(root)
        (root / "masks" / "a.nrrd").unlink()
    (root / "masks" / "a").mkdir(parents=True)
    save(segmentation, root / "masks" / "a" / "1-1.dcm")


KINDS: dict[str, Callable[[Path], None]] = {
    "series without ending": lambda root: write_series(root, "IM{:06}".format),
    "series of .IMA": lambda root: write_series(root, "{}.IMA".format),
    "series named by UIDs": lambda root: write_series(root, "1.2.840.{}".format),
    "series without preamble": lambda root: write_series(root, without_header=True),
    "single without ending": write_single,
    "frames in no order": lambda root: write_enhanced(root, [0, 2, 4, 6, 8, 7, 5, 3, 1]),
    "frames from the top": lambda root: write_enhanced(root, range(SLICES)[::-1]),
    "picture per slice": write_pictures,
    "picture per slice named by UID": lambda root: write_pictures(root, "1.2.840.{}".format),
    "label as series": write_label_series,
    "SEG of a series in a folder": write_segmentation,
    "SEG of a single image": lambda root: write_segmentation(root, single=True),
    "SEG of an image without position": lambda root: write_segmentation(root, single=True, placed=False),
}


def pixels_by_place(path: Path) -> dict[float, np.ndarray]:
    """Pixels ``(rows, columns)`` of an image by height in mm, as pydicom reads them."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = {}
    for file in files:
        dataset: Any = pydicom.dcmread(file, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
        if "PerFrameFunctionalGroupsSequence" in dataset:
            for frame, pixels in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
                found[float(frame.PlanePositionSequence[0].ImagePositionPatient[2])] = pixels
        else:
            height = dataset.get("ImagePositionPatient", [0, 0, ORIGIN[2] + STEP * (SLICES // 2)])[2]
            found[float(height)] = dataset.pixel_array
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_what_users_have_is_protected_in_its_place_and_comes_back(tmp_path: Path, kind: str) -> None:
    folders = folders_in(tmp_path)
    folders.dataset.mkdir()
    KINDS[kind](folders.dataset)
    [image] = (folders.dataset / "images").iterdir()
    dims = 3 if image.is_dir() or kind.startswith("frames") else 2
    assert protect_and_seal(folders, spatial_dims=dims).done == [image.name.removesuffix(".dcm")]
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
