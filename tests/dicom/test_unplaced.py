"""Series that do not tell where they lie, or whose slices are shifted: read where nothing is left open, else cured."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import DEEP, SERIES_UID, make, make_segmentation, read_with_itk, save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monai_umed.data.codec import read_image, write_image
from monai_umed.data.labels import read_label
from monai_umed.io.stored import CodecError
from monai_umed.io.tilt import tilt_of

MASK = np.zeros(DEEP.shape, np.uint8)
MASK[1:3, 5:15, 3:9] = 1


def write(folder: Path, shift: float = 0.0, drop: tuple[str, ...] = (), names: str = "caebd") -> Path:
    """Slices 2.5 mm apart, each ``shift`` mm further along the columns, without the elements ``drop``."""
    folder.mkdir()
    for number, (pixels, name) in enumerate(zip(DEEP, names, strict=True)):
        dataset = make(pixels, bits=12, InstanceNumber=number + 7, SOPInstanceUID=f"{SERIES_UID}.{number}")
        dataset.ImagePositionPatient = [-10, 20 + shift * number, 30 + 2.5 * number]
        for keyword in drop:
            delattr(dataset, keyword)
        save(dataset, folder / f"{name}.dcm")
    return folder


def change(path: Path, **elements: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.mark.parametrize("drop", [(), ("ImageOrientationPatient",), ("ImageOrientationPatient", "PixelSpacing")])
def test_slices_without_a_place_are_taken_by_their_number(tmp_path: Path, drop: tuple[str, ...]) -> None:
    image = read_image(write(tmp_path / "in", drop=("ImagePositionPatient", *drop)))
    np.testing.assert_array_equal(image.array[0], DEEP.transpose(2, 1, 0))
    assert image.affine is None and image.grid is None and image.spacing is None
    write_image(tmp_path / "out", image.array ^ 1, image)
    np.testing.assert_array_equal(read_image(tmp_path / "out").array, image.array ^ 1)


def test_slices_whose_order_is_open_are_refused_and_the_cure_works(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", drop=("ImagePositionPatient",))
    change(folder / "e.dcm", InstanceNumber=None)
    with pytest.raises(CodecError, match=r"in/e.dcm: neither ImagePositionPatient nor InstanceNumber.*pydicom"):
        read_image(folder)
    change(folder / "e.dcm", InstanceNumber=7)
    with pytest.raises(CodecError, match=r"in/e.dcm: InstanceNumber 7, as in c.dcm"):
        read_image(folder)
    change(folder / "e.dcm", InstanceNumber=12)
    with pytest.raises(CodecError, match=r"in: InstanceNumber 10 of b.dcm follows 8 of a.dcm; add the missing slices"):
        read_image(folder)
    change(folder / "e.dcm", InstanceNumber=9)
    np.testing.assert_array_equal(read_image(folder).array[0], DEEP.transpose(2, 1, 0))


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImageOrientationPatient"])
def test_half_a_place_is_refused_and_the_cure_works(tmp_path: Path, keyword: str) -> None:
    folder = write(tmp_path / "in", drop=(keyword,))
    with pytest.raises(CodecError, match=rf"no {keyword} \(.*dataset.{keyword} = .*delete ImagePositionPatient"):
        read_image(folder)
    unplaced = shutil.copytree(folder, tmp_path / "unplaced")
    for path in unplaced.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.ImagePositionPatient
        dataset.save_as(path)
    np.testing.assert_array_equal(read_image(unplaced).array[0], DEEP.transpose(2, 1, 0))
    for path in folder.iterdir():
        change(path, PixelSpacing=[0.5, 0.75], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    assert read_image(folder).affine is not None


def test_a_mask_on_a_tilted_series_is_refused_by_the_tilt_and_both_cures_work(tmp_path: Path) -> None:
    image = read_image(write(tmp_path / "in", shift=0.66))
    mask = SimpleITK.GetImageFromArray(MASK)
    mask.CopyInformation(read_with_itk(tmp_path / "in"))
    SimpleITK.WriteImage(mask, str(tmp_path / "mask.nrrd"))
    with pytest.raises(CodecError, match=r"tilted by 14\.8 degrees \(gantry\)") as error:
        read_label(tmp_path / "mask.nrrd", image)
    [text] = re.findall(r"GetArrayFromImage\(mask\).T, (\[\[.*\]\])\)", str(error.value))
    affine = np.array([[float(value) for value in row.split(",")] for row in re.findall(r"\[([^\[\]]+)\]", text)])
    nib.save(nib.Nifti1Image(SimpleITK.GetArrayFromImage(mask).T, affine), tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(read_label(tmp_path / "mask.nii.gz", image)[0], MASK.transpose(2, 1, 0))
    (tmp_path / "masks").mkdir()
    for name, plane in zip("caebd", MASK, strict=True):
        Image.fromarray(plane).save(tmp_path / "masks" / f"{name}.png")
    np.testing.assert_array_equal(read_label(tmp_path / "masks", image)[0], MASK.transpose(2, 1, 0))


@pytest.mark.parametrize("drop", [(), ("ImagePositionPatient",)])
def test_a_label_series_in_another_order_than_its_image_is_never_taken_for_it(
    tmp_path: Path, drop: tuple[str, ...]
) -> None:
    image = read_image(write(tmp_path / "in", drop=drop))
    kept = write(tmp_path / "kept", drop=drop)
    np.testing.assert_array_equal(read_label(kept, image), image.array)
    with pytest.raises(CodecError, match="so their order is open; save the label as one picture per slice"):
        read_label(write(tmp_path / "other", drop=() if drop else ("ImagePositionPatient",)), image)


@given(st.floats(0, 60), st.floats(0.1, 10), st.floats(0.1, 10))
def test_the_tilt_is_that_of_the_gantry(degrees: float, side: float, step: float) -> None:
    grid = np.diag([side, side / 2, step, 1.0])
    grid[1, 2] = step * np.tan(np.radians(degrees))
    assert tilt_of(grid) == pytest.approx(degrees, abs=1e-4)


def test_masks_that_are_not_one_per_slice_are_refused_by_name(tmp_path: Path) -> None:
    image = read_image(write(tmp_path / "in"))
    folder = tmp_path / "masks"
    folder.mkdir()
    for name in "abcd":
        Image.fromarray(MASK[0]).save(folder / f"{name}.png")
    with pytest.raises(CodecError, match=r"masks: no mask of the name of the slice e.dcm; name one mask after every"):
        read_label(folder, image)
    Image.fromarray(MASK[0]).save(folder / "e.png")
    assert read_label(folder, image).shape == (1, 20, 24, 5)
    with pytest.raises(CodecError, match="an image that is no series"):
        read_label(folder)
    Image.fromarray(MASK[0]).save(folder / "f.png")
    with pytest.raises(CodecError, match=r"masks/f.png: a mask without a slice of its name; move it away"):
        read_label(folder, image)
    (folder / "f.png").rename(folder / "e.tif")
    with pytest.raises(CodecError, match=r"more than one mask of the name of the slice e.dcm"):
        read_label(folder, image)
    (folder / "e.tif").unlink()
    Image.fromarray(MASK[0].T).save(folder / "e.png")
    with pytest.raises(CodecError, match=r"masks/e.png: a mask of \(20, 24\) rows and columns, its slice has"):
        read_label(folder, image)


@pytest.mark.parametrize("side", [20, 24])
def test_a_label_map_of_a_single_slice_is_matched_by_its_place(tmp_path: Path, side: int) -> None:
    """Rows of a picture are the second axis of a label map: on a square image no size would tell."""
    pixels, plane = DEEP[0, :20, :], np.triu(np.ones((20, 20), np.uint8))
    if side > 20:
        pixels, plane = DEEP[0], np.concatenate([plane, plane[:4]])
    path = save(make(pixels, bits=12), tmp_path / "a.dcm")
    label = SimpleITK.GetImageFromArray(plane[None])
    label.CopyInformation(SimpleITK.ReadImage(str(path)))
    SimpleITK.WriteImage(label, str(tmp_path / "label.nii.gz"))
    np.testing.assert_array_equal(read_label(tmp_path / "label.nii.gz", read_image(path))[0], plane)
    label.SetOrigin([0, 0, 0])
    SimpleITK.WriteImage(label, str(tmp_path / "label.nii.gz"))
    with pytest.raises(CodecError, match="the mask is not on the image's grid"):
        read_label(tmp_path / "label.nii.gz", read_image(path))


@pytest.mark.parametrize("placed", ["image", "label"])
def test_a_segmentation_is_refused_where_only_one_side_tells_its_place_and_the_cure_works(
    tmp_path: Path, placed: str
) -> None:
    affine = np.diag([0.75, 0.5, 1, 1])
    affine[:3, 3] = -10, 20, 30
    segmentation, dataset = make_segmentation({(1, 0): MASK[1]}, affine), make(DEEP[0], bits=12)
    if placed == "image":
        del segmentation.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    else:
        del dataset.ImagePositionPatient
    image, path = read_image(save(dataset, tmp_path / "a.dcm")), save(segmentation, tmp_path / "seg.dcm")
    with pytest.raises(CodecError, match=r"seg.dcm: its frames have .*pixel_array"):
        read_label(path, image)
    Image.fromarray(pydicom.dcmread(path).pixel_array).save(tmp_path / "seg.png")
    np.testing.assert_array_equal(read_label(tmp_path / "seg.png", image)[0], MASK[1])


def test_a_segmentation_on_an_image_without_a_place_must_have_its_size(tmp_path: Path) -> None:
    segmentation, dataset = make_segmentation({(1, 0): MASK[1]}, np.eye(4)), make(DEEP[0, :20], bits=12)
    del segmentation.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence, dataset.ImagePositionPatient
    image, path = read_image(save(dataset, tmp_path / "a.dcm")), save(segmentation, tmp_path / "seg.dcm")
    with pytest.raises(CodecError, match=r"frames of \(24, 20\) rows and columns, its image has \(20, 20\)"):
        read_label(path, image)
