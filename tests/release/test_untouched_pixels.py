"""Pixels that stay as they are whatever lies around them: those without a value, and those that nobody has judged."""

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import monai_umed as mu
from monai_umed.data.case import Case, CaseError
from monai_umed.data.codec import read_image
from monai_umed.data.loading import load_case
from monai_umed.data.manifest import Manifest
from monai_umed.io.causes import first_cause
from monai_umed.io.fidelity import measure
from monai_umed.protectors.stamps import ConstantStamp
from monai_umed.release.case import protect_case
from monai_umed.workflows.options import FitOptions

RNG = np.random.default_rng(0)
PAYLOADS = np.array([0x7FC00000, 0xFFC00001, 0x7FC12345, 0x7F800000, 0xFF800000], np.uint32)


def write_pictures(folder: Path, count: int = 3) -> Path:
    """Masks of 0 and 1 with a border of 255 around the structure."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    mask = np.zeros((40, 48), np.uint8)
    mask[9:31, 9:40] = 255
    mask[10:30, 10:39] = 1
    for index in range(count):
        Image.fromarray(RNG.integers(40, 200, mask.shape).astype(np.uint8)).save(folder / "images" / f"{index}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    return folder


def test_void_pixels_are_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data")
    with pytest.raises(RuntimeError) as refusal:
        mu.protect(data, tmp_path / "refused", preset="stamp", section="all", progress=False)
    assert "holds the values 255, expected 0 beside 1 or beside 255, not both; if 255" in str(
        first_cause(refusal.value)
    )
    assert "give --ignore-label 255 (ignore_label=255)" in str(first_cause(refusal.value))
    mu.new_key(tmp_path / "key")
    options: FitOptions = {"bound": "band", "preset": "stamp", "progress": False, "ignore_label": 255}
    release = mu.protect(data, tmp_path / "out", seal_key=tmp_path / "key", section="all", **options)
    assert release.manifest is not None and release.problems == ()
    assert release.manifest.ignore_label == 255 and len(release.manifest.cases) == 3
    for case in mu.find_cases(data):
        pictures = (case.image, release.protected / "images" / case.image.name)
        before, after = (np.asarray(Image.open(picture)) for picture in pictures)
        mask = np.asarray(Image.open(case.label))
        assert (before != after)[mask == 0].any() and (before != after)[mask == 1].any()
        assert not (before != after)[mask == 255].any()
    dataset = mu.RestoredDataset(release.protected, tmp_path / "out" / "sealed", mu.read_key(tmp_path / "key"))
    assert set(np.unique(dataset[0]["label"])) == {0, 1}
    again = mu.protect(data, tmp_path / "again", checkpoint=release.checkpoint, ignore_label=255, progress=False)
    assert (again.protected / "manifest.json").read_bytes() == (release.protected / "manifest.json").read_bytes()


def test_a_changed_void_pixel_is_found(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data")
    release = mu.protect(data, tmp_path / "out", preset="stamp", ignore_label=255, section="all", progress=False)
    path = release.protected / "manifest.json"
    manifest = Manifest.load(path)
    manifest.ignore_label = 1
    manifest.save(path)
    assert any("where its mask says 1" in problem.what for problem in mu.verify(release.protected, original=data))


def test_manifests_name_no_ignored_value_where_there_is_none(tmp_path: Path) -> None:
    data = mu.write_phantom(tmp_path / "data", num_train=2, num_test=1)
    release = mu.protect(data, tmp_path / "out", preset="stamp", progress=False)
    assert "ignore_label" not in (release.protected / "manifest.json").read_text()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(["<f4", ">f4"]))
def test_values_that_are_no_number_keep_all_their_bits(
    tmp_path_factory: pytest.TempPathFactory, seed: int, dtype: str
) -> None:
    folder = tmp_path_factory.mktemp("nan")
    rng = np.random.default_rng(seed)
    volume = rng.normal(100, 20, (24, 20, 18)).astype(np.float32)
    gaps = rng.random(volume.shape) < 0.3
    label = np.zeros(volume.shape, np.uint8)
    label[6:18, 5:15, 4:14] = 1
    gaps &= label == 0
    volume.view(np.uint32)[gaps] = rng.choice(PAYLOADS, np.count_nonzero(gaps))
    header = nib.Nifti1Image(np.zeros(volume.shape, np.float32), np.eye(4)).header
    nib.Nifti1Image(volume, np.eye(4), header.as_byteswapped(dtype[0])).to_filename(folder / "image.nii")
    nib.Nifti1Image(label, np.eye(4)).to_filename(folder / "label.nii")
    case = Case("a", folder / "image.nii", folder / "label.nii")
    (folder / "out" / "images").mkdir(parents=True)
    (folder / "out" / "masks").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        record = protect_case(case, ConstantStamp(3, 1, size=(16, 16, 16), bound="band", native=True), folder / "out")
    before, after = read_image(case.image), read_image(folder / "out" / record.image)
    assert np.isfinite(before.intensity_window).all() and np.isfinite(before.scaled()).all()
    bits = [stored.array[0].view(np.uint32) for stored in (before, after)]
    np.testing.assert_array_equal(bits[0][gaps], bits[1][gaps])
    assert np.max(record.max_abs_delta) > 0 and record.psnr is not None and 0 < record.ssim <= 1
    assert case.image.read_bytes()[:352] == (folder / "out" / record.image).read_bytes()[:352]


def test_a_structure_with_gaps_is_left_out(tmp_path: Path) -> None:
    volume = RNG.normal(100, 20, (24, 20, 18)).astype(np.float32)
    label = np.zeros(volume.shape, np.uint8)
    label[6:18, 5:15, 4:14] = 1
    volume[6, 5, 4:7] = np.nan
    for name, array in (("image", volume), ("label", label)):
        nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / f"{name}.nii.gz")
    with pytest.raises(CaseError, match="3 pixels inside the structure are NaN or infinite; take them out of the mask"):
        load_case(Case("a", tmp_path / "image.nii.gz", tmp_path / "label.nii.gz"))
    label[6, 5, 4:7] = 0  # the cure
    nib.Nifti1Image(label, np.eye(4)).to_filename(tmp_path / "label.nii.gz")
    load_case(Case("a", tmp_path / "image.nii.gz", tmp_path / "label.nii.gz"))


def test_gaps_count_as_changed_unless_all_bits_are_equal() -> None:
    before = RNG.normal(0, 1, (1, 16, 16)).astype(np.float32)
    before[0, 3, 3] = np.nan
    assert measure(before, before.copy(), 1).max_abs_delta == 0
    other = before.copy()
    other.view(np.uint32)[0, 3, 3] ^= 1
    assert np.isnan(measure(before, other, 1).max_abs_delta)
