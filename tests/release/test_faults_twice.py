"""A dataset that is protected already is not protected again: the budgets would add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from dicom_files import DEEP, make, save, write_series
from fault_folders import add_dicom, protect, write_dataset
from protected_folder import small_protector, tree
from typer.testing import CliRunner

from monai_umed import cli
from monai_umed.data.case import Case, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED
from monai_umed.dicom.derived import DERIVATION
from monai_umed.release.already_protected import refuse_protected
from monai_umed.release.protect import protect_dataset


@pytest.fixture
def release(tmp_path: Path) -> Path:
    dataset = write_dataset(tmp_path / "dataset")
    add_dicom(dataset)
    protect(dataset, tmp_path / "release")
    return tmp_path / "release"


def without_manifest(folder: Path) -> None:
    """DICOM files say it themselves."""
    (folder / MANIFEST).unlink()
    for path in (*folder.glob("*/a.*"), *folder.glob("*/b.*"), *folder.glob("*/c.*")):
        path.unlink()


def unfinished(folder: Path) -> None:
    """As a kill before the manifest leaves it."""
    (folder / MANIFEST).unlink()
    (folder / UNFINISHED).mkdir()
    (folder / UNFINISHED / "lock.json").write_text('{"tool": "monai_umed", "run": "0", "shards": 1}')


SIGNS: dict[str, tuple[Callable[[Path], object], str]] = {
    "manifest": (lambda folder: None, "protected already, as its manifest.json says; give the folder of the originals"),
    "manifest beside the images": (
        lambda folder: (folder / MANIFEST).rename(folder / "images" / MANIFEST),
        "protected already, as its",
    ),
    "unfinished": (unfinished, "an unfinished protected copy"),
    "DICOM": (without_manifest, "d: its Derivation Description says that it is protected already"),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_protecting_twice_is_refused_before_anything_is_written(release: Path, tmp_path: Path, sign: str) -> None:
    change, text = SIGNS[sign]
    cases = find_cases(release)
    change(release)
    cases = [case for case in cases if case.image.exists()]
    before = tree(release)
    with pytest.raises(DatasetError) as error:
        protect_dataset(cases, small_protector(), tmp_path / "out", progress=False)
    assert text in str(error.value)
    assert tree(release) == before and not (tmp_path / "out").exists()


def test_a_link_to_a_protected_image_is_noticed(release: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.bmp").symlink_to(release / "images" / "a.bmp")
    case = Case("a", tmp_path / "images" / "a.bmp", release / "masks" / "a.png")
    with pytest.raises(DatasetError, match="protected already"):
        protect_dataset([case], small_protector(), tmp_path / "out", progress=False)


def test_a_protected_series_is_noticed_without_its_manifest(tmp_path: Path) -> None:
    series = write_series(tmp_path / "images" / "a")
    case = Case("a", series, tmp_path / "masks" / "a.nii.gz")
    refuse_protected([case])
    save(make(DEEP[0], DerivationDescription=f"Resampled; {DERIVATION}"), series / "a.dcm")
    with pytest.raises(DatasetError, match="a: its Derivation Description says"):
        refuse_protected([case])


@pytest.mark.parametrize("content", ['{"tool": "webpack"}', "[]", "no JSON", '{"name": "monai_umed"}'])
def test_a_manifest_of_another_program_is_no_sign(tmp_path: Path, content: str) -> None:
    dataset = write_dataset(tmp_path / "dataset")
    (dataset / MANIFEST).write_text(content)
    (dataset / UNFINISHED).write_text("homework")
    assert len(protect(dataset, tmp_path / "out").cases) == 3


@pytest.mark.parametrize("verb", ["protect", "fit"])
def test_the_command_refuses_a_protected_folder_before_it_fits_anything(
    release: Path, tmp_path: Path, verb: str
) -> None:
    (release / "list.json").write_text(json.dumps({}))
    for data in (release, release / "list.json"):
        done = CliRunner().invoke(cli.app, [verb, str(data), str(tmp_path / "out")])
        error = done.exception
        while isinstance(error, RuntimeError):  # MONAI's, around the expression of the config
            error = error.__cause__
        assert done.exit_code == 1 and isinstance(error, DatasetError)
        assert "protected already" in str(error)
    assert not (tmp_path / "out").exists()
