"""A protected folder is checked against its manifest and its originals: each kind of damage is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import tifffile
from damage import flip
from dicom_files import read_with_itk, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from protected_folder import noise, read_array, small_protector, square, tree, write_array

from monai_umed.cli.reports import say_verified
from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED
from monai_umed.io.checksum import sha256_path
from monai_umed.io.fidelity import measure
from monai_umed.protectors.controls import Identity
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import Problem, verify_folder
from monai_umed.sealing.keys import new_key
from monai_umed.sealing.restore import seal_dataset

BUDGET = 4  # grey levels of 8-bit files


def write_marks(folder: Path, *names: str) -> None:
    (folder / UNFINISHED).mkdir()
    for name in names:
        (folder / UNFINISHED / name).touch()


class Folders(NamedTuple):
    """A small dataset and its protected copy."""

    dataset: Path
    protected: Path


def protect(folders: Folders, channels: int = 1, spatial_dims: int = 2) -> None:
    protector = small_protector(channels, spatial_dims)
    protect_dataset(find_cases(folders.dataset), protector, folders.protected, progress=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Three cases, protected once."""
    root = tmp_path_factory.mktemp("made")
    for index, name in enumerate("abc"):
        write_array(root / "dataset" / "images" / f"{name}.bmp", noise((40, 48 + index), seed=index).astype(np.uint8))
        write_array(root / "dataset" / "masks" / f"{name}.png", square((40, 48 + index)))
    folders = Folders(root / "dataset", root / "protected")
    protect(folders)
    return folders


@pytest.fixture
def folders(made: Folders, tmp_path: Path) -> Folders:
    """A copy that a test may spoil."""
    for folder in made:
        shutil.copytree(folder, tmp_path / folder.name)
    return Folders(tmp_path / "dataset", tmp_path / "protected")


def check(folders: Folders, originals: bool = True) -> list[Problem]:
    return verify_folder(folders.protected, folders.dataset if originals else None, progress=False)


def edit_manifest(folder: Path, case: int = 0, **fields: object) -> None:
    path = folder / MANIFEST
    content = json.loads(path.read_text())
    content["cases"][case] |= fields
    path.write_text(json.dumps(content))


def edit_header(folder: Path, **fields: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def swap(first: Path, second: Path) -> None:
    first_content, second_content = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_content)
    second.write_bytes(first_content)


def forge(folder: Path, array: np.ndarray) -> None:
    """Replace the first image, and make the manifest agree."""
    write_array(folder / "images" / "a.bmp", array)
    edit_manifest(folder, sha256_after=sha256_path(folder / "images" / "a.bmp"))


@pytest.mark.parametrize("originals", [True, False])
def test_a_good_folder_has_no_problem_and_stays_as_it_is(folders: Folders, originals: bool) -> None:
    before = [tree(folder) for folder in folders]
    assert check(folders, originals) == []
    assert [tree(folder) for folder in folders] == before


KINDS: dict[str, tuple[str, str, np.ndarray]] = {
    "rgb": ("images/a.png", "masks/a.png", noise((48, 40, 3)).astype(np.uint8)),
    "alpha": ("images/a.png", "masks/a.png", noise((48, 40, 4)).astype(np.uint8)),
    "deep": ("images/a.png", "masks/a.png", noise((50, 60), 30000).astype(np.uint16)),
    "jpeg": ("images/scan.jpg", "masks/scan.png", noise((50, 60)).astype(np.uint8)),
    "tiff": ("images/a.tif", "masks/a.tif", noise((90, 120)).astype(np.uint8)),
    "volume": ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz", (noise((40, 36, 20), 2000) - 1000).astype(np.int16)),
    "pair": ("imagesTr/a.img", "labelsTr/a.img", (noise((40, 36, 20), 2000) - 1000).astype(np.int16)),
    "real": ("imagesTr/a.nii", "labelsTr/a.nii", noise((40, 36, 20), 2000).astype(np.float32) / 7),
}


