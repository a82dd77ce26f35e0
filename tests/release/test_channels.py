"""Several channels of one case: protected together, each in its own window, and written back as they were stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from channel_datasets import (
    AFFINE,
    SCALES,
    SHAPE,
    write_brats,
    write_decathlon,
    write_nnunet,
    write_nnunet_pictures,
    write_volume,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.data import load_decathlon_datalist
from monai.transforms import LoadImage
from protected_folder import EPS, read_array, small_protector, square, tree, write_array
from sealed_folders import KEY, Folders, folders_in, protect_and_seal, restore_all

from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, CaseRecord, Manifest
from monai_umed.io.joint_path import joint_files
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import verify_folder
from monai_umed.sealing.restored_dataset import RestoredDataset

SHIFT = np.array([[0, 0, 0, 3.0], [0, 0, 0, -2], [0, 0, 0, 4], [0, 0, 0, 0]])  # mm, within the structure's margin


def stored_channels(folder: Path, name: str) -> list[np.ndarray]:
    """Stored values of every channel, without the scale of its file, as NiBabel and Pillow read them."""
    files = joint_files(folder / name) or {"": folder / name}
    arrays = []
    for file in files.values():
        if file.suffix == ".png":
            arrays.append(read_array(file))
            continue
        image: Any = nib.load(file)
        arrays.append(np.asanyarray(image.dataobj.get_unscaled()))
    return list(np.moveaxis(arrays[0], -1, 0)) if len(arrays) == 1 and arrays[0].ndim == 4 else arrays


def check_bounds(made: Folders, record: CaseRecord) -> None:
    """Every channel keeps its type, changes, and changes by no more than eps of its own window."""
    pairs = zip(*(stored_channels(folder, record.image) for folder in (made.dataset, made.protected)), strict=True)
    assert isinstance(record.max_abs_delta, tuple)
    for (before, after), window, largest in zip(pairs, record.intensity_window, record.max_abs_delta, strict=True):
        assert isinstance(window, tuple) and before.dtype == after.dtype
        change = np.abs(after.astype(np.float64) - before)
        limit = EPS * abs(window[1] - window[0])
        assert 0 < change.max() <= (np.floor(limit + 1e-3) if before.dtype.kind in "iu" else limit * (1 + 1e-6))
        assert change.max() == pytest.approx(largest)


def check_headers(made: Folders, record: CaseRecord) -> None:
    for file in (joint_files(Path(record.image)) or {"": Path(record.image)}).values():
        if file.suffix != ".png":
            old, new = (nib.load(folder / file) for folder in (made.dataset, made.protected))
            assert old.header.binaryblock == new.header.binaryblock  # type: ignore[attr-defined]


@st.composite
def datasets(draw: st.DrawFn) -> Any:
    """What writes a dataset, how many channels it has, and whether it holds volumes."""
    kind, channels = draw(st.sampled_from(["decathlon", "nnunet", "pictures"])), draw(st.integers(2, 4))
    if kind == "decathlon":
        dtype = draw(st.sampled_from([np.int16, np.uint16, np.float32, np.float64]))
        return lambda root: write_decathlon(root, 1, min(channels, 3), dtype), min(channels, 3), 3
    if kind == "pictures":
        return lambda root: write_nnunet_pictures(root, 2, channels), channels, 2
    scales = draw(st.permutations(SCALES))[:channels]
    ending = draw(st.sampled_from([".nii.gz", ".nii"]))
    return lambda root: write_nnunet(root, 1, scales, ending), channels, 3


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dataset=datasets())
def test_channels_come_back_bit_by_bit_and_no_channel_leaves_its_own_budget(
    tmp_path_factory: pytest.TempPathFactory, dataset: Any
) -> None:
    write, channels, dims = dataset
    made = folders_in(tmp_path_factory.mktemp("made"))
    made.dataset.mkdir()
    write(made.dataset)
    assert not protect_and_seal(made, channels, dims).failed
    manifest = Manifest.load(made.protected / MANIFEST)
    assert not manifest.quarantined
    for record in manifest.cases:
        check_bounds(made, record)
        check_headers(made, record)
    assert verify_folder(made.protected, made.dataset, progress=False) == []
    assert not restore_all(made).failed and tree(made.output) == tree(made.dataset)
    assert verify_folder(made.protected, made.output, progress=False) == []


@pytest.mark.parametrize(("mark", "names"), [("_", "flair t1 t1ce t2"), ("-", "t1c t1n t2f t2w")])
def test_folders_of_brats_come_back_bit_by_bit(tmp_path: Path, mark: str, names: str) -> None:
    channels = names.split()
    made = folders_in(tmp_path)
    write_brats(made.dataset, channels, mark)
    assert not protect_and_seal(made, 4, 3).failed
    assert tree(made.protected).keys() == tree(made.dataset).keys() | {MANIFEST}
    for folder in made[:2]:
        assert [case.id for case in find_cases(folder)] == ["br_000", "br_001"]
    for record in Manifest.load(made.protected / MANIFEST).cases:
        assert record.image == f"{record.id}/{record.id}{mark}{{{','.join(channels)}}}.nii.gz"
        check_bounds(made, record)
        check_headers(made, record)
    assert verify_folder(made.protected, made.dataset, progress=False) == []
    assert not restore_all(made).failed and tree(made.output) == tree(made.dataset)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Two cases of two files each, CT and MR, protected and sealed once."""
    made = folders_in(tmp_path_factory.mktemp("released"))
    made.dataset.mkdir()
    write_nnunet(made.dataset)
    assert not protect_and_seal(made, 2, 3).failed
    return made


