"""Datasets with images beside their labels: in one folder, in a few, in one per case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from protected_folder import noise, small_protector, square, tree, write_array

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.labels import read_label
from monai_umed.data.manifest import MANIFEST
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import verify_folder

SHAPE = (40, 36)


def write_files(root: Path, *names: str) -> None:
    """Images, and masks under names that say so."""
    for name in names:
        is_mask = any(word in name.rsplit("/", 1)[-1] for word in ("mask", "seg", "label"))
        write_array(root / name, square(SHAPE) if is_mask else noise(SHAPE, 250).astype(np.uint8))


def ids(root: Path) -> list[str]:
    return [case.id for case in find_cases(root)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["volume-0.png", "segmentation-0.png", "volume-1.png", "segmentation-1.png"], ["0", "1"]),
        (["a.png", "a_mask.png", "b c.png", "b c_mask.png"], ["a", "b c"]),
        (["c1/image.png", "c1/label.png", "c2/imaging.png", "c2/segmentation.png"], ["c1", "c2"]),
        (["c1/c1_t1.png", "c1/c1_seg.png"], ["c1/c1_t1"]),
        (["benign/x (1).png", "benign/x (1)_mask.png", "normal/x (1).png", "normal/x (1)_mask.png"], None),
    ],
)
def test_a_release_keeps_folders_names_and_ids(tmp_path: Path, names: list[str], expected: list[str] | None) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_files(data, *names)
    (data / "about.txt").write_text("a document")
    assert ids(data) == (expected or ["benign/x (1)", "normal/x (1)"])
    protect_dataset(find_cases(data), small_protector(), out, progress=False)
    assert tree(out).keys() == {*names, MANIFEST}
    assert ids(out) == ids(data) and verify_folder(out, data, progress=False) == []


def test_what_is_left_over_is_named_with_its_folder(tmp_path: Path) -> None:
    write_files(tmp_path, "c1/a.png", "c1/a_mask.png", "c1/b.png", "c2/b_mask.png")
    (tmp_path / "c1/notes.doc").touch()
    with pytest.raises(DatasetError) as error:
        find_cases(tmp_path)
    found = sorted(offender.split(";")[0] for offender in error.value.offenders)
    assert found == [
        "c1/b.png: no label beside it",
        "c1/notes.doc: unknown file ending '.doc'",
        "c2/b_mask.png: no image beside it",
    ]


def test_a_release_inside_such_a_dataset_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, "c1/image.png", "c1/label.png")
    with pytest.raises(DatasetError, match="overlaps"):
        protect_dataset(find_cases(tmp_path), small_protector(), tmp_path / "out", progress=False)


@pytest.mark.parametrize("folders", [("images", "masks"), ("all", "all")])
def test_two_masks_of_an_image_are_refused_with_a_cure_that_works(tmp_path: Path, folders: tuple[str, str]) -> None:
    image, mask = (tmp_path / folder for folder in folders)
    write_files(tmp_path, f"{folders[0]}/b (1).png", f"{folders[0]}/b (2).png")
    first, second = mask / "b (1)_mask.png", mask / "b (1)_mask_1.png"
    for path in (first, mask / "b (2)_mask.png"):
        write_array(path, square(SHAPE))
    write_array(second, np.roll(square(SHAPE), 8, axis=0))
    with pytest.raises(DatasetError, match=r"b \(1\)_mask_1\.png: a second mask beside b \(1\)_mask\.png; unite"):
        find_cases(tmp_path)
    [case, _] = find_cases(tmp_path, merge_masks=True)
    assert case.image == image / "b (1).png"
    expected = np.maximum(square(SHAPE), np.roll(square(SHAPE), 8, axis=0))
    np.testing.assert_array_equal(read_label(case.label)[0], expected)