def folders_of_kind(root: Path, kind: str) -> Folders:
    folders = Folders(root / "dataset", root / "protected")
    image_name, mask_name, image = KINDS[kind]
    spatial = image.shape[:2] if kind in ("rgb", "alpha") else image.shape
    write_array(folders.dataset / image_name, image)
    write_array(folders.dataset / mask_name, square(spatial, 1 if len(spatial) == 3 else 255))
    protect(folders, 3 if kind in ("rgb", "alpha") else 1, len(spatial))
    return folders


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_good_as_it_was_written(tmp_path: Path, kind: str) -> None:
    assert check(folders_of_kind(tmp_path, kind)) == []


IMAGE_A, MASK_A = "images/a.bmp", "masks/a.png"
KILLED = f".{32 * '0'}.tmp"

# name -> (what is done to the protected folder, id and part of the text of each problem, in order)
DAMAGES: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "flipped byte": (lambda folder: flip(folder / IMAGE_A), [("a", f"{IMAGE_A} is not the file that manifest.json")]),
    "flipped byte of a mask": (lambda folder: flip(folder / MASK_A), [("a", f"{MASK_A} is not the file")]),
    "deleted image": (lambda folder: (folder / IMAGE_A).unlink(), [("a", f"{IMAGE_A} is missing; fetch it again")]),
    "deleted mask": (lambda folder: (folder / MASK_A).unlink(), [("a", f"{MASK_A} is missing")]),
    "swapped images": (
        lambda folder: swap(folder / IMAGE_A, folder / "images/c.bmp"),
        [("a", "is the protected image of case 'c'; put"), ("c", "is the protected image of case 'a'; put")],
    ),
    "swapped masks": (
        lambda folder: swap(folder / MASK_A, folder / "masks/b.png"),
        [("a", "is the mask of case 'b'"), ("b", "is the mask of case 'a'")],
    ),
    "image in place of a mask": (
        lambda folder: shutil.copy(folder / IMAGE_A, folder / MASK_A),
        [("a", f"{MASK_A} is the protected image of case 'a'")],
    ),
    "unprotected original": (
        lambda folder: shutil.copy(folder.parent / "dataset" / IMAGE_A, folder / IMAGE_A),
        [("a", "is the unprotected original of case 'a'; remove it before")],
    ),
    "unprotected original beside": (
        lambda folder: shutil.copy(folder.parent / "dataset" / IMAGE_A, folder / "old.bmp"),
        [("old.bmp", "the unprotected original of case 'a'")],
    ),
    "edited mask": (
        lambda folder: write_array(folder / MASK_A, 255 - square((40, 48))),
        [("a", f"{MASK_A} is not the file")],
    ),
    "extra file": (lambda folder: (folder / "images/d.bmp").write_bytes(b"d"), [("images/d.bmp", "not in manifest")]),
    "hidden file": (lambda folder: (folder / "images/.DS_Store").touch(), [("images/.DS_Store", "a hidden file")]),
    "interrupted write": (
        lambda folder: (folder / "masks" / KILLED).touch(),
        [(f"masks/{KILLED}", "interrupted write")],
    ),
    "interrupted series": (
        lambda folder: write_array(folder / "images" / KILLED / "x.bmp", square((9, 9))),
        [(f"images/{KILLED}", "interrupted write")],
    ),
    "interrupted at the end": (lambda folder: (folder / UNFINISHED).touch(), [(UNFINISHED, "interrupted after its")]),
    "one of two processes interrupted": (
        lambda folder: write_marks(folder, "lock", "lock.json", "lock-1-of-2", f"{64 * 'a'}.json"),
        [(UNFINISHED, "interrupted after its")],
    ),
    "other files among the marks": (
        lambda folder: write_marks(folder, "notes.txt"),
        [(f"{UNFINISHED}/notes.txt", "not in manifest")],
    ),
    "key": (lambda folder: new_key(folder / "images/readme"), [("images/readme", "SECRET KEY")]),
    "link": (lambda folder: (folder / "all").symlink_to(folder), [("all", "a link")]),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), [(MANIFEST, "no readable JSON file")]),
    "truncated manifest": (lambda folder: (folder / MANIFEST).write_text('{"cases"'), [(MANIFEST, "no readable JSON")]),
    "interrupted": (
        lambda folder: (folder / MANIFEST).rename(folder / UNFINISHED),
        [(UNFINISHED, "interrupted; run it again")],
    ),
    "manifest of another format": (lambda folder: edit_header(folder, format=9), [(MANIFEST, "update the package")]),
    "manifest of any budget": (lambda folder: edit_header(folder, eps=0.9), [(MANIFEST, "eps is 0.9")]),
    "manifest of a smaller budget": (
        lambda folder: edit_header(folder, eps=1 / 255),
        [(name, "the budget is 1 (eps 0.00392157 of the window 0 to 255)") for name in "abc"],
    ),
    "manifest of a larger change": (
        lambda folder: edit_manifest(folder, max_abs_delta=BUDGET + 1),
        [("a", "names a change of 5 stored units, the budget is 4")],
    ),
    "manifest that names a file twice": (
        lambda folder: edit_manifest(folder, label="masks/b.png"),
        [(MANIFEST, "lists masks/b.png 2 times"), ("a", "is the mask of case 'b'"), (MASK_A, "the mask of case 'a'")],
    ),
    "manifest of another checksum": (
        lambda folder: edit_manifest(folder, sha256_after="0" * 64),
        [("a", f"{IMAGE_A} is not the file")],
    ),
    "manifest of another shape": (
        lambda folder: edit_manifest(folder, shape=[1, 48, 40]),
        [("a", "says uint8 (1, 48")],
    ),
    "manifest of another type": (
        lambda folder: edit_manifest(folder, dtype="int16"),
        [("a", "holds uint8 (1, 40, 48)")],
    ),
    "manifest of an empty window": (
        lambda folder: edit_manifest(folder, window=[3, 3]),
        [("a", "two different finite")],
    ),
}