def test_a_release_of_nnunet_keeps_its_layout_and_its_cases(released: Folders) -> None:
    originals, written = tree(released.dataset), tree(released.protected)
    assert written.keys() == originals.keys() | {MANIFEST} and written["dataset.json"] == originals["dataset.json"]
    names = ["br_000", "br_001"]
    assert [case.id for case in find_cases(released.dataset)] == names
    assert [case.id for case in find_cases(released.protected)] == names
    content = json.loads((released.protected / MANIFEST).read_text())
    assert content["format"] == 3 and content["cases"][0]["image"] == "imagesTr/br_000_{0000,0001}.nii.gz"
    assert content["cases"][0]["dtype"] == ["int16", "float32"] and len(content["cases"][0]["window"]) == 2
    files = [f"imagesTr/br_000_000{channel}.nii.gz" for channel in (0, 1)]
    assert content["cases"][0]["channel_sha256"] == [written[name] for name in files]


def copy_of(released: Folders, root: Path) -> Path:
    shutil.copytree(released.protected, root / "protected")
    return root / "protected"


def test_verify_names_the_file_of_a_channel(released: Folders, tmp_path: Path) -> None:
    folder = copy_of(released, tmp_path)
    name = "imagesTr/br_001_0001.nii.gz"
    shutil.copy(released.dataset / name, folder / name)
    [problem] = verify_folder(folder, progress=False)
    assert problem.id == "br_001"
    assert problem.what.startswith("br_001_0001.nii.gz of imagesTr/br_001_{0000,0001}.nii.gz is not the file that")
    (folder / name).unlink()
    assert [problem.what.split(";")[0] for problem in verify_folder(folder, progress=False)] == [f"{name} is missing"]


def test_a_manifest_with_an_unchanged_channel_is_a_problem(released: Folders, tmp_path: Path) -> None:
    folder = copy_of(released, tmp_path)
    content = json.loads((folder / MANIFEST).read_text())
    content["cases"][0]["max_abs_delta"][1] = 0
    (folder / MANIFEST).write_text(json.dumps(content))
    [problem] = verify_folder(folder, progress=False)
    assert problem.what.startswith("channel 1: imagesTr/br_000_{0000,0001}.nii.gz is as unprotected as its original")


