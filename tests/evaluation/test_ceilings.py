"""Trainings on clean files are done once per machine: known by content, checked as they are read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_umed.data.cases import find_cases
from monai_umed.defenses import DEFENSES, Defense, Entry
from monai_umed.evaluation import runner
from monai_umed.evaluation.audit.plan import Audit
from monai_umed.evaluation.audit.run import run_audit, set_up
from monai_umed.evaluation.cell import recall_cell, run_cell
from monai_umed.evaluation.plan import Cell
from monai_umed.evaluation.quick_check import quick_check
from monai_umed.evaluation.results import Comparison
from monai_umed.io.user_cache import VARIABLE, user_cache

CLEAN = Cell("unet-batch", "none", "clean", 0)


def another_release(protected: Path, folder: Path) -> str:
    """A copy whose first image has one gray level changed by more than eps."""
    shutil.copytree(protected, folder)
    case = find_cases(folder)[0]
    pixels = np.asarray(Image.open(case.image)).copy()
    pixels[0, 0] ^= 8
    Image.fromarray(pixels).save(case.image)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ceilings")


@pytest.fixture
def kept(small_audit: Audit, folder: Path) -> tuple[Path, Path]:
    """Folders of a cache and of a finished audit that filled it."""
    if not (folder / "audit" / "scores.json").is_file():
        run_audit(small_audit, folder / "audit", workers=1, progress=False, cache=folder / "cache")
    return folder / "cache", folder / "audit"


def known(audit: Audit, folder: Path, cache: Path, cell: Cell = CLEAN) -> bool:
    return recall_cell(set_up(audit, folder, progress=False, cache=cache), cell) is not None


def test_a_second_release_of_a_dataset_trains_on_no_clean_file_again(
    small_audit: Audit,
    kept: tuple[Path, Path],
    protected_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained: list[str] = []

    def run(comparison: Comparison, cell: Cell, handlers: Any = ()) -> None:
        trained.append(cell.data)
        run_cell(comparison, cell, handlers)

    monkeypatch.setattr(runner, "run_cell", run)
    cache, first = kept
    release = another_release(protected_dir, tmp_path / "release")
    out = tmp_path / "audit"
    audit = replace(small_audit, protected_dir=release)
    assert run_audit(audit, out, workers=1, progress=False, cache=cache) is not None
    assert sorted(set(trained)) == ["clean-half", "protected", "protected-half"]
    assert "Known from earlier runs: 3 of 7 trainings" in capsys.readouterr().out
    for name in ("cells/unet-batch/none/clean_0.json", "cells/unet-batch/blur-1.0/clean_0.json"):
        assert (out / name).read_bytes() == (first / name).read_bytes()
    pictures = sorted((first / "predictions" / "unet-batch" / "clean").iterdir())
    assert pictures and [path.read_bytes() for path in pictures] == [
        (out / "predictions" / "unet-batch" / "clean" / path.name).read_bytes() for path in pictures
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": {"epochs": 2, "batch_size": 4, "amp": False}},
        {"recipe": {"epochs": 1, "batch_size": 4, "amp": True}},
        {"grid": (48, 48)},
        {"network_size": "paper"},
        {"intensity_window": (0.0, 200.0)},
    ],
)
def test_another_setting_is_another_training(
    changes: dict[str, Any], small_audit: Audit, kept: tuple[Path, Path], tmp_path: Path
) -> None:
    assert known(small_audit, tmp_path / "same", kept[0])
    assert not known(replace(small_audit, **changes), tmp_path / "other", kept[0])
    assert not known(small_audit, tmp_path / "same", kept[0], replace(CLEAN, seed=1))


@pytest.mark.parametrize("section", ["train", "test"])
def test_a_changed_pixel_is_another_dataset(
    section: Any, small_audit: Audit, kept: tuple[Path, Path], clean_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(clean_dir, tmp_path / "clean")
    audit = replace(small_audit, clean_dir=str(tmp_path / "clean"), test_dir=str(tmp_path / "clean"))
    assert known(audit, tmp_path / "copy", kept[0])
    image = find_cases(tmp_path / "clean", section)[0].image
    pixels = np.asarray(Image.open(image)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(image)
    assert not known(audit, tmp_path / "changed", kept[0])


def test_the_largest_change_counts_only_for_defenses_that_use_it(
    small_audit: Audit, kept: tuple[Path, Path], tmp_path: Path
) -> None:
    names = ("none", "noise", "adversarial-1", "blur-1.0+average-subtract")
    comparison = set_up(replace(small_audit, defenses=names), tmp_path, progress=False, cache=tmp_path / "cache")
    other = replace(comparison, facts=replace(comparison.facts, eps=2 * comparison.facts.eps))
    for name in names:
        cell = replace(CLEAN, defense=name)
        run_cell(comparison, cell)
        assert recall_cell(comparison, cell) is not None
        assert (recall_cell(other, cell) is not None) == (name == "none")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', None])
def test_a_damaged_entry_is_ignored_with_a_warning_and_written_again(
    text: str | None,
    small_audit: Audit,
    kept: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(kept[0], tmp_path / "cache")
    comparison = set_up(small_audit, tmp_path / "audit", progress=False, cache=tmp_path / "cache")
    for path in (tmp_path / "cache" / "ceilings").iterdir():
        entry = json.loads(path.read_text())
        entry["result"]["scores"]["dice"] = "high"
        path.write_text(json.dumps(entry) if text is None else text)
    assert recall_cell(comparison, CLEAN) is None
    assert "is ignored" in capsys.readouterr().err
    run_cell(comparison, CLEAN)
    found = recall_cell(comparison, CLEAN)
    assert found is not None and found.result == comparison.result(CLEAN)


def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    small_audit: Audit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    comparison = set_up(small_audit, tmp_path / "audit", progress=False, cache=tmp_path / "file")
    run_cell(comparison, CLEAN)
    assert comparison.result(CLEAN) is not None
    assert "could not be written" in capsys.readouterr().err


def test_networks_and_defenses_of_other_programs_are_not_kept(
    small_audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(Defense):
        pass

    class Net(torch.nn.Sequential):
        pass

    monkeypatch.setitem(DEFENSES, "own", Entry(lambda eps: Own(), "one's own"))
    audit = replace(small_audit, defenses=("own",))
    comparison = set_up(audit, tmp_path / "audit", progress=False, cache=tmp_path / "cache")
    run_cell(comparison, replace(CLEAN, defense="own"))
    monkeypatch.setattr(
        "monai_umed.evaluation.cell.build_exploiter", lambda *given, **named: Net(torch.nn.Conv2d(1, 1, 3, padding=1))
    )
    run_cell(comparison, CLEAN)
    assert not (tmp_path / "cache").exists()


def test_the_quick_check_shares_trainings_with_audits(
    small_audit: Audit, kept: tuple[Path, Path], clean_dir: Path, protected_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(kept[0], tmp_path / "cache")
    before = set((tmp_path / "cache" / "ceilings").iterdir())
    figures = quick_check(
        clean_dir,
        protected_dir,
        grid=(32, 32),
        output_file=tmp_path / "quick_check.json",
        cache=tmp_path / "cache",
        progress=False,
        **small_audit.recipe,
    )
    [new] = set((tmp_path / "cache" / "ceilings").iterdir()) - before  # of the one who augments
    assert json.loads(new.read_text())["about"]["cell"]["defense"] == "flips+affine"
    kept_here = json.loads((kept[1] / "cells" / "unet-batch" / "none" / "clean_0.json").read_text())
    assert figures["clean_dice"] == kept_here["scores"]["dice"]


def test_the_folder_is_the_users_and_can_be_moved_or_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert user_cache() == tmp_path
    monkeypatch.setenv(VARIABLE, "")
    assert user_cache() is None
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache() == tmp_path / "xdg" / "monai_umed"
