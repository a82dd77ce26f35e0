"""An audit from folders to verdict: resumed, shared among machines, and honest about bad input."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.evaluation.audit.plan import Audit
from monai_umed.evaluation.audit.rows import trainings_by_last_epoch
from monai_umed.evaluation.audit.run import REPORT, SCORES, run_audit, set_up
from monai_umed.evaluation.audit.scores import AuditScores
from monai_umed.evaluation.cell import run_cell
from monai_umed.evaluation.folders import check_folders
from monai_umed.evaluation.plan import Cell
from monai_umed.training.distributed import shard_of_this_process
from monai_umed.training.metrics import case_dice, count_items, score

ROW_KEYS = {"exploiter", "defense", "seeds", "protected", "clean_ceiling", "untrained_floor", "ratio", "cheap"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished audit; filled by the first test that needs it."""
    return tmp_path_factory.mktemp("audit_out")


def run(audit: Audit, folder: Path) -> AuditScores | None:
    return run_audit(audit, folder, workers=1, progress=False)


def cell_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("cells/**/*.json"))}


def test_an_audit_writes_scores_report_and_one_file_per_training(
    small_audit: Audit, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = run(small_audit, finished)
    assert scores is not None
    kept = json.loads((finished / SCORES).read_text())
    assert AuditScores.parse(kept).rows == scores.rows and kept == json.loads(json.dumps(asdict(scores)))
    assert scores.verdict in ("protected", "partly protected", "not protected")
    assert len(cell_files(finished)) == len(small_audit.cells()) == 7
    assert [(row.exploiter, row.defense) for row in scores.rows] == [
        ("unet-batch", "none"),
        ("unet-batch", "blur-1.0"),
    ]
    assert all(row.keys() >= ROW_KEYS for row in kept["rows"])
    assert scores.utility.max_levels == 4 and scores.utility.eps == pytest.approx(4 / 255)
    assert any("One seed" in warning for warning in scores.warnings)
    assert (finished / REPORT).stat().st_size > 1000
    assert f"Verdict: {scores.verdict}" in capsys.readouterr().out


def test_finished_trainings_are_never_repeated_and_missing_ones_give_the_same_numbers(
    small_audit: Audit, finished: Path
) -> None:
    if not (finished / SCORES).is_file():
        run(small_audit, finished)
    before = cell_files(finished)
    kept, lost = sorted(before)[0], sorted(before)[-1]
    stamp = (finished / kept).stat().st_mtime_ns
    (finished / lost).unlink()
    run(small_audit, finished)
    after = cell_files(finished)
    assert (finished / kept).stat().st_mtime_ns == stamp
    without_time = [{**json.loads(content), "seconds": 0} for content in (before[lost], after[lost])]
    assert without_time[0] == without_time[1]


def test_networks_with_dropout_give_the_same_numbers_again(
    small_audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*arguments: object, **named: object) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.Dropout(), torch.nn.Conv2d(8, 1, 1))

    monkeypatch.setattr("monai_umed.evaluation.cell.build_exploiter", build)
    comparison = set_up(small_audit, tmp_path, progress=False)
    cell = Cell("unet-batch", "none", "protected", 0)
    losses = []
    for _ in range(2):
        run_cell(comparison, cell)
        losses.append(json.loads(comparison.result_file(cell).read_text())["losses"])
    assert losses[0] == losses[1]


