"""Whole protected folders: the originals come back bit by bit, or nothing is written and the report says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damage import flip, truncate
from protected_folder import noise, square, tree, write_array
from sealed_folders import KEY, OTHER_KEY, Folders, copy_folders, folders_in, protect_and_seal, restore_all

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, Manifest, ManifestError
from monai_umed.io.checksum import sha256_path
from monai_umed.sealing import restore
from monai_umed.sealing.restore import CaseReport, restore_dataset, seal_dataset
from monai_umed.sealing.seal import WrongKeyError

# kind -> (image, mask, array, share of the original's size that sealing must not exceed). Noise does not compress,
# so a small share shows that the protected file was put to use.
KINDS: dict[str, tuple[str, str, np.ndarray, float]] = {
    "gray": ("images/a (1).png", "masks/a (1).png", noise((64, 80)).astype(np.uint8), 1.2),
    "rgb": ("images/a.png", "masks/a.png", noise((48, 40, 3)).astype(np.uint8), 1.2),
    "deep": ("images/a.png", "masks/a.png", noise((50, 60), 30000).astype(np.uint16), 1.2),
    "jpeg": ("images/scan.jpg", "masks/scan.png", noise((50, 60)).astype(np.uint8), 1.5),
    "tiff": ("images/a.tif", "masks/a.tif", noise((90, 120)).astype(np.uint8), 0.7),
    "bmp": ("images/a.bmp", "masks/a.png", noise((90, 120)).astype(np.uint8), 0.7),
    "volume": ("imagesTr/a.nii", "labelsTr/a.nii.gz", (noise((40, 36, 20), 2000) - 1000).astype(np.int16), 0.6),
    "pair": ("imagesTr/a.img", "labelsTr/a.img", (noise((40, 36, 20), 2000) - 1000).astype(np.int16), 0.6),
    "packed": ("imagesTr/a.nii.gz", "labelsTr/a.nii", (noise((40, 36, 20), 2000) - 1000).astype(np.int16), 1.1),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Three cases, protected and sealed once."""
    folders = folders_in(tmp_path_factory.mktemp("made"))
    for index, name in enumerate("abc"):
        write_array(folders.dataset / "images" / f"{name}.bmp", noise((40, 48 + index), seed=index).astype(np.uint8))
        write_array(folders.dataset / "masks" / f"{name}.png", square((40, 48 + index)))
    assert protect_and_seal(folders) == CaseReport(done=["a", "b", "c"])
    return folders


@pytest.fixture
def folders(made: Folders, tmp_path: Path) -> Folders:
    return copy_folders(made, tmp_path)


def edit_manifest(folders: Folders, **fields: object) -> None:
    """Change fields of the first case."""
    path = folders.protected / MANIFEST
    content = json.loads(path.read_text())
    content["cases"][0] |= fields
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_comes_back_bit_by_bit(tmp_path: Path, kind: str) -> None:
    folders = folders_in(tmp_path)
    image_name, mask_name, image, share = KINDS[kind]
    spatial = image.shape[:2] if kind == "rgb" else image.shape
    write_array(folders.dataset / image_name, image)
    write_array(folders.dataset / mask_name, square(spatial, 1 if len(spatial) == 3 else 255))
    inputs = tree(folders.dataset)
    assert protect_and_seal(folders, 3 if kind == "rgb" else 1, len(spatial)).done

    [record] = Manifest.load(folders.protected / MANIFEST).cases
    sealed = folders.sealed / f"{record.image}.sealed"
    assert tree(folders.sealed).keys() == {f"{record.image}.sealed"}
    assert sealed.stat().st_size < share * (folders.dataset / image_name).stat().st_size + 600
    report = restore_all(folders)
    assert (report.done, report.failed) == ([record.id], [])
    assert tree(folders.dataset) == inputs == tree(folders.output)
    assert sha256_path(folders.output / image_name) == record.sha256_before


def test_the_dataset_comes_back_and_inputs_stay(folders: Folders) -> None:
    before = [tree(folder) for folder in folders[:3]]
    assert restore_all(folders) == CaseReport(done=["a", "b", "c"])
    assert tree(folders.output) == before[0]
    assert [tree(folder) for folder in folders[:3]] == before


def test_chosen_cases_alone_are_restored(folders: Folders) -> None:
    assert restore_all(folders, cases=["c", "a"]).done == ["a", "c"]
    assert tree(folders.output).keys() == {"images/a.bmp", "images/c.bmp", "masks/a.png", "masks/c.png"}


def test_an_unknown_case_is_refused_before_anything_is_written(folders: Folders) -> None:
    with pytest.raises(DatasetError, match="nobody: no such case"):
        restore_all(folders, cases=["a", "nobody"])
    assert not folders.output.exists()


def test_a_wrong_key_writes_nothing(folders: Folders) -> None:
    with pytest.raises(WrongKeyError, match="another key"):
        restore_all(folders, OTHER_KEY)
    assert not folders.output.exists()


def take_neighbor(path: Path) -> None:
    path.write_bytes(path.with_name(path.name.replace("b", "c", 1)).read_bytes())


