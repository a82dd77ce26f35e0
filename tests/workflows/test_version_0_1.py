"""What version 0.1 wrote is still read: checkpoints, releases, sealed files, and the names that it used.

The files beside this test were written by version 0.1: two images of 64 x 48 pixels of noise, a square in the middle as
their mask, protected by random generators, and sealed under ``owner.key``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from protected_folder import noise, small_protector
from typer.testing import CliRunner

import monai_umed as mu
from monai_umed.cli import app
from monai_umed.io.run_folder import claim_output
from monai_umed.label.settings import read_settings
from monai_umed.protectors.checkpoint import find_checkpoint
from monai_umed.workflows.bundle import renamed

OLD = Path(__file__).resolve().parents[1] / "version_0_1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy that may be written, with a key that its owner alone can read."""
    shutil.copytree(OLD, tmp_path / "old")
    (tmp_path / "old" / "owner.key").chmod(0o600)
    return tmp_path / "old"


def test_a_checkpoint_is_found_under_its_old_name_and_holds_the_same_protector(old: Path) -> None:
    assert find_checkpoint(old) == old / "perturbator.pt"
    assert repr(mu.load_protector(find_checkpoint(old))) == repr(small_protector())
    (old / "protector.pt").touch()
    assert find_checkpoint(old) == old / "protector.pt"


def test_a_release_verifies_and_gives_its_originals_back(old: Path, tmp_path: Path) -> None:
    assert mu.verify(old, progress=False) == []
    restored = mu.restore(old, tmp_path / "back", key=old / "owner.key", progress=False)
    assert sorted(restored.done) == ["a", "b"] and not restored.failed
    assert mu.verify(old, original=tmp_path / "back", progress=False) == []
    dataset = mu.RestoredDataset(old / "protected", old / "sealed", mu.read_key(old / "owner.key"))
    assert (dataset[0]["image"][0].T.numpy() == noise((64, 48), seed=0)).all()


def test_the_old_name_of_the_sealing_key_works_and_names_the_new_one(old: Path, tmp_path: Path) -> None:
    arguments = ["restore", old, "--key", old / "owner.key", "--output", tmp_path / "back", "--no-progress"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0 and "--key is called --seal-key now" in done.stderr


def test_the_old_names_of_the_intensity_window_work_and_name_the_new_one(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(mu, "audit", lambda *_, **options: seen.append(options["intensity_window"]))
    arguments = ["audit", str(old), "--clean", "D", "--test", "D", "--window", "ct-lung"]
    assert "--window is called --intensity-window now" in CliRunner().invoke(app, arguments).stderr
    assert read_settings({"window": "ct-lung"}, tmp_path).intensity_window == (-1350.0, 150.0)
    assert "--conf window is called --conf intensity_window now" in capsys.readouterr().err
    (tmp_path / "settings.json").write_text('{"window": [0, 1]}')
    claim_output(tmp_path, {"intensity_window": (0, 1)})
    assert seen == [[-1350.0, 150.0]]


def test_the_old_name_of_the_pattern_key_works_and_names_the_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert renamed(old="key", new="pattern_key", value="owner.key") == "owner.key"
    assert capsys.readouterr().err.startswith("--key is called --pattern_key now")
    assert renamed(old="key", new="pattern_key", value=None) is None
    assert capsys.readouterr().err == ""
