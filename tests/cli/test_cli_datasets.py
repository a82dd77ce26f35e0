"""The command line on images and labels in two places, and on whole datasets: from originals to release and back."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from dicom_files import make_segmentation, read_with_itk, save, write_series
from protected_folder import noise, small_protector, square, tree, write_array
from typer.testing import CliRunner

from monai_umed import cli
from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases, find_sections
from monai_umed.data.manifest import MANIFEST, Manifest
from monai_umed.data.two_folders import TwoFolders, as_dataset
from monai_umed.fitting.run_config import run_config
from monai_umed.release.protect import protect_dataset
from monai_umed.sealing.keys import new_key
from monai_umed.workflows import fit, protect

SHAPE = (40, 48)
runner = CliRunner()


@pytest.fixture(autouse=True)
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs change how this process shows errors; tests give that back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture
def without_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a fit, an unfitted protector writes the files."""

    def write(name: str, overrides: dict[str, Any], overlays: Sequence[str] = ()) -> None:
        cases = find_cases(as_dataset(overrides["dataset_dir"], overrides["labels_dir"]), overrides["section"])
        volumes = any(case.image.is_dir() or ".nii" in case.image.name for case in cases)
        folder = Path(overrides["output_dir"]) / ("protected" if name == "train.json" else "")
        protect_dataset(cases, small_protector(1, 3 if volumes else 2), folder, progress=False)

    for module in (fit, protect):
        monkeypatch.setattr(module, "run_config", write)


@pytest.fixture
def scans(tmp_path: Path) -> tuple[Path, Path]:
    """Five images and their labels under the names of several tools, in folders that nothing joins."""
    images, labels = tmp_path / "scans" / "ct", tmp_path / "drawn by A"
    names = {"a": "a", "b": "b_mask", "c_0000": "c", "d d": "d d-Segmentation", "e_image": "e_gt"}
    for seed, (image, label) in enumerate(names.items()):
        write_array(images / f"{image}.bmp", noise(SHAPE, seed=seed).astype(np.uint8))
        write_array(labels / f"{label}.png", square(SHAPE))
    return images, labels


def run(*arguments: str | Path) -> str:
    """Output of a command that must succeed."""
    done = runner.invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    return done.output


def refuse(*arguments: str | Path) -> str:
    """The error that ends a command."""
    done = runner.invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exit_code == 1 and isinstance(done.exception, DatasetError), f"{done.output}{done.exception!r}"
    return str(done.exception)


def contents(folder: Path) -> list[str]:
    """Checksums of all files, whatever their names."""
    return sorted(tree(folder).values())


@pytest.mark.usefixtures("without_fit")
def test_images_and_labels_in_two_folders_are_released_verified_and_restored(
    scans: tuple[Path, Path], tmp_path: Path
) -> None:
    images, labels = scans
    out, key, back = tmp_path / "out", tmp_path / "key", tmp_path / "back"
    new_key(key)
    printed = run("protect", images, labels, out, "--seal-key", key, "--no-progress")
    for line in ("Verified 5 cases", "Sealed 5 cases", f"of {images} with the labels {labels}"):
        assert line in printed
    release = out / "protected"
    assert {path.name for path in (release / "images").iterdir()} == {path.name for path in images.iterdir()}
    assert contents(release / "masks") == contents(labels)
    assert [case.id for case in find_cases(release)] == ["a", "b", "c", "d d", "e"]
    assert [record.id for record in Manifest.load(release / MANIFEST).cases] == ["a", "b", "c", "d d", "e"]

    run("restore", out, "--seal-key", key, "--output", back, "--no-progress")
    assert tree(back / "images") == tree(images) and tree(back / "masks") == tree(labels)
    printed = run("verify", out, "--original", images, "--labels", labels, "--no-progress")
    assert "Verified 5 cases" in printed
    assert f"monai-umed audit {release} --clean {images} --labels '{labels}' --test TEST" in printed


@pytest.mark.usefixtures("without_fit")
def test_two_folders_give_the_release_that_one_folder_gives(scans: tuple[Path, Path], tmp_path: Path) -> None:
    images, labels = scans
    shutil.copytree(images, tmp_path / "one" / "images")
    shutil.copytree(labels, tmp_path / "one" / "labels")
    run("protect", images, labels, tmp_path / "x", "--no-progress")
    run("protect", tmp_path / "one", tmp_path / "y", "--no-progress")
    assert tree(tmp_path / "x" / "protected") == tree(tmp_path / "y" / "protected")