SEALED_B, IMAGE_B, MASK_B = "sealed/images/b.bmp.sealed", "protected/images/b.bmp", "protected/masks/b.png"


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        (SEALED_B, flip, "sealed file is damaged or incomplete"),
        (SEALED_B, truncate, "sealed file is damaged or incomplete"),
        (SEALED_B, take_neighbor, "sealed file is that of case 'c'"),
        (SEALED_B, Path.unlink, "b.bmp.sealed is missing; fetch it again"),
        (IMAGE_B, flip, "protected image is not the file that the manifest describes"),
        (IMAGE_B, Path.unlink, "b.bmp is missing"),
        (MASK_B, take_neighbor, "mask is not the file that the manifest describes"),
        (MASK_B, Path.unlink, "b.png is missing"),
    ],
)
def test_a_bad_file_is_listed_with_its_reason_and_the_others_are_restored(
    folders: Folders, name: str, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(folders.sealed.parent / name)
    report = restore_all(folders)
    assert report.done == ["a", "c"]
    [failure] = report.failed
    assert failure.id == "b" and reason in failure.reason
    assert tree(folders.output).keys() == {"images/a.bmp", "images/c.bmp", "masks/a.png", "masks/c.png"}


def test_a_file_of_another_key_is_listed_and_the_others_are_restored(folders: Folders) -> None:
    (folders.sealed / "images/b.bmp.sealed").unlink()
    seal_dataset(find_cases(folders.dataset), folders.protected, folders.output, key=OTHER_KEY, progress=False)
    (folders.output / "images/b.bmp.sealed").rename(folders.sealed / "images/b.bmp.sealed")
    shutil.rmtree(folders.output)
    report = restore_all(folders)
    assert report.done == ["a", "c"] and "another key" in report.failed[0].reason


def test_a_mask_is_as_authentic_as_the_image(folders: Folders) -> None:
    forged = tree(folders.protected)["masks/c.png"]
    shutil.copy(folders.protected / "masks/c.png", folders.protected / "masks/a.png")
    edit_manifest(folders, label_sha256=forged)
    report = restore_all(folders)
    assert report.done == ["b", "c"] and "differ in label_sha256" in report.failed[0].reason


def test_an_existing_original_is_kept_and_any_other_file_is_not_overwritten(folders: Folders) -> None:
    (folders.output / "images").mkdir(parents=True)
    (folders.output / "images" / "a.bmp").write_bytes(b"mine")
    shutil.copy(folders.dataset / "images" / "b.bmp", folders.output / "images" / "b.bmp")
    report = restore_all(folders)
    assert report.done == ["b", "c"]  # of b, the mask alone was missing
    assert report.failed[0].id == "a" and "exists with other content" in report.failed[0].reason
    assert (folders.output / "images" / "a.bmp").read_bytes() == b"mine"
    assert not (folders.output / "masks" / "a.png").exists()
    assert restore_all(folders).kept == ["b", "c"]


def test_originals_in_place_need_nothing(folders: Folders) -> None:
    before = tree(folders.dataset)
    report = restore_dataset(folders.protected, folders.sealed, folders.dataset, key=KEY, progress=False)
    assert report == CaseReport(kept=["a", "b", "c"]) and tree(folders.dataset) == before


def test_an_interrupted_restore_goes_on_where_it_stopped(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    write = restore.write_content

    def interrupted(path: Path, content: bytes) -> None:
        if path.name == "b.png":
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(restore, "write_content", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore_all(folders)
    monkeypatch.undo()
    times = {name: (folders.output / name).stat().st_mtime_ns for name in tree(folders.output)}
    assert times.keys() == {"images/a.bmp", "masks/a.png", "images/b.bmp"}
    assert restore_all(folders) == CaseReport(done=["b", "c"], kept=["a"])
    assert tree(folders.output) == tree(folders.dataset)
    assert times == {name: (folders.output / name).stat().st_mtime_ns for name in times}


def test_a_full_disk_is_reported_and_a_later_run_finishes(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restore, "write_content", full)
    report = restore_all(folders)
    assert not report.done and all("No space left" in failure.reason for failure in report.failed)
    monkeypatch.undo()
    assert restore_all(folders).done == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["protected", "protected/x", "sealed", "sealed/images", "."])
def test_an_output_that_overlaps_with_an_input_is_refused(folders: Folders, name: str) -> None:
    root = folders.protected.parent
    before = tree(root)
    with pytest.raises(DatasetError, match="choose a folder outside"):
        restore_dataset(folders.protected, folders.sealed, root / name, key=KEY, progress=False)
    assert tree(root) == before


@pytest.mark.parametrize("name", ["protected", "protected/images", "dataset", "dataset/masks/x", "."])
def test_sealing_into_images_or_masks_is_refused(folders: Folders, name: str) -> None:
    root = folders.protected.parent
    before = tree(root)
    with pytest.raises(DatasetError, match="choose a folder outside"):
        seal_dataset(find_cases(folders.dataset), folders.protected, root / name, key=KEY, progress=False)
    assert tree(root) == before


def test_sealed_files_may_travel_within_the_public_folder(folders: Folders) -> None:
    sealed = folders.protected / "sealed"
    assert seal_dataset(find_cases(folders.dataset), folders.protected, sealed, key=KEY, progress=False).done
    assert restore_dataset(folders.protected, sealed, folders.output, key=KEY, progress=False).done == ["a", "b", "c"]


@pytest.mark.parametrize("path", ["../evil.bmp", "/tmp/evil.bmp", "images/../../evil.bmp", "C:\\evil.bmp"])
@pytest.mark.parametrize("field", ["image", "label", "source"])
def test_names_that_leave_the_folder_are_refused(folders: Folders, field: str, path: str) -> None:
    edit_manifest(folders, **{field: path})
    with pytest.raises(ManifestError, match=field):
        restore_all(folders)
    assert not folders.output.exists()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"source": "deeper/a.bmp"}, "without folders"),
        ({"source": "deeper\\a.bmp"}, "without folders"),
        ({"source": "."}, "without folders"),
        ({"source": "b.bmp"}, "two cases"),
        ({"label": "masks/b.png"}, "two cases"),
        ({"label": "images/a.bmp"}, "image and mask"),
        ({"label": "images/b.bmp/a.png"}, "written into images/b.bmp"),
    ],
)
def test_names_that_would_mix_files_are_refused(folders: Folders, fields: dict[str, str], reason: str) -> None:
    edit_manifest(folders, **fields)
    with pytest.raises(DatasetError, match=reason):
        restore_all(folders)
    assert not folders.output.exists()


