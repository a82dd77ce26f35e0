"""Labels are matched with their images where both lie in the patient, exactly, or refused with both grids."""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from grid_files import SHAPE, SUFFIXES, label_array, placed, reordered, volume, write_case
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from protected_folder import noise, square, tree

from monai_umed.data.case import CaseError
from monai_umed.data.cases import find_cases
from monai_umed.data.codec import read_image
from monai_umed.data.labels import read_label
from monai_umed.data.loading import load_case
from monai_umed.io.stored import CodecError
from monai_umed.protectors.stamps import ConstantStamp
from monai_umed.release.case import protect_case
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import verify_folder

STAMP = ConstantStamp(3, 1, eps=8 / 255, size=(16, 16, 16))
ORDERS = st.tuples(st.permutations(range(3)), st.tuples(st.booleans(), st.booleans(), st.booleans()))


def protected_voxels(folder: Path, label: SimpleITK.Image, suffixes: tuple[str, str], seed: int) -> np.ndarray:
    case = write_case(folder, volume(seed), label, suffixes)
    for name in ("images", "masks"):
        (folder / "out" / name).mkdir(parents=True)
    record = protect_case(case, STAMP, folder / "out")
    assert (folder / "out" / record.label).read_bytes() == case.label.read_bytes()
    return read_image(folder / "out" / record.image).array


@settings(max_examples=30, deadline=None)
@given(order=ORDERS, suffixes=st.tuples(*[st.sampled_from(SUFFIXES)] * 2), seed=st.integers(0, 5))
def test_property_a_label_in_any_order_of_axes_protects_the_same_voxels(
    order: tuple[list[int], tuple[bool, ...]], suffixes: tuple[str, str], seed: int
) -> None:
    label = placed(label_array(), seed)
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        expected = protected_voxels(Path(first), label, (suffixes[0], suffixes[0]), seed)
        found = protected_voxels(Path(second), reordered(label, *order), suffixes, seed)
    np.testing.assert_array_equal(found, expected)
    changed = expected[0] != SimpleITK.GetArrayFromImage(volume(seed)).T
    assert changed.any() and not changed[label_array() == 0].any()