@pytest.mark.parametrize("originals", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_named_with_and_without_originals(folders: Folders, damage: str, originals: bool) -> None:
    spoil, expected = DAMAGES[damage]
    spoil(folders.protected)
    problems = check(folders, originals)
    assert [problem.id for problem in problems] == [case_id for case_id, _ in expected]
    for problem, (_, text) in zip(problems, expected, strict=True):
        assert text in problem.what


def test_a_manifest_without_cases_describes_nothing(folders: Folders) -> None:
    edit_header(folders.protected, cases=[])
    problems = check(folders)
    assert problems[0] == Problem(MANIFEST, "lists no case; restore it from a copy")
    assert {problem.id for problem in problems[1:]} == tree(folders.protected).keys() - {MANIFEST}


# As before, for what takes the originals to be seen; the manifest agrees with the files.
FORGERIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "pixel outside of the budget": (
        lambda folder: forge(folder, moved(folder, BUDGET + 1)),
        "differs by 5 stored units",
    ),
    "another image": (lambda folder: forge(folder, noise((40, 48), seed=9).astype(np.uint8)), "differs by 2"),
    "pixel within the budget": (lambda folder: forge(folder, moved(folder, BUDGET)), "says psnr"),
    "other original": (lambda folder: edit_manifest(folder, sha256_before="0" * 64), "not the file that was protected"),
    "edited psnr": (lambda folder: edit_manifest(folder, psnr=99.0), "says psnr 99.0, the files say 4"),
    "no psnr": (lambda folder: edit_manifest(folder, psnr=None), "says psnr None"),
    "edited ssim": (lambda folder: edit_manifest(folder, ssim=1.0), "says ssim 1.0"),
    "edited share": (lambda folder: edit_manifest(folder, perturbed_fraction=0.01), "says perturbed_fraction 0.01"),
    "edited change": (lambda folder: edit_manifest(folder, max_abs_delta=1), "says max_abs_delta 1, the files say 4"),
    "wider window": (lambda folder: edit_manifest(folder, window=[0, 2550]), "says psnr"),
    "renamed case": (lambda folder: edit_manifest(folder, id="aa"), "has no original"),
}


