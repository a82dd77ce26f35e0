"""Protected folders, judged by what lies on disk: limits, masks, names, manifest, reproducibility."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from protected_folder import EPS, may_change, noise, read_array, small_protector, square, tree, write_array

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, Manifest
from monai_umed.io.checksum import sha256_path
from monai_umed.release.protect import protect_dataset, report

# kind -> (image file, mask file, image, in_channels); sides differ, and none is that of the working grid
KINDS: dict[str, tuple[str, str, np.ndarray, int]] = {
    "gray": ("images/a (1).png", "masks/a (1).png", noise((70, 90)).astype(np.uint8), 1),
    "rgb": ("images/a.png", "masks/a.png", noise((48, 40, 3)).astype(np.uint8), 3),
    "deep": ("images/a.png", "masks/a.png", noise((50, 60), 30000).astype(np.uint16), 1),
    "tiff": ("images/a.tif", "masks/a.tif", noise((50, 60)).astype(np.uint8), 1),
    "deep-tiff": ("images/a.tif", "masks/a.png", noise((33, 60), 4000).astype(np.uint16), 1),
    "bmp": ("images/a.bmp", "masks/a.png", noise((50, 61)).astype(np.uint8), 1),
    "volume": ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz", (noise((40, 36, 20), 2000) - 1000).astype(np.int16), 1),
    "pair-volume": ("imagesTr/a.img", "labelsTr/a.img", (noise((40, 36, 20), 2000) - 1000).astype(np.int16), 1),
    "real-volume": ("imagesTr/a.nii", "labelsTr/a.nii.gz", noise((24, 36, 20), 2000).astype(np.float32), 1),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def write_kind(folder: Path, kind: str) -> int:
    image_name, mask_name, image, channels = KINDS[kind]
    spatial = image.shape[:2] if channels == 3 else image.shape
    write_array(folder / image_name, image)
    write_array(folder / mask_name, square(spatial, 1 if len(spatial) == 3 else 255))
    return channels


def test_files_on_disk_keep_the_limit_the_mask_and_all_else(tmp_path: Path, kind: str) -> None:
    before, after = tmp_path / "dataset", tmp_path / "protected"
    image_name, mask_name, image, channels = KINDS[kind]
    write_kind(before, kind)
    inputs = tree(before)
    protector = small_protector(channels, 3 if "volume" in kind else 2)
    manifest = protect_dataset(find_cases(before), protector, after, progress=False)

    assert tree(before) == inputs
    written = tree(after)
    assert written.keys() == inputs.keys() | {MANIFEST}
    assert written[mask_name] == inputs[mask_name]
    old, new = read_array(before / image_name), read_array(after / image_name)
    np.testing.assert_array_equal(old, image)
    assert (new.shape, new.dtype) == (old.shape, old.dtype)

    [record] = manifest.cases
    assert Manifest.load(after / MANIFEST).cases == [record]
    change = np.abs(new.astype(np.float64) - old)
    width = float(np.diff(record.intensity_window)[0])
    whole = np.issubdtype(image.dtype, np.integer)
    # floor(4/255 * 255) is 4 although the product is 3.9999998 in float32: hence the thousandth of a level
    limit = math.floor(EPS * width + 1e-3) if whole else EPS * width * (1 + 2**-20)
    assert 0.7 * limit <= change.max() <= limit
    mask = read_array(before / mask_name)
    allowed = may_change(mask)
    assert not change[~allowed].any()
    assert change[allowed & (mask == 0)].any() and change[mask > 0].any()

    file_name = Path(image_name).name
    assert (record.id, record.source) == (file_name.split(".")[0], file_name)
    assert (record.image, record.label) == (image_name, mask_name)
    assert record.sha256_before == sha256_path(before / image_name)
    checksums = tuple(sha256_path(after / name) for name in (image_name, mask_name))
    assert (record.sha256_after, record.label_sha256) == checksums
    assert record.max_abs_delta == change.max() and record.dtype == str(image.dtype)
    assert record.perturbed_fraction == pytest.approx((change > 0).mean())
    assert record.psnr == pytest.approx(10 * math.log10(width**2 / np.square(change).mean()), abs=1e-3)
    assert 0 < record.ssim < 1 and record.note is None


def test_convention_eight_bit_files_move_by_four_of_255_levels(tmp_path: Path) -> None:
    write_kind(tmp_path / "dataset", "gray")
    manifest = protect_dataset(
        find_cases(tmp_path / "dataset"), small_protector(), tmp_path / "protected", progress=False
    )
    [record] = manifest.cases
    assert (record.intensity_window, record.max_abs_delta, manifest.eps) == ((0, 255), 4, EPS)


def test_a_volume_keeps_its_affine_and_its_header(tmp_path: Path) -> None:
    before, after = tmp_path / "dataset", tmp_path / "protected"
    write_kind(before, "volume")
    protect_dataset(find_cases(before), small_protector(1, 3), after, progress=False)
    old, new = (nib.load(folder / "imagesTr" / "a.nii.gz") for folder in (before, after))
    assert old.header == new.header
    np.testing.assert_array_equal(old.affine, new.affine)  # type: ignore[attr-defined]


def test_jpeg_becomes_png_and_the_manifest_says_so(tmp_path: Path) -> None:
    before, after = tmp_path / "dataset", tmp_path / "protected"
    write_array(before / "images" / "scan.jpg", noise((64, 80)).astype(np.uint8))
    write_array(before / "masks" / "scan.png", square((64, 80)))
    [record] = protect_dataset(find_cases(before), small_protector(), after, progress=False).cases
    assert (record.source, record.image) == ("scan.jpg", "images/scan.png")
    assert record.note is not None and "PNG" in record.note
    decoded, protected = read_array(before / "images" / "scan.jpg"), read_array(after / record.image)
    assert protected.dtype == np.uint8
    assert 0 < np.abs(protected.astype(int) - decoded).max() <= 4


def test_a_budget_below_one_level_is_refused_with_the_one_that_changes_something(tmp_path: Path) -> None:
    write_kind(tmp_path / "dataset", "gray")
    cases = find_cases(tmp_path / "dataset")
    protector = small_protector()
    protector.eps = 0.5 / 255
    with pytest.raises(
        DatasetError, match=r"a \(1\): nothing may change: .* is 0\.5 grey levels.*raise eps to 0\.003922"
    ):
        protect_dataset(cases, protector, tmp_path / "protected", progress=False)
    protector.eps = 0.003922
    assert protect_dataset(cases, protector, tmp_path / "protected", progress=False).cases[0].max_abs_delta == 1


def test_equal_runs_give_equal_bytes_whatever_the_number_of_workers(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    for index in range(6):
        write_array(dataset / "images" / f"{index}.png", noise((40 + index, 48), seed=index).astype(np.uint8))
        write_array(dataset / "masks" / f"{index}.png", square((40 + index, 48)))
    write_array(dataset / "masks" / "5.png", np.zeros((45, 48), np.uint8))  # quarantined
    trees = []
    for name, workers in (("a", 1), ("b", 2), ("c", 2), ("c", 1)):  # the last one into the same folder again
        manifest = protect_dataset(
            find_cases(dataset), small_protector(), tmp_path / name, seed=7, num_workers=workers, progress=False
        )
        assert [record.id for record in manifest.cases] == ["0", "1", "2", "3", "4"]
        trees.append(tree(tmp_path / name))
    assert len(trees[0]) == 11
    assert trees[0] == trees[1] == trees[2] == trees[3]


def test_the_report_names_folder_fidelity_and_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = tmp_path / "dataset"
    write_kind(dataset, "gray")
    write_array(dataset / "images" / "blank.png", np.full((40, 40), 7, np.uint8))
    write_array(dataset / "masks" / "blank.png", square((40, 40)))
    manifest = protect_dataset(find_cases(dataset), small_protector(), tmp_path / "out", progress=False)
    assert report(manifest, tmp_path / "out") is manifest
    printed = capsys.readouterr().out
    assert f"{manifest.cases[0].psnr:.2f} dB" in printed and str(tmp_path / "out") in printed
    assert "blank: the image is constant (7)" in printed
