"""Several masks of one image: refused with a cure, or on request one label, released as they came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from protected_folder import noise, read_array, small_protector, tree, write_array
from sealed_folders import KEY, folders_in

import monai_umed as mu
from monai_umed.data.cases import find_cases
from monai_umed.data.label_values import count_classes
from monai_umed.data.loading import load_case
from monai_umed.data.manifest import MANIFEST, Manifest
from monai_umed.data.two_folders import as_dataset
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import verify_folder
from monai_umed.sealing.restore import restore_dataset, seal_dataset
from monai_umed.sealing.restored_dataset import RestoredDataset

SHAPE = (48, 40)


def lesion(row: int, value: int = 255) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[row : row + 12, 10:30] = value
    return mask


def write_busi(root: Path, masks: str = "masks", *, value: int = 255) -> None:
    """Two images as BUSI names them, the second with three lesions."""
    for number in (0, 1):
        write_array(root / "images" / f"benign ({number}).png", noise(SHAPE, seed=number).astype(np.uint8))
        write_array(root / masks / f"benign ({number})_mask.png", lesion(2))
    for further, row in ((1, 18), (2, 34)):
        write_array(root / masks / f"benign (1)_mask_{further}.png", lesion(row, value))


def test_several_masks_are_one_label_on_request_and_come_back_as_they_were(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    write_busi(made.dataset)
    with pytest.raises(mu.DatasetError, match=r"mask_1\.png: a second mask .* unite both with --merge-masks"):
        find_cases(made.dataset)
    cases = find_cases(made.dataset, merge_masks=True)
    assert count_classes(cases) == 2
    union = (lesion(2) + lesion(18) + lesion(34)) > 0
    np.testing.assert_array_equal(load_case(cases[1]).label[0], union)

    protect_dataset(cases, small_protector(), made.protected, progress=False)
    changed = read_array(made.dataset / "images/benign (1).png") != read_array(made.protected / "images/benign (1).png")
    assert all(changed[lesion(row) > 0].any() for row in (2, 18, 34))
    originals, released = tree(made.dataset), tree(made.protected)
    assert released.keys() == originals.keys() | {MANIFEST}
    assert all(released[name] == sha for name, sha in originals.items() if name.startswith("masks/"))
    assert verify_folder(made.protected, made.dataset, progress=False) == []

    assert not seal_dataset(cases, made.protected, made.sealed, key=KEY, progress=False).failed
    sample = RestoredDataset(made.protected, made.sealed, KEY)[1]
    np.testing.assert_array_equal(np.asarray(sample["label"])[0].T > 0, union)
    assert not restore_dataset(made.protected, made.sealed, made.output, key=KEY, progress=False).failed
    assert tree(made.output) == originals


@pytest.mark.parametrize("file", ["masks/benign (1)_mask.png", "masks/benign (1)_mask_2.png"])
def test_every_mask_of_an_image_is_verified(tmp_path: Path, file: str) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_busi(data)
    protect_dataset(find_cases(data, merge_masks=True), small_protector(), out, progress=False)
    write_array(out / file, lesion(5))
    assert [problem.id for problem in verify_folder(out, progress=False)] == ["benign (1)"]
    (out / file).unlink()
    [problem] = verify_folder(out, progress=False)
    assert problem.what.startswith(f"{file} is missing")


def test_masks_of_other_values_or_sizes_are_never_united(tmp_path: Path) -> None:
    write_busi(tmp_path / "data", value=2)
    with pytest.raises(mu.CaseError, match=r"masks/benign \(1\)_mask_2\.png: .* hold the values \[2, 255\]"):
        load_case(find_cases(tmp_path / "data", merge_masks=True)[1])
    write_array(tmp_path / "data" / "masks" / "benign (1)_mask_1.png", lesion(18))
    write_array(tmp_path / "data" / "masks" / "benign (1)_mask_2.png", lesion(18)[:-1])
    with pytest.raises(mu.CaseError, match=r"have the shapes \(48, 40\) and \(48, 40\) and \(47, 40\)"):
        load_case(find_cases(tmp_path / "data", merge_masks=True)[1])


def test_a_numbered_image_keeps_its_own_mask(tmp_path: Path) -> None:
    for name in ("x", "x_1"):
        write_array(tmp_path / "images" / f"{name}.png", noise(SHAPE).astype(np.uint8))
        write_array(tmp_path / "masks" / f"{name}.png", lesion(2))
    assert [case.label.name for case in find_cases(tmp_path, merge_masks=True)] == ["x.png", "x_1.png"]


def test_masks_beside_their_image_and_on_turned_axes_are_united_where_they_lie(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    volume = SimpleITK.GetImageFromArray(noise((20, 36, 32), 200).astype(np.int16))
    for number, box in enumerate((slice(2, 8), slice(11, 17))):
        mask = np.zeros((20, 36, 32), np.uint8)
        mask[box, 5:20, 6:22] = 1
        label = SimpleITK.GetImageFromArray(mask)
        SimpleITK.WriteImage(
            SimpleITK.Flip(label, [False, number == 1, False]), str(data / f"x_mask{'_1' * number}.nrrd")
        )
    SimpleITK.WriteImage(volume, str(data / "x.nrrd"))
    [case] = cases = find_cases(data, merge_masks=True)
    assert load_case(case).label.sum() == 2 * 6 * 15 * 16
    protect_dataset(cases, small_protector(1, 3), out, progress=False)
    assert verify_folder(out, data, progress=False) == []


def test_the_option_goes_through_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_busi(tmp_path / "data")
    key = mu.new_key(tmp_path / "owner.key")
    options: dict[str, Any] = {"preset": "stamp", "section": "all", "progress": False}
    done = mu.protect(tmp_path / "data", tmp_path / "out", seal_key=key, merge_masks=True, **options)
    assert done.problems == () and done.manifest is not None and len(done.manifest.cases) == 2
    assert Manifest.load(done.protected / MANIFEST).merges_masks
    assert mu.verify(tmp_path / "out", original=tmp_path / "data", progress=False) == []
    assert mu.seal(tmp_path / "out", tmp_path / "data", key=key, progress=False).kept
    assert as_dataset(as_dataset("a", merge_masks=True), ignore_label=255) == as_dataset(
        "a", ignore_label=255, merge_masks=True
    )