@pytest.mark.usefixtures("without_fit")
@pytest.mark.parametrize("ending", ["png", "nii.gz"])
def test_one_image_and_its_label_are_a_dataset(tmp_path: Path, ending: str) -> None:
    shape = SHAPE if ending == "png" else (34, 36, 33)  # no smaller than the grid of this protector for volumes
    image, label, out = tmp_path / f"x/scan.{ending}", tmp_path / f"x/scan_seg.{ending}", tmp_path / "out"
    write_array(image, noise(shape).astype(np.uint8))
    write_array(label, square(shape, 1))
    assert "Verified 1 cases" in run("protect", image, label, out, "--no-progress")
    assert (out / "protected" / "images" / f"scan.{ending}").is_file()
    assert "Verified 1 cases" in run("verify", out, "--original", image, "--labels", label, "--no-progress")
    assert "overlaps with the input images" in refuse("protect", image, label, tmp_path / "x" / "out")
    assert not (tmp_path / "x" / "out").exists()


@pytest.mark.usefixtures("without_fit")
@pytest.mark.parametrize("single", [True, False])
def test_series_lie_in_one_folder_and_their_labels_of_any_format_in_another(tmp_path: Path, single: bool) -> None:
    images, labels, out = tmp_path / "dicom", tmp_path / "labels", tmp_path / "out"
    mask = square((24, 20, 5), 1).transpose(1, 0, 2)
    labels.mkdir()
    for name in ("first", "second"):
        volume = read_with_itk(write_series(images / name))
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(volume.GetDirection(), (3, 3)) * volume.GetSpacing()
        affine[:3, 3] = volume.GetOrigin()
    frames = {(1, index): mask[..., index].T > 0 for index in range(5) if mask[..., index].any()}
    save(make_segmentation(frames, affine), labels / "first_seg.dcm")
    label = SimpleITK.GetImageFromArray(mask.transpose(2, 1, 0))
    label.CopyInformation(volume)
    SimpleITK.WriteImage(label, str(labels / "second.nii.gz"))
    places = (images / "first", labels / "first_seg.dcm") if single else (images, labels)
    count = 1 if single else 2
    assert f"Verified {count} cases" in run("protect", *places, out, "--no-progress")
    assert len(list((out / "protected" / "images" / "first").glob("*.dcm"))) == 5
    assert (out / "protected" / "masks" / "first_seg.dcm").is_file()
    assert [case.id for case in find_cases(out / "protected")] == ["first", "second"][:count]


def test_names_that_leave_a_doubt_are_all_listed_and_nothing_is_written(
    scans: tuple[Path, Path], tmp_path: Path
) -> None:
    images, labels = scans
    for name in ("b_seg", "a_mask", "orphan_mask"):
        shutil.copy(labels / "a.png", labels / f"{name}.png")
    for name in ("alone", "c_0001"):
        shutil.copy(images / "a.bmp", images / f"{name}.bmp")
    message = refuse("protect", images, labels, tmp_path / "out", "--no-progress")
    for expected in (
        "ct/b.bmp: may belong to the same case as drawn by A/b_mask.png, drawn by A/b_seg.png; keep one",
        "drawn by A/b_seg.png: may belong to the same case as ct/b.bmp, drawn by A/b_mask.png; keep one",
        "drawn by A/a_mask.png: may belong to the same case as ct/a.bmp, drawn by A/a.png; keep one",
        "drawn by A/orphan_mask.png: no image ct/orphan_mask.*; add it",
        "ct/alone.bmp: no label drawn by A/alone.*; add it",
    ):
        assert expected in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        ("ct", "ct", "given for images and for labels"),
        ("ct/a.bmp", "drawn", "a.bmp is a file, drawn/ a folder"),
        ("ct/a.bmp", "drawn/b.png", "no label drawn/a"),
        ("ct", "nowhere", "nowhere/: no such folder"),
        ("nowhere", "drawn", "nowhere: no such folder"),
        ("ct", "drawn/a.png", "drawn/a.png: no image"),
    ],
)
def test_places_that_are_no_pair_are_refused(tmp_path: Path, images: str, labels: str, reason: str) -> None:
    for name in ("ct/a.bmp", "drawn/a.png", "drawn/b.png"):
        write_array(tmp_path / name, square(SHAPE))
    assert reason in refuse("protect", tmp_path / images, tmp_path / labels, tmp_path / "out")


def test_a_forgotten_folder_to_write_is_not_taken_for_labels_silently(scans: tuple[Path, Path]) -> None:
    images, labels = scans
    before = tree(labels)
    assert "or give two folders, images and labels" in refuse("protect", images, labels)
    assert tree(labels) == before


