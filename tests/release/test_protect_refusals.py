"""What is not protected: bad cases are set aside with a reason, bad folders refused before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from protected_folder import noise, small_protector, square, tree, write_array

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED, Manifest
from monai_umed.release.protect import protect_dataset

SHAPE = (40, 48)


def gray(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return noise(shape).astype(np.uint8)


def write_pair(folder: Path, name: str, image: np.ndarray, mask: np.ndarray, ending: str = ".png") -> None:
    write_array(folder / "images" / f"{name}{ending}", image)
    write_array(folder / "masks" / f"{name}{ending}", mask)


def truncate(folder: Path, name: str) -> None:
    write_pair(folder, name, gray(), square(SHAPE))
    path = folder / "images" / f"{name}.png"
    path.write_bytes(path.read_bytes()[:500])


def write_nan(folder: Path, name: str) -> None:
    image = gray().astype(np.float32)
    image[20, 24] = np.nan  # in the structure: gaps elsewhere stay as they are
    write_pair(folder, name, image, square(SHAPE, 1), ".nii.gz")


def two_values() -> np.ndarray:
    mask = square(SHAPE)
    mask[0, :5] = 7
    return mask


# kind -> (how it is written, what its reason must say)
BAD: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "truncated": (truncate, "truncated.png"),
    "other-size": (
        lambda folder, name: write_pair(folder, name, gray(), square((40, 47))),
        "the image has shape (40, 48), its mask (40, 47)",
    ),
    "empty": (lambda folder, name: write_pair(folder, name, gray(), square(SHAPE, 0)), "the mask is empty"),
    "full": (
        lambda folder, name: write_pair(folder, name, gray(), np.full(SHAPE, 255, np.uint8)),
        "the mask covers everything",
    ),
    "non-binary": (lambda folder, name: write_pair(folder, name, gray(), two_values()), "holds the values 7"),
    "nan": (write_nan, "1 pixels inside the structure are NaN or infinite"),
    "constant": (
        lambda folder, name: write_pair(folder, name, np.full(SHAPE, 9, np.uint8), square(SHAPE)),
        "the image is constant (9)",
    ),
    "small": (lambda folder, name: write_pair(folder, name, gray((15, 40)), square((15, 40))), "a side of 15"),
    "volume": (
        lambda folder, name: write_pair(
            folder, name, noise((20, 20, 20)).astype(np.int16), square((20, 20, 20), 1), ".nii.gz"
        ),
        "works on 2D images",
    ),
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """Two good cases and one of every bad kind, protected."""
    folder = tmp_path_factory.mktemp("mixed")
    for name in ("good a", "good b"):
        write_pair(folder / "dataset", name, gray(), square(SHAPE))
    for name, (write, _) in BAD.items():
        write(folder / "dataset", name)
    manifest = protect_dataset(find_cases(folder / "dataset"), small_protector(), folder / "protected", progress=False)
    return folder / "protected", manifest


@pytest.mark.parametrize("name", BAD)
def test_a_bad_case_is_set_aside_with_its_reason_and_nothing_of_it_is_written(
    mixed: tuple[Path, Manifest], name: str
) -> None:
    folder, manifest = mixed
    reasons = {entry.id: entry.reason for entry in manifest.quarantined}
    assert BAD[name][1] in reasons[name]
    assert not [file for file in tree(folder) if name in file]


def test_good_cases_are_protected_beside_bad_ones(mixed: tuple[Path, Manifest]) -> None:
    folder, manifest = mixed
    assert [record.id for record in manifest.cases] == ["good a", "good b"]
    assert {entry.id for entry in manifest.quarantined} == BAD.keys()
    expected = {f"{kind}/good {letter}.png" for kind in ("images", "masks") for letter in "ab"}
    assert tree(folder).keys() == expected | {MANIFEST}
    assert Manifest.load(folder / MANIFEST) == manifest


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "parent" / "dataset"
    for name in "ab":
        write_pair(folder, name, gray(), square(SHAPE))
    return folder


@pytest.mark.parametrize("place", [".", "images", "masks", "..", "../..", "images/../masks", "images/out"])
def test_an_output_folder_that_overlaps_with_the_input_is_refused(dataset: Path, place: str) -> None:
    before = tree(dataset)
    with pytest.raises(DatasetError, match="choose a folder outside"):
        protect_dataset(find_cases(dataset), small_protector(), dataset / place, progress=False)
    assert tree(dataset) == before and len(find_cases(dataset)) == 2


def test_a_link_to_the_input_is_refused_as_output(dataset: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(dataset)
    before = tree(dataset)
    with pytest.raises(DatasetError, match="choose a folder outside"):
        protect_dataset(find_cases(dataset), small_protector(), link, progress=False)
    assert tree(dataset) == before


@pytest.mark.parametrize("name", ["notes.txt", "images/other.png"])
def test_an_output_folder_with_a_foreign_file_is_refused_untouched(dataset: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    foreign = out / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    with pytest.raises(
        DatasetError, match=f"{name}: not written by this program for this dataset; choose an empty folder"
    ):
        protect_dataset(find_cases(dataset), small_protector(), out, progress=False)
    assert list(tree(out)) == [name] and foreign.read_text() == "mine"


def test_two_cases_that_would_become_one_file_are_refused(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        write_pair(tmp_path / folder, "same", gray(), square(SHAPE))
    cases = find_cases(tmp_path / "x") + find_cases(tmp_path / "y")
    with pytest.raises(DatasetError, match=r"images/same\.png: two cases"):
        protect_dataset(cases, small_protector(), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_nothing_usable_is_an_error_that_lists_all_and_leaves_no_manifest(dataset: Path, tmp_path: Path) -> None:
    for name in "ab":
        write_pair(dataset, name, gray(), square(SHAPE, 0))
    with pytest.raises(DatasetError) as error:
        protect_dataset(find_cases(dataset), small_protector(), tmp_path / "out", progress=False)
    assert [offender.split(":")[0] for offender in error.value.offenders] == ["a", "b"]
    assert not tree(tmp_path / "out")


def test_a_case_that_turned_bad_leaves_nothing_of_an_earlier_run(dataset: Path, tmp_path: Path) -> None:
    """Otherwise the folder would hold a case that its manifest calls left out."""
    out = tmp_path / "out"
    protect_dataset(find_cases(dataset), small_protector(), out, progress=False)
    write_pair(dataset, "b", gray(), square(SHAPE, 0))
    protect_dataset(find_cases(dataset), small_protector(), out, progress=False)
    assert tree(out).keys() == {"images/a.png", "masks/a.png", MANIFEST}


def test_another_copy_of_the_originals_is_never_overwritten(dataset: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(dataset, backup)
    before = tree(backup)
    with pytest.raises(DatasetError, match="not written by this program"):
        protect_dataset(find_cases(dataset), small_protector(), backup, progress=False)
    assert tree(backup) == before


def test_an_unfinished_run_may_go_on_and_leaves_no_mark(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    protect_dataset(find_cases(dataset), small_protector(), output, progress=False)
    finished = tree(output)
    (output / MANIFEST).unlink()
    (output / UNFINISHED).touch()
    protect_dataset(find_cases(dataset), small_protector(), output, progress=False)
    assert tree(output) == finished