def test_names_that_the_owner_never_sealed_are_not_written(folders: Folders) -> None:
    edit_manifest(folders, source=".profile")
    report = restore_all(folders)
    assert report.done == ["b", "c"] and "differ in source" in report.failed[0].reason
    assert not (folders.output / "images" / ".profile").exists()


@pytest.mark.parametrize("name", ["output/images", "output/masks", "protected/masks", "sealed/images"])
def test_links_out_of_a_folder_are_not_followed(folders: Folders, name: str) -> None:
    root = folders.protected.parent
    outside, link = root / "outside", root / name
    if link.is_dir():
        link.rename(outside)
    outside.mkdir(exist_ok=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside, target_is_directory=True)
    before = tree(outside)
    report = restore_all(folders)
    assert not report.done and all("a link that leaves" in failure.reason for failure in report.failed)
    assert tree(outside) == before


def test_a_link_to_itself_spoils_one_case_alone(folders: Folders) -> None:
    loop = folders.sealed / "images" / "b.bmp.sealed"
    loop.unlink()
    loop.symlink_to(loop)
    report = restore_all(folders)
    assert report.done == ["a", "c"] and [failure.id for failure in report.failed] == ["b"]


def test_sealing_again_keeps_good_files_and_replaces_bad_ones(folders: Folders) -> None:
    flip(folders.sealed / "images" / "b.bmp.sealed")
    before = tree(folders.sealed)
    report = seal_dataset(find_cases(folders.dataset), folders.protected, folders.sealed, key=KEY, progress=False)
    assert report == CaseReport(done=["b"], kept=["a", "c"])
    assert {name for name, digest in tree(folders.sealed).items() if before[name] != digest} == {"images/b.bmp.sealed"}


def test_files_of_another_key_are_not_sealed_over(folders: Folders) -> None:
    before = tree(folders.sealed)
    with pytest.raises(WrongKeyError):
        seal_dataset(find_cases(folders.dataset), folders.protected, folders.sealed, key=OTHER_KEY, progress=False)
    assert tree(folders.sealed) == before


def test_originals_that_changed_or_are_absent_are_not_sealed(folders: Folders) -> None:
    shutil.rmtree(folders.sealed)
    flip(folders.dataset / "images" / "a.bmp")
    cases = [case for case in find_cases(folders.dataset) if case.id != "b"]
    report = seal_dataset(cases, folders.protected, folders.sealed, key=KEY, progress=False)
    assert report.done == ["c"]
    reasons = {failure.id: failure.reason for failure in report.failed}
    assert "original is not the file" in reasons["a"] and "not among the cases" in reasons["b"]


def test_sealed_files_hold_neither_the_key_nor_pixels(folders: Folders) -> None:
    for name in "abc":
        sealed = (folders.sealed / "images" / f"{name}.bmp.sealed").read_bytes()
        original = (folders.dataset / "images" / f"{name}.bmp").read_bytes()
        assert KEY[:8] not in sealed
        assert not any(original[start : start + 8] in sealed for start in range(1100, len(original) - 8, 8))


def test_the_longest_names_of_files_are_sealed_and_restored(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    name = "y" * 251 + ".png"
    write_array(folders.dataset / "images" / name, noise((40, 48)).astype(np.uint8))
    write_array(folders.dataset / "masks" / name, square((40, 48)))
    assert protect_and_seal(folders).done == ["y" * 251]
    assert not restore_dataset(folders.protected, folders.sealed, folders.output, key=KEY, progress=False).failed
    assert tree(folders.output) == tree(folders.dataset)