def test_a_split_file_beside_the_images_is_obeyed(scans: tuple[Path, Path]) -> None:
    images, labels = scans
    dataset = TwoFolders(str(images), str(labels))
    assert not find_sections(dataset)[1]
    (images.parent / "split.json").write_text(json.dumps({"train": ["a", "c"], "test": ["b"]}))
    assert [case.id for case in find_cases(dataset, "train")] == ["a", "c"]
    assert find_sections(dataset) == ({"a": "train", "c": "train", "b": "test"}, True)


@pytest.mark.usefixtures("without_fit")
def test_a_dataset_with_a_split_keeps_its_test_section_unless_asked(scans: tuple[Path, Path], tmp_path: Path) -> None:
    images, labels = scans
    (images.parent / "split.json").write_text(json.dumps({"train": ["a", "c"], "test": ["b", "e"]}))
    printed = run("protect", images, labels, tmp_path / "out", "--no-progress")
    assert "Fitted to the 2 cases of the section train" in printed and "the section train is protected" in printed
    assert "Verified 2 cases" in printed and "3 cases of" in printed and "--section all" in printed
    assert f"--test {images}" in printed
    for section, count in (("all", 5), ("test", 2)):
        printed = run("protect", images, labels, tmp_path / section, "--section", section, "--no-progress")
        assert f"Fitted to the 2 cases of the section train of {images} with the labels {labels};" in printed
        assert f"the section {section} is protected" in printed and f"Verified {count} cases" in printed
        assert "--test TEST" in printed and "without a protected copy" in printed
    run("protect", images, labels, tmp_path / "out", "--section", "all", "--no-progress")
    assert tree(tmp_path / "out") == tree(tmp_path / "all")


@pytest.mark.usefixtures("without_fit")
def test_a_dataset_without_a_split_is_protected_as_a_whole(scans: tuple[Path, Path], tmp_path: Path) -> None:
    sections, named = find_sections(as_dataset(*scans))
    train = list(sections.values()).count("train")
    assert not named and 0 < train < 5
    printed = run("protect", *scans, tmp_path / "out", "--no-progress")
    assert f"Fitted to the {train} cases of the section train" in printed and "the section all is protected" in printed
    assert f"the fit left out {5 - train} cases" in printed and "Verified 5 cases" in printed


def test_two_folders_are_fitted_and_protected_as_a_whole_for_real(tiny_phantom: Path, tmp_path: Path) -> None:
    images, labels, out = tmp_path / "images", tmp_path / "drawn", tmp_path / "out"
    shutil.copytree(tiny_phantom / "images", images)
    labels.mkdir()
    for path in (tiny_phantom / "masks").iterdir():
        shutil.copy(path, labels / f"{path.stem}_mask.png")
    shutil.copy(tiny_phantom / "split.json", tmp_path)
    sizes = ("--grid", "32,32", "--epochs", "3", "--batch-size", "4", "--no-progress")
    printed = run("protect", images, labels, out, "--section", "all", *sizes)
    assert "Fitted to the 8 cases of the section train" in printed and "Verified 12 cases" in printed
    settings = json.loads((out / "settings.json").read_text())
    assert (settings["dataset_dir"], settings["labels_dir"]) == (str(images), str(labels))

    printed = run("protect", images, labels, tmp_path / "more", "--checkpoint", out / "protector.pt", "--no-progress")
    assert "Verified 12 cases" in printed
    assert tree(tmp_path / "more" / "protected" / "images") == tree(out / "protected" / "images")

    with pytest.raises(RuntimeError) as error:
        run_config("train.json", {"dataset_dir": str(tiny_phantom), "section": "all", "quick_check": True})
    assert "quick_check keeps the section 'test' for testing" in str(error.value.__cause__)


def test_an_audit_reads_clean_files_from_two_folders(
    tmp_path: Path, clean_dir: Path, protected_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("images", "masks"):
        shutil.copytree(clean_dir / kind, tmp_path / "a" / kind / "files")
    shutil.copy(clean_dir / "split.json", tmp_path / "a" / "images")
    images, labels = (tmp_path / "a" / kind / "files" for kind in ("images", "masks"))
    found: list[Any] = []
    monkeypatch.setattr("monai_umed.evaluation.audit.run.run_audit", lambda audit, *_, **__: found.append(audit))
    places = ("--clean", images, "--labels", labels, "--test", images, "--output", tmp_path / "audit")
    run("audit", protected_dir, *places, "--grid", "32,32", "--exploiters", "unet-batch", "--defenses", "blur-1.0")
    [audit] = found
    assert audit.clean_dir == audit.test_dir == TwoFolders(str(images), str(labels))
    assert audit.test_section == "test"