def moved(folder: Path, change: int) -> np.ndarray:
    """The first image, with one pixel outside of the region of interest moved by ``change`` from the original."""
    array = read_array(folder / IMAGE_A).copy()
    original = int(read_array(folder.parent / "dataset" / IMAGE_A)[0, 0])
    array[0, 0] = original + change if original < 128 else original - change
    return array


@pytest.mark.parametrize("forgery", FORGERIES)
def test_originals_show_what_a_manifest_that_agrees_with_the_files_hides(folders: Folders, forgery: str) -> None:
    spoil, text = FORGERIES[forgery]
    spoil(folders.protected)
    assert check(folders, originals=False) == []
    problems = check(folders)
    assert {problem.id for problem in problems} == {"aa" if forgery == "renamed case" else "a"}
    assert any(text in problem.what for problem in problems), problems


@settings(max_examples=50, deadline=None)
@given(row=st.integers(0, 39), column=st.integers(0, 47), value=st.integers(0, 255))
def test_any_single_pixel_is_outside_of_the_budget_if_and_only_if_it_is_named(
    made: Folders, row: int, column: int, value: int
) -> None:
    with TemporaryDirectory() as folder:
        copy = Folders(made.dataset, shutil.copytree(made.protected, Path(folder) / "protected"))
        array = read_array(copy.protected / IMAGE_A).copy()
        array[row, column] = value
        forge(copy.protected, array)
        change = abs(value - int(read_array(made.dataset / IMAGE_A)[row, column]))
        named = [problem.what for problem in check(copy) if "stored units" in problem.what]
    if change <= BUDGET:
        assert named == []
    else:
        assert len(named) == 1 and f"differs by {change} stored units" in named[0]


def forge_kind(folders: Folders, kind: str) -> str:
    """Checksum of the kind's protected image, for a manifest that agrees with it."""
    name = KINDS[kind][0]
    edit_manifest(folders.protected, sha256_after=sha256_path(folders.protected / name))
    return name


def test_a_change_of_alpha_is_named(tmp_path: Path) -> None:
    folders = folders_of_kind(tmp_path, "alpha")
    path = folders.protected / KINDS["alpha"][0]
    array = read_array(path).copy()
    array[0, 0, 3] ^= 1
    Image.fromarray(array).save(path)
    forge_kind(folders, "alpha")
    [problem] = check(folders)
    assert problem == Problem("a", problem.what) and "another alpha channel" in problem.what


@pytest.mark.parametrize("part", ["spacing", "origin"])
def test_a_volume_that_was_moved_is_named(tmp_path: Path, part: str) -> None:
    folders = folders_of_kind(tmp_path, "volume")
    path = folders.protected / KINDS["volume"][0]
    volume = nib.load(path)
    affine = volume.affine.copy()  # type: ignore[attr-defined]
    affine[0, 0 if part == "spacing" else 3] += 0.5
    nib.Nifti1Image(read_array(path), affine).to_filename(path)
    forge_kind(folders, "volume")
    [problem] = check(folders)
    assert "lies elsewhere in space" in problem.what


def test_a_series_is_checked_slice_by_slice_and_has_no_room_for_hidden_files(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "dataset", tmp_path / "protected")
    pixels = noise((20, 24, 22), 4096).astype(np.uint16)
    series = write_series(
        folders.dataset / "images" / "ct", pixels, "abcdefghijklmnopqrst", WindowCenter=2000, WindowWidth=3000
    )
    label = SimpleITK.GetImageFromArray(square((20, 24, 22), 1))
    label.CopyInformation(read_with_itk(series))
    (folders.dataset / "masks").mkdir()
    SimpleITK.WriteImage(label, str(folders.dataset / "masks" / "ct.nii.gz"))
    protect(folders, spatial_dims=3)
    assert check(folders) == []
    hidden = folders.protected / "images" / "ct" / ".thumbnail"
    hidden.touch()
    assert [problem.id for problem in check(folders)] == ["images/ct/.thumbnail"]
    hidden.unlink()
    flip(next((folders.protected / "images" / "ct").iterdir()))
    [problem] = check(folders)
    assert problem.id == "ct" and "images/ct is not" in problem.what