def test_scores_are_means_of_the_last_epochs_and_statistics_are_computed_anew_before_each(
    small_audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[torch.Tensor] = []
    statistics: list[int] = []

    def count(*arguments: Any) -> torch.Tensor:
        counts.append(count_items(*arguments))
        return counts[-1]

    monkeypatch.setattr("monai_umed.evaluation.cell.count_items", count)
    monkeypatch.setattr(
        "monai_umed.evaluation.cell.recompute_statistics", lambda network, **named: statistics.append(len(counts))
    )
    audit = replace(small_audit, exploiters=("transunet",), recipe={"epochs": 4, "batch_size": 4, "amp": False})
    comparison = set_up(audit, tmp_path, progress=False)
    cell = Cell("transunet-batch", "none", "protected", 0)
    run_cell(comparison, cell)
    result = comparison.result(cell)
    assert result is not None and result.averaged_epochs == len(counts) == 3 and statistics == [0, 1]
    assert result.scores.dice == pytest.approx(sum(score(*each).dice for each in counts) / 3)
    means = torch.stack([case_dice(*each) for each in counts]).mean(0)
    assert list((result.case_dice or {}).values()) == pytest.approx(means.tolist(), abs=1e-6)


@pytest.mark.parametrize("defense", ["early-stopping", "clean-statistics", "blur-1.0+refit-5"])
def test_of_a_defense_with_a_finish_the_finished_network_alone_is_scored(
    defense: str, small_audit: Audit, tmp_path: Path
) -> None:
    audit = replace(small_audit, defenses=(defense,), recipe={"epochs": 2, "batch_size": 4, "amp": False})
    comparison = set_up(audit, tmp_path, progress=False)
    cell = Cell("unet-batch", defense, "protected", 0)
    run_cell(comparison, cell)
    result = comparison.result(cell)
    assert result is not None and result.averaged_epochs == 1 and len(result.losses) == 2
    assert trainings_by_last_epoch(comparison) == []


def test_trainings_that_an_earlier_version_scored_by_their_last_epoch_are_named(
    small_audit: Audit, tmp_path: Path
) -> None:
    audit = replace(small_audit, recipe={"epochs": 2, "batch_size": 4, "amp": False})
    comparison = set_up(audit, tmp_path, progress=False)
    cells = [Cell("unet-batch", "none", data, 0) for data in ("protected", "clean")]
    for cell in cells:
        run_cell(comparison, cell)
    assert trainings_by_last_epoch(comparison) == []
    file = comparison.result_file(cells[1])
    kept = json.loads(file.read_text())
    assert kept.pop("averaged_epochs") == 2
    file.write_text(json.dumps(kept))
    assert trainings_by_last_epoch(comparison) == ["unet-batch/none/clean_0"]


def test_a_damaged_result_is_kept_aside_and_computed_again(small_audit: Audit, finished: Path) -> None:
    if not (finished / SCORES).is_file():
        run(small_audit, finished)
    cell = finished / sorted(cell_files(finished))[0]
    cell.write_text('{"scores": ')
    (finished / SCORES).write_text("not json")
    run(small_audit, finished)
    assert json.loads(cell.read_text())["scores"]
    assert cell.with_suffix(".damaged-1").read_text() == '{"scores": '
    assert (finished / SCORES).with_suffix(".damaged-1").read_text() == "not json"


def test_more_defenses_may_be_added_but_other_files_or_recipes_are_another_audit(
    small_audit: Audit, finished: Path
) -> None:
    if not (finished / SCORES).is_file():
        run(small_audit, finished)
    scores = run(replace(small_audit, defenses=("blur-1.0", "jpeg-60")), finished)
    assert scores is not None and len(scores.rows) == 3
    with pytest.raises(ValueError, match="other settings"):
        run(replace(small_audit, recipe={"epochs": 2}), finished)


def test_an_unperturbed_copy_is_not_protected_and_says_so(small_audit: Audit, clean_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(clean_dir / "images", tmp_path / "copy" / "images")
    shutil.copytree(clean_dir / "masks", tmp_path / "copy" / "masks")
    audit = replace(small_audit, protected_dir=str(tmp_path / "copy"), defenses=("none",))
    scores = run(audit, tmp_path / "out")
    assert scores is not None
    assert scores.verdict == "not protected"
    assert scores.utility.max_levels == 0
    assert scores.utility.detector_auc == pytest.approx(0.5)
    assert any("also occur" in warning for warning in scores.warnings)  # the copy holds the test cases as well


def test_machines_share_the_cells_without_overlap(small_audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = small_audit.cells()
    shares = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        shares.append(shard_of_this_process().of(cells))
    assert sorted(map(str, cells)) == sorted(str(cell) for share in shares for cell in share)
    assert {len(share) for share in shares} <= {len(cells) // 3, len(cells) // 3 + 1}
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(ValueError, match="3/3 is not a shard"):
        shard_of_this_process()


def test_the_last_machine_writes_the_verdict(
    small_audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert run(small_audit, tmp_path) is None
    assert not (tmp_path / SCORES).exists()
    monkeypatch.setenv("RANK", "1")
    assert run(small_audit, tmp_path) is not None
    assert (tmp_path / SCORES).is_file()


def test_folders_without_a_common_name_are_refused(small_audit: Audit, clean_dir: Path, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for path in (clean_dir / kind).iterdir():
            shutil.copy(path, tmp_path / kind / f"other_{path.name}")
    with pytest.raises(DatasetError, match="give the folder of the originals"):
        check_folders(replace(small_audit, clean_dir=str(tmp_path)))


def test_fewer_than_ten_test_cases_are_refused(small_audit: Audit, tiny_phantom: Path) -> None:
    with pytest.raises(DatasetError, match="4 test cases, at least 10"):
        check_folders(replace(small_audit, test_dir=str(tiny_phantom)))


def test_images_of_another_size_than_their_originals_are_refused_by_name(
    small_audit: Audit, protected_dir: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "protected"
    shutil.copytree(protected_dir, copy)
    case = find_cases(copy)[0]
    Image.fromarray(np.asarray(Image.open(case.image))[:-1]).save(case.image)
    with pytest.raises(DatasetError, match=case.id):
        check_folders(replace(small_audit, protected_dir=str(copy)))


def test_a_defense_that_fails_is_listed_and_tried_again_next_time(
    small_audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("no memory for the blur")

    monkeypatch.setattr("monai_umed.defenses.filters.GaussianBlur.preprocess", fail)
    scores = run(small_audit, tmp_path)
    assert scores is not None
    assert any("no memory for the blur" in warning for warning in scores.warnings)
    assert [row.defense for row in scores.rows] == ["none"]
    monkeypatch.undo()
    again = run(small_audit, tmp_path)
    assert again is not None and len(again.rows) == 2
