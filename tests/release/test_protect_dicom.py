"""Protected DICOM files and series, NRRD and MetaImage, judged by what pydicom and SimpleITK read from disk."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import SERIES_UID, STUDY_UID, make, make_segmentation, read_with_itk, save, write_series
from protected_folder import EPS, may_change, noise, small_protector, square, tree, write_array

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED, Manifest
from monai_umed.data.training_set import load_training_set
from monai_umed.io.checksum import sha256_path
from monai_umed.release.protect import protect_dataset

SLICES, ROWS, COLUMNS = 20, 24, 22
PADDING = 0
MASK = square((COLUMNS, ROWS, SLICES), 1)
NAMES = "".join(np.random.default_rng(0).permutation(list("abcdefghijklmnopqrst")))
INTERCEPT = -1024
WINDOW = (-874.0, 625.0)  # of WindowCenter -124 and WindowWidth 1500


def write_case(dataset: Path, name: str, segmentation: bool = False) -> Path:
    """A series of 12 bits with padding, and its label as NIfTI file or DICOM SEG; returns the series."""
    pixels = noise((SLICES, ROWS, COLUMNS), 4096).astype(np.uint16)
    pixels[:, : ROWS // 2, : COLUMNS // 2][pixels[:, : ROWS // 2, : COLUMNS // 2] % 5 == 0] = PADDING
    elements = {"RescaleSlope": 1, "RescaleIntercept": INTERCEPT, "WindowCenter": -124, "WindowWidth": 1500}
    folder = write_series(dataset / "images" / name, pixels, NAMES, PixelPaddingValue=PADDING, **elements)
    volume = read_with_itk(folder)
    (dataset / "masks").mkdir(exist_ok=True)
    if segmentation:
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(volume.GetDirection(), (3, 3)) * volume.GetSpacing()
        affine[:3, 3] = volume.GetOrigin()
        frames = {(1, index): MASK[..., index].T > 0 for index in range(SLICES) if MASK[..., index].any()}
        save(make_segmentation(frames, affine), dataset / "masks" / f"{name}.dcm")
    else:
        label = SimpleITK.GetImageFromArray(MASK.transpose(2, 1, 0))
        label.CopyInformation(volume)
        SimpleITK.WriteImage(label, str(dataset / "masks" / f"{name}.nii.gz"))
    return folder


def truncate(folder: Path) -> None:
    path = folder / "k.dcm"
    path.write_bytes(path.read_bytes()[:-300])


# name -> (what is wrong with the series, what its reason must say)
DAMAGED = {
    "truncated": (truncate, "k.dcm: "),
    "gap": (lambda folder: (folder / "k.dcm").unlink(), "gap: from "),
    "note": (lambda folder: (folder / "notes.txt").write_text("a note"), "notes.txt: no DICOM file"),
    "nested": (lambda folder: (folder / "more").mkdir(), "nested/more: a folder within a series"),
}
GOOD = {"nifti": "masks/nifti.nii.gz", "seg": "masks/seg.dcm"}


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Manifest]:
    """Folder before, folder after, manifest: two good series and one of every damaged kind."""
    folder = tmp_path_factory.mktemp("dicom")
    for name in GOOD:
        write_case(folder / "before", name, segmentation=name == "seg")
    for name, (damage, _) in DAMAGED.items():
        damage(write_case(folder / "before", name))
    inputs = tree(folder / "before")
    manifest = protect_dataset(find_cases(folder / "before"), small_protector(1, 3), folder / "after", progress=False)
    assert tree(folder / "before") == inputs
    return folder / "before", folder / "after", manifest


def read_slices(folder: Path) -> dict[str, pydicom.Dataset]:
    return {path.name: pydicom.dcmread(path) for path in folder.iterdir()}


@pytest.mark.parametrize("name", GOOD)
def test_a_series_keeps_the_limit_the_geometry_and_all_values_outside_the_region(
    protected: tuple[Path, Path, Manifest], name: str
) -> None:
    before, after, manifest = protected
    source, target = before / "images" / name, after / "images" / name
    assert {path.name for path in target.iterdir()} == {path.name for path in source.iterdir()}
    old, new = read_with_itk(source), read_with_itk(target)
    assert (old.GetSize(), old.GetSpacing(), old.GetOrigin()) == (new.GetSize(), new.GetSpacing(), new.GetOrigin())
    assert old.GetDirection() == new.GetDirection()
    values = SimpleITK.GetArrayFromImage(old).transpose(2, 1, 0).astype(int)
    change = np.abs(SimpleITK.GetArrayFromImage(new).transpose(2, 1, 0) - values)
    limit = math.floor(EPS * (WINDOW[1] - WINDOW[0]) + 1e-3)
    assert 0.7 * limit <= change.max() <= limit
    outside = (values < WINDOW[0]) | (values > WINDOW[1]) | ~may_change(MASK)
    assert not change[outside].any() and change[MASK > 0].any()
    assert (values == PADDING + INTERCEPT).any()

    [record] = [record for record in manifest.cases if record.id == name]
    assert (record.image, record.label, record.source) == (f"images/{name}", GOOD[name], name)
    assert record.intensity_window == (WINDOW[0] - INTERCEPT, WINDOW[1] - INTERCEPT)
    assert record.max_abs_delta == change.max() and record.shape == (1, COLUMNS, ROWS, SLICES)
    assert (record.sha256_before, record.sha256_after) == (sha256_path(source), sha256_path(target))
    assert (after / record.label).read_bytes() == (before / record.label).read_bytes()


@pytest.mark.parametrize("name", GOOD)
def test_slices_get_new_uids_and_keep_the_pixels_that_pydicom_reads(
    protected: tuple[Path, Path, Manifest], name: str
) -> None:
    before, after, _ = protected
    old, new = (read_slices(folder / "images" / name) for folder in (before, after))
    limit = math.floor(EPS * (WINDOW[1] - WINDOW[0]) + 1e-3)
    for file_name, dataset in new.items():
        source = old[file_name]
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID != source.SOPInstanceUID
        assert dataset.StudyInstanceUID == STUDY_UID and dataset.PatientName == source.PatientName
        assert dataset.ImagePositionPatient == source.ImagePositionPatient
        assert np.abs(dataset.pixel_array.astype(int) - source.pixel_array).max() <= limit
    assert len({dataset.SOPInstanceUID for dataset in new.values()}) == SLICES
    [series] = {dataset.SeriesInstanceUID for dataset in new.values()}
    assert series != SERIES_UID


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_series_is_set_aside_with_its_reason_and_nothing_of_it_is_written(
    protected: tuple[Path, Path, Manifest], name: str
) -> None:
    _, after, manifest = protected
    reasons = {entry.id: entry.reason for entry in manifest.quarantined}
    assert DAMAGED[name][1] in reasons[name]
    assert not [file for file in tree(after) if name in file]


def test_only_the_good_series_are_there_and_networks_can_train_on_them(protected: tuple[Path, Path, Manifest]) -> None:
    _, after, manifest = protected
    slices = {f"images/{name}/{letter}.dcm" for name in GOOD for letter in NAMES}
    assert tree(after).keys() == slices | {MANIFEST, *GOOD.values()}
    assert Manifest.load(after / MANIFEST) == manifest
    items = load_training_set(after, (16, 16, 16), progress=False, layout="whole").items
    assert [item["id"] for item in items] == sorted(GOOD)
    np.testing.assert_array_equal(items[0]["label"], items[1]["label"])


def test_a_single_file_is_protected_like_any_other_2d_image(tmp_path: Path) -> None:
    pixels = noise((50, 60), 4096).astype(np.uint16)
    write_array(tmp_path / "before" / "masks" / "a.png", square(pixels.shape))
    (tmp_path / "before" / "images").mkdir()
    source = save(make(pixels, bits=12), tmp_path / "before" / "images" / "a.dcm")
    protect_dataset(find_cases(tmp_path / "before"), small_protector(), tmp_path / "after", progress=False)
    written = pydicom.dcmread(tmp_path / "after" / "images" / "a.dcm")
    assert written.SOPInstanceUID != pydicom.dcmread(source).SOPInstanceUID
    change = np.abs(written.pixel_array.astype(int) - pixels)
    assert 0 < change.max() <= EPS * 4096 and not change[~may_change(square(pixels.shape))].any()


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_other_volumes_that_itk_writes_keep_geometry_and_limit(tmp_path: Path, ending: str) -> None:
    volume = SimpleITK.GetImageFromArray(noise((20, 24, 22), 2000).astype(np.int16) - 1000)
    volume.SetSpacing((0.75, 0.5, 2.5))
    volume.SetOrigin((1, 2, 3))
    volume.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    label = SimpleITK.GetImageFromArray(square((20, 24, 22), 1))
    label.CopyInformation(volume)
    for kind, image in (("images", volume), ("masks", label)):
        (tmp_path / "before" / kind).mkdir(parents=True)
        SimpleITK.WriteImage(image, str(tmp_path / "before" / kind / f"a{ending}"))
    protect_dataset(find_cases(tmp_path / "before"), small_protector(1, 3), tmp_path / "after", progress=False)
    written = SimpleITK.ReadImage(str(tmp_path / "after" / "images" / f"a{ending}"))
    assert (written.GetSpacing(), written.GetOrigin()) == (volume.GetSpacing(), volume.GetOrigin())
    assert written.GetDirection() == volume.GetDirection()
    old, new = (SimpleITK.GetArrayFromImage(image).astype(int) for image in (volume, written))
    assert 0 < np.abs(new - old).max() <= EPS * 2000
    assert not (new != old)[~may_change(square((20, 24, 22), 1))].any()


@pytest.fixture
def one_case(tmp_path: Path) -> Path:
    write_case(tmp_path / "dataset", "a")
    return tmp_path / "dataset"


def test_equal_runs_give_equal_bytes_also_after_one_that_was_killed(one_case: Path, tmp_path: Path) -> None:
    trees = []
    for name in ("first", "second", "second"):
        protect_dataset(find_cases(one_case), small_protector(1, 3), tmp_path / name, progress=False)
        trees.append(tree(tmp_path / name))
        if name == "second":  # what a killed run leaves: half a series under a hidden name, and no manifest
            folder = tmp_path / "second"
            (folder / MANIFEST).rename(folder / UNFINISHED)
            shutil.copytree(folder / "images" / "a", folder / "images" / f".{'0f' * 16}.tmp")
            (folder / "images" / "a" / "b.dcm").unlink()
    assert trees[0] == trees[1] == trees[2] and len(trees[0]) == SLICES + 2


def test_a_series_that_turned_bad_leaves_nothing_of_an_earlier_run(one_case: Path, tmp_path: Path) -> None:
    write_case(one_case, "b")
    for _ in range(2):
        protect_dataset(find_cases(one_case), small_protector(1, 3), tmp_path / "out", progress=False)
        truncate(one_case / "images" / "b")
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["a"]


def test_a_foreign_file_among_the_slices_of_an_earlier_run_is_never_removed(one_case: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    protect_dataset(find_cases(one_case), small_protector(1, 3), out, progress=False)
    (out / "images" / "a" / "notes.txt").write_text("mine")
    before = tree(out)
    with pytest.raises(DatasetError, match=r"images/a/notes\.txt: not written by this program"):
        protect_dataset(find_cases(one_case), small_protector(1, 3), out, progress=False)
    assert tree(out) == before


@pytest.mark.parametrize("place", ["images/a", "images/a/out"])
def test_an_output_folder_within_a_series_is_refused(one_case: Path, place: str) -> None:
    with pytest.raises(DatasetError, match="choose a folder outside"):
        protect_dataset(find_cases(one_case), small_protector(1, 3), one_case / place, progress=False)