@pytest.mark.parametrize("flips", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_planes_are_matched_as_well(
    tmp_path: Path, suffix: str, axes: tuple[int, int], flips: tuple[bool, bool]
) -> None:
    mask = square((20, 24), 1)
    mask[7, 2] = 1
    label = placed(mask)
    case = write_case(tmp_path, placed(noise((20, 24)).astype(np.int16)), reordered(label, axes, flips), (suffix,) * 2)
    np.testing.assert_array_equal(load_case(case).label[0], mask)


def test_pairs_and_a_fourth_axis_are_matched_as_well(tmp_path: Path) -> None:
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 6], [0, 0.1, 3, 7], [0, 0, 0, 1]])
    flipped = affine @ np.diag([1, -1, 1, 1])
    flipped[:3, 3] = (affine @ [0, SHAPE[1] - 1, 0, 1])[:3]
    nib.Nifti1Pair(noise(SHAPE).astype(np.int16), affine).to_filename(tmp_path / "a.img")
    nib.Nifti1Pair(label_array()[:, ::-1], flipped).to_filename(tmp_path / "b.img")
    nib.Nifti1Image(label_array()[:, ::-1, :, None], flipped).to_filename(tmp_path / "c.nii")
    image = read_image(tmp_path / "a.img")
    for name in ("b.img", "c.nii"):
        np.testing.assert_array_equal(read_label(tmp_path / name, image)[0], label_array())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_grid_is_refused_with_both_grids_and_both_cures_work(tmp_path: Path, suffix: str) -> None:
    image, label = volume(), placed(label_array())
    label.SetSpacing([0.7, 0.9, 2.0])
    case = write_case(tmp_path, image, label, (suffix, suffix))
    reason = (
        r"a\S+: the mask is not on the image's grid, it reaches from the image's voxel \[.*\] to \[.*\] "
        r"\(mm, LPS; mask: shape \(20, 18, 7\), "
        r"spacing \[0.7, 0.9, 2.0\], origin \[-31.25, 12.5, 400.0\], direction \[\[.*; "
        r"image: shape \(20, 18, 7\), spacing \[0.7, 0.9, 2.5\], .*\); resample it to the image \(SimpleITK.Resample"
    )
    with pytest.raises(CaseError, match=reason):
        load_case(case)
    resampled = SimpleITK.Resample(label, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    label.CopyInformation(image)
    for cured in (resampled, label):
        SimpleITK.WriteImage(cured, str(case.label))
        assert load_case(case).label.any()
    np.testing.assert_array_equal(load_case(case).label[0], label_array())


def test_another_size_is_refused_with_both_grids(tmp_path: Path) -> None:
    case = write_case(tmp_path, volume(), placed(label_array()[:-1]), (".mha", ".mha"))
    with pytest.raises(CaseError, match=r"mask: shape \(19, 18, 7\), .*image: shape \(20, 18, 7\)"):
        load_case(case)


@pytest.mark.parametrize(("shift", "is_refused"), [(1e-5, False), (0.05, False), (0.2, True)])
def test_the_tolerance_is_a_tenth_of_a_voxel(tmp_path: Path, shift: float, is_refused: bool) -> None:
    label = placed(label_array())
    along = np.reshape(label.GetDirection(), (3, 3))[:, 0] * label.GetSpacing()[0]
    label.SetOrigin((label.GetOrigin() + shift * along).tolist())
    case = write_case(tmp_path, volume(), label, (".nrrd", ".mha"))
    if is_refused:
        with pytest.raises(CaseError, match="not on the image's grid"):
            load_case(case)
    else:
        np.testing.assert_array_equal(load_case(case).label[0], label_array())


def test_convention_files_that_do_not_tell_where_they_lie_are_not_compared(tmp_path: Path) -> None:
    affine = np.diag([-1.0, -1, 2.5, 1])
    nib.Nifti1Image(noise(SHAPE).astype(np.int16), affine).to_filename(tmp_path / "placed.nii")
    nib.Nifti1Image(label_array(), None).to_filename(tmp_path / "nowhere.nii")
    header: Any = nib.load(tmp_path / "nowhere.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    text = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 20 18 7\nspacings: 3 3 3\nencoding: raw\nendian: little\n\n"
    (tmp_path / "nowhere.nrrd").write_bytes(text + label_array().tobytes(order="F"))
    text = b"ObjectType = Image\nNDims = 3\nDimSize = 20 18 7\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "nowhere.mha").write_bytes(text + label_array().tobytes(order="F"))
    for image in ("placed.nii", "nowhere.nii"):
        for label in ("nowhere.nii", "nowhere.nrrd", "nowhere.mha"):
            found = read_label(tmp_path / label, read_image(tmp_path / image))
            np.testing.assert_array_equal(found[0], label_array())


def test_convention_planes_with_two_coordinates_are_not_compared_with_those_in_space(tmp_path: Path) -> None:
    mask = square((20, 24), 1)
    nib.Nifti1Image(noise((20, 24)).astype(np.int16), np.diag([2.0, 2, 2, 1])).to_filename(tmp_path / "a.nii")
    SimpleITK.WriteImage(placed(mask), str(tmp_path / "a.mha"))
    Image.fromarray(mask).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.nii")
    for name in ("a.mha", "a.png"):
        np.testing.assert_array_equal(read_label(tmp_path / name, image)[0], mask)


def test_an_axis_of_one_voxel_needs_no_size_in_the_sform(tmp_path: Path) -> None:
    label = label_array((20, 18, 7))[:, :, 1:2]
    flat = nib.Nifti1Image(label[::-1], np.eye(4))
    flat.set_sform(np.array([[-1.0, 0, 0, 19], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]), 1)
    flat.to_filename(tmp_path / "label.nii")
    nib.Nifti1Image(noise(label.shape).astype(np.int16), np.eye(4)).to_filename(tmp_path / "image.nii")
    np.testing.assert_array_equal(read_label(tmp_path / "label.nii", read_image(tmp_path / "image.nii"))[0], label)


def write_nifti(path: Path, offset: int = 0, value: float = 1.0) -> None:
    """A volume with an sform, and one number of its header replaced; pixdim begins at byte 76, srow_x at 280."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(noise(SHAPE, 400).astype(np.int16), np.eye(4)).to_filename(path)
    if offset:
        content = bytearray(path.read_bytes())
        content[offset : offset + 4] = struct.pack("<f", value)
        path.write_bytes(content)


NIFTI_DAMAGES = [
    (80, np.nan, "voxels are nan mm long along axis 0, must be 1e-09 to 1e"),
    (84, np.inf, "voxels are inf mm long along axis 1"),
    (88, 0.0, "voxels are 0 mm long along axis 2, must be > 0"),
    (80, 1e30, r"voxels are 1e\+30 mm long"),
    (80, 1e-30, "voxels are 1e-30 mm long"),
    (280, np.nan, "affine .* has NaN or numbers beyond"),
    (284, np.inf, "affine .* has NaN or numbers beyond"),
    (292, 1e30, "affine .* has NaN or numbers beyond"),
    (280, 0.0, "its axes are in one plane"),
]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("offset", "value", "reason"), NIFTI_DAMAGES)
def test_nifti_headers_with_an_impossible_geometry_are_refused_and_the_cure_works(
    tmp_path: Path, offset: int, value: float, reason: str
) -> None:
    path = tmp_path / "a.nii"
    write_nifti(path, offset, value)
    with pytest.raises(CodecError, match=rf"^a.nii: .*{reason}.*; correct its header with nibabel"):
        read_image(path)
    image: Any = nib.load(path)
    image.header.set_zooms((1, 1, 1))
    image.set_sform(np.eye(4), 1)
    image.set_qform(np.eye(4), 1)
    nib.save(image, tmp_path / "cured.nii")
    assert read_image(tmp_path / "cured.nii").spacing == (1, 1, 1)


TEXT_DAMAGES = [
    (".mha", b"ElementSpacing = 0.5", b"ElementSpacing = nan", "voxels are 0 mm long"),
    (".mha", b"ElementSpacing = 0.5", b"ElementSpacing = 0", "voxels are 0 mm long"),
    (".mha", b"ElementSpacing = 0.5", b"ElementSpacing = -1", "voxels are -1 mm long"),
    (".mha", b"ElementSpacing = 0.5", b"ElementSpacing = 1e300", r"voxels are 1e\+300 mm long"),
    (".mha", b"Offset = -31.25", b"Offset = 1e300", "affine .* has NaN or numbers beyond"),
    (".mha", b"TransformMatrix = 1 ", b"TransformMatrix = 0 ", "its axes are in one plane"),
    (".nrrd", b"directions: (0.5", b"directions: (0", "voxels are 0 mm long"),
    (".nrrd", b"directions: (0.5", b"directions: (1e38", r"voxels are 1e\+38 mm long"),
    (".nrrd", b"origin: (-31.25", b"origin: (1e300", "affine .* has NaN or numbers beyond"),
    (".nrrd", b"origin: (-31.25", b"origin: (nan", "header cannot be understood"),
]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("suffix", "old", "new", "reason"), TEXT_DAMAGES)
def test_text_headers_with_an_impossible_geometry_are_refused(
    tmp_path: Path, suffix: str, old: bytes, new: bytes, reason: str
) -> None:
    image = placed(noise(SHAPE, 400).astype(np.int16))
    image.SetDirection(np.eye(3).ravel().tolist())
    image.SetSpacing([0.5, 0.5, 2.5])  # numbers that are written as they are
    path = tmp_path / f"a{suffix}"
    SimpleITK.WriteImage(image, str(path))
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(CodecError, match=rf"^a{suffix}: .*{reason}.*; (correct the text|fetch or export)"):
        read_image(path)


def test_a_damaged_header_leaves_out_its_case_alone(tmp_path: Path) -> None:
    for name in "abc":
        write_nifti(tmp_path / "images" / f"{name}.nii", 80 if name == "b" else 0, np.nan)
        (tmp_path / "masks").mkdir(exist_ok=True)
        nib.Nifti1Image(label_array(), np.eye(4)).to_filename(tmp_path / "masks" / f"{name}.nii.gz")
    manifest = protect_dataset(find_cases(tmp_path), STAMP, tmp_path / "out", progress=False)
    assert [record.id for record in manifest.cases] == ["a", "c"]
    (left_out,) = manifest.quarantined
    assert left_out.id == "b" and "b.nii: its voxels are nan mm long" in left_out.reason
    assert verify_folder(tmp_path / "out", tmp_path, progress=False) == []


def test_reading_writes_nothing(tmp_path: Path) -> None:
    label = reordered(placed(label_array()), (2, 0, 1), (True, False, True))
    case = write_case(tmp_path, volume(), label, (".nii.gz", ".nrrd"))
    before = tree(tmp_path)
    load_case(case)
    assert tree(tmp_path) == before