def test_another_type_of_the_same_values_is_named(tmp_path: Path) -> None:
    folders = folders_of_kind(tmp_path, "tiff")
    path = folders.protected / KINDS["tiff"][0]
    tifffile.imwrite(path, read_array(path).astype(np.uint16))
    edit_manifest(folders.protected, sha256_after=sha256_path(path), dtype="uint16")
    [problem] = check(folders)
    assert "holds ((1, 90, 120), 'uint16'" in problem.what


def test_a_voxel_that_is_no_number_is_outside_of_the_budget(tmp_path: Path) -> None:
    folders = folders_of_kind(tmp_path, "real")
    path = folders.protected / KINDS["real"][0]
    array = read_array(path).copy()
    array[0, 0, 0] = np.nan
    nib.Nifti1Image(array, None, nib.load(path).header).to_filename(path)
    forge_kind(folders, "real")
    assert any("differs by nan stored units" in problem.what for problem in check(folders))


def test_sealed_files_inside_are_one_problem_and_beside_none(folders: Folders) -> None:
    cases, key = find_cases(folders.dataset), bytes(32)
    seal_dataset(cases, folders.protected, folders.protected.parent / "sealed", key=key, progress=False)
    assert check(folders) == []
    seal_dataset(cases, folders.protected, folders.protected / "sealed", key=key, progress=False)
    [problem] = check(folders)
    assert problem.id == "sealed/" and problem.what.startswith("3 sealed files, which a new run would refuse; move")


def test_cases_of_the_dataset_that_were_not_protected_are_no_problem(folders: Folders) -> None:
    write_array(folders.dataset / "images" / "d.bmp", noise((40, 48)).astype(np.uint8))
    write_array(folders.dataset / "masks" / "d.png", square((40, 48)))
    assert check(folders) == []


def test_wrong_folders_are_errors_not_problems(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder; check the path"):
        verify_folder(tmp_path / "typo", progress=False)
    with pytest.raises(DatasetError, match="no such folder; check the path"):
        verify_folder(folders.protected, tmp_path / "typo", progress=False)


def test_the_report_names_folder_count_and_every_problem(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    say_verified([], folders.protected)
    assert f"Verified 3 cases in {folders.protected}" in capsys.readouterr().out
    flip(folders.protected / IMAGE_A)
    problems = check(folders)
    say_verified(problems, folders.protected, folders.dataset)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"Verified {folders.protected}: 1 problem", f"  a: {problems[0].what}"]


@pytest.mark.parametrize("originals", [False, True])
def test_a_case_in_which_no_pixel_changed_is_a_problem(tmp_path: Path, originals: bool) -> None:
    folders = Folders(tmp_path / "dataset", tmp_path / "protected")
    write_array(folders.dataset / "images" / "a.png", noise((40, 48)).astype(np.uint8))
    write_array(folders.dataset / "masks" / "a.png", square((40, 48)))
    protect_dataset(find_cases(folders.dataset), Identity(2, 1), folders.protected, progress=False)
    what = "images/a.png is as unprotected as its original, no pixel changed; remove it, or protect again"
    assert check(folders, originals) == [Problem("a", what)]


def test_a_case_in_which_less_than_half_of_its_perturbation_is_left_is_a_problem(folders: Folders) -> None:
    """The manifest agrees with the files in all figures, as if that had been protected."""
    before, after = (read_array(folder / "images" / "a.bmp") for folder in folders)
    weak = after.copy()
    weak[:25] = before[:25]
    assert (weak != before).any()
    for array in (after, weak):
        assert check(folders) == []
        forge(folders.protected, array)
        edit_manifest(folders.protected, **asdict(measure(before[None], array[None], 255)))
        assert check(folders, originals=False) == []
    [problem] = check(folders)
    assert problem.id == "a"
    assert "of the perturbation arrives, must be at least 50%; protect again" in problem.what