def resample(path: Path) -> None:
    """The cure that is named."""
    image, first = (SimpleITK.ReadImage(str(file)) for file in (path, path.with_name("br_001_0000.nii.gz")))
    SimpleITK.WriteImage(SimpleITK.Resample(image, first), str(path))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "imagesTr/br_001_{0000,0001}.nii.gz: br_001_0001.nii.gz is missing, one of its channels; add"),
        (
            lambda path: write_volume(path, SCALES[1], 1, AFFINE + SHIFT),
            "it lies elsewhere than br_001_0000.nii.gz (mm, LPS; shape",
        ),
        (
            lambda path: nib.Nifti1Image(np.ones((9, 9, 9), np.int16), AFFINE).to_filename(path),
            "its shape is (9, 9, 9), that of br_001_0000.nii.gz is (36, 32, 20)",
        ),
        (
            lambda path: nib.Nifti1Image(np.ones(SHAPE, np.int16), AFFINE).to_filename(path),
            "channel 1: the image is constant (1)",
        ),
    ],
)
def test_a_case_with_a_channel_that_does_not_fit_is_left_out_by_name(tmp_path: Path, spoil: Any, reason: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_nnunet(data, 3)
    spoil(data / "imagesTr" / "br_001_0001.nii.gz")
    manifest = protect_dataset(find_cases(data), small_protector(2, 3), tmp_path / "out", progress=False)
    [left_out] = manifest.quarantined
    assert left_out.id == "br_001" and reason in left_out.reason
    assert len(manifest.cases) == 2 and not list((tmp_path / "out").rglob("br_001*"))
    assert verify_folder(tmp_path / "out", data, progress=False) == []


def test_a_channel_that_was_resampled_as_told_is_protected(tmp_path: Path) -> None:
    write_nnunet(tmp_path, 2)
    other = tmp_path / "imagesTr" / "br_001_0001.nii.gz"
    write_volume(other, SCALES[1], 1, AFFINE + SHIFT)
    resample(other)
    manifest = protect_dataset(find_cases(tmp_path), small_protector(2, 3), tmp_path / "out", progress=False)
    assert [record.id for record in manifest.cases] == ["br_000", "br_001"]


def test_monai_reads_a_release_of_four_channels_as_the_original(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    made.dataset.mkdir()
    write_decathlon(made.dataset)
    assert not protect_and_seal(made, 4, 3).failed
    load = LoadImage(image_only=True, ensure_channel_first=True)
    lists = [load_decathlon_datalist(folder / "dataset.json", True, "training") for folder in made[:2]]
    assert [len(entries) for entries in lists] == [2, 2]
    for before, after in zip(*lists, strict=True):
        old, new = load(before["image"]), load(after["image"])
        assert old.shape == new.shape == (4, *SHAPE) and (old.affine == new.affine).all()
        assert ((old != new).flatten(1).sum(dim=1) > 0).all()
    for record in Manifest.load(made.protected / MANIFEST).cases:
        check_bounds(made, record)


@pytest.mark.parametrize("write", [write_decathlon, write_nnunet])
def test_whoever_has_the_key_trains_on_the_originals_as_monai_loads_them(tmp_path: Path, write: Any) -> None:
    made = folders_in(tmp_path)
    made.dataset.mkdir()
    write(made.dataset)
    case = find_cases(made.dataset)[0]
    files = joint_files(case.image)
    assert not protect_and_seal(made, 4 if files is None else 2, 3).failed
    expected = LoadImage(image_only=True, ensure_channel_first=True)(
        case.image if files is None else [str(file) for file in files.values()]
    )
    item = RestoredDataset(made.protected, made.sealed, KEY)[0]
    np.testing.assert_allclose(np.asarray(item["image"]), np.asarray(expected), rtol=1e-6)
    assert (item["image"].affine == expected.affine).all() and item["label"].shape == (1, *SHAPE)


def test_a_list_may_name_the_channels_of_each_case(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    entries = []
    for number in range(2):
        images = [f"p{number}/p{number}_{name}.png" for name in ("t1", "t1ce", "flair")]
        for seed, image in enumerate(images):
            write_array(made.dataset / image, np.random.default_rng(seed).integers(0, 250, (40, 36)).astype(np.uint8))
        write_array(made.dataset / f"p{number}/seg.png", square((40, 36), 1))
        entries.append({"image": images, "label": f"p{number}/seg.png"})
    (made.dataset / "dataset.json").write_text(json.dumps({"training": entries}))
    assert [case.id for case in find_cases(made.dataset)] == ["p0", "p1"]
    assert not protect_and_seal(made, 3).failed
    assert tree(made.protected).keys() == tree(made.dataset).keys() | {MANIFEST}
    assert [case.id for case in find_cases(made.protected)] == ["p0", "p1"]
    assert not restore_all(made).failed and tree(made.output) == tree(made.dataset)


def test_windows_may_be_given_for_each_channel(tmp_path: Path) -> None:
    write_nnunet(tmp_path, 2)
    cases = find_cases(tmp_path)
    windows = ((-200.0, 300.0), (0.0, 0.5))
    manifest = protect_dataset(cases, small_protector(2, 3), tmp_path / "out", intensity_window=windows, progress=False)
    assert manifest.cases[0].intensity_window == ((800.0, 1300.0), (0.0, 0.5))
    with pytest.raises(ValueError, match="3 intensity windows for 2 channel"):
        protect_dataset(cases, small_protector(2, 3), tmp_path / "no", intensity_window=((0, 1),) * 3, progress=False)
