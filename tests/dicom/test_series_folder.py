"""Folders of DICOM slices as one image: found as a case, read only within the dataset, written all at once."""

import hashlib
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_series

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.codec import read_image, write_image
from monai_umed.io.atomic import leftovers, write_folder_atomically
from monai_umed.io.checksum import sha256_path
from monai_umed.io.stored import CodecError
from monai_umed.io.suffixes import output_name

OLD, NEW = {"a": b"1", "b": b"2"}, {"a": b"3", "b": b"4", "c": b"5"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_folder_of_slices_is_one_case_with_the_folders_name(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.2.840.jpg/1.DCM", "images/1.2.840.jpg/2", "images/1.2.840.jpg/.hidden")
    touch(tmp_path, "masks/1.2.840.jpg.nii.gz", "images/b.dcm", "masks/b.png")
    cases = find_cases(tmp_path)
    assert [case.id for case in cases] == ["1.2.840.jpg", "b"]
    assert cases[0].image == tmp_path / "images" / "1.2.840.jpg"
    assert output_name(cases[0].image) == "1.2.840.jpg" and output_name("1.2.840.jpg") == "1.2.840.png"


def test_folders_that_are_no_series_are_reported_with_all_other_mistakes(tmp_path: Path) -> None:
    touch(tmp_path, "images/a/1.png", "images/b/1.dcm", "images/b.png", "masks/b.png", "masks/c/1.dcm")
    with pytest.raises(DatasetError) as error:
        find_cases(tmp_path)
    for expected in (
        "images/a: a folder without DICOM files; move its files up",
        "images/b.png: same name as b; rename",
        "masks/c: no image images/c.*; add it",
    ):
        assert expected in str(error.value)


@pytest.mark.parametrize("listed", [False, True])
def test_links_out_of_the_dataset_are_never_followed(tmp_path: Path, listed: bool) -> None:
    touch(tmp_path, "secret/1.dcm", "data/images/inside/1.dcm", "data/images/slice/1.dcm")
    root = tmp_path / "data"
    (root / "images" / "folder").symlink_to(tmp_path / "secret", target_is_directory=True)
    (root / "images" / "slice" / "2.dcm").symlink_to(tmp_path / "secret" / "1.dcm")
    (root / "images" / "inside" / "2.dcm").symlink_to(root / "images" / "slice" / "1.dcm")
    names = ("folder", "inside", "slice")
    touch(root, *(f"masks/{name}.nii.gz" for name in names))
    if listed:
        entries = [{"image": f"images/{name}", "label": f"masks/{name}.nii.gz"} for name in names]
        (root / "list.json").write_text(json.dumps({"training": entries}))
    with pytest.raises(DatasetError) as error:
        find_cases(root / "list.json" if listed else root)
    links = [offender for offender in error.value.offenders if "leaves the dataset's folder" in offender]
    assert len(links) == 2 and not any("inside" in offender for offender in error.value.offenders)


def test_a_datalist_may_name_folders_of_slices(tmp_path: Path) -> None:
    touch(tmp_path, "ct/x.1/1.dcm", "gt/x.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [{"image": "ct/x.1", "label": "gt/x.nii.gz"}]}))
    [case] = find_cases(tmp_path)
    assert case.id == "x.1" and case.image == tmp_path / "ct" / "x.1"


def test_a_series_is_written_as_a_folder_and_read_again(tmp_path: Path) -> None:
    image = read_image(write_series(tmp_path / "in"))
    perturbed = image.array ^ 1
    for _ in range(2):
        write_image(tmp_path / "out.jpg", perturbed, image)
        np.testing.assert_array_equal(read_image(tmp_path / "out.jpg").array, perturbed)
    assert not leftovers(tmp_path)
    with pytest.raises(CodecError, match=r"array is float64"):
        write_image(tmp_path / "out", perturbed.astype(float), image)


def test_a_folder_that_holds_other_files_is_never_replaced(tmp_path: Path) -> None:
    image = read_image(write_series(tmp_path / "in"))
    touch(tmp_path, "out/thesis.txt", "file")
    (tmp_path / "link").symlink_to(tmp_path / "in", target_is_directory=True)
    for name, reason in (
        ("out", "contains 'thesis.txt', which would be lost"),
        ("file", "not a folder"),
        ("link", "not a folder"),
    ):
        with pytest.raises(FileExistsError, match=reason):
            write_image(tmp_path / name, image.array, image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "in", "link", "out"]


@pytest.mark.parametrize(("owner", "step", "call"), [(os, "fsync", 2), (Path, "rename", 1), (Path, "rename", 2)])
def test_a_failed_write_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, step: str, call: int
) -> None:
    target = tmp_path / "a"
    write_folder_atomically(target, OLD)
    original, calls = getattr(owner, step), itertools.count(1)

    def fail(*args: object) -> object:
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fail)
        with pytest.raises(KeyboardInterrupt):
            write_folder_atomically(target, NEW)
    assert contents(target) == OLD and list(tmp_path.iterdir()) == [target]
    write_folder_atomically(target, NEW)
    assert contents(target) == NEW and list(tmp_path.iterdir()) == [target]


def test_convention_the_checksum_of_a_folder_is_that_of_the_sorted_list_of_its_files(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden", "Thumbs.db")
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "ä").write_bytes(b"1")
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\0" for name, content in (("b", b"2"), ("ä", b"1"))]
    assert sha256_path(tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert sha256_path(tmp_path / "b") == hashlib.sha256(b"2").hexdigest()
    (tmp_path / "b").rename(tmp_path / "c")
    assert sha256_path(tmp_path) != hashlib.sha256("".join(lines).encode()).hexdigest()
