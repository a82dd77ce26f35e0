"""Trainings that cannot change the verdict: which ones, and that the report says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monai_umed.evaluation import runner
from monai_umed.evaluation.audit.decision import Decision
from monai_umed.evaluation.audit.plan import Audit
from monai_umed.evaluation.audit.run import run_audit, set_up
from monai_umed.evaluation.cell import run_cell
from monai_umed.evaluation.plan import Cell
from monai_umed.evaluation.results import CellResult, Comparison
from monai_umed.training.metrics import Scores

NETWORKS = ("unet-batch", "unet-instance")
DEFENSES = ("none", "blur-1.0", "adversarial-1")
Dice = Mapping[tuple[str, str, str], float]
"""By network, defense and kind of files."""


def write(comparison: Comparison, cell: Cell, dice: float) -> None:
    scores = Scores(dice, dice, dice, dice, cases=10)
    ids = comparison.facts.test_ids
    result = CellResult(cell, 12, [1.0], "1", scores, dict.fromkeys(ids, dice), scores, 1.0)
    result.write(comparison.result_file(cell))


def decide(audit: Audit, folder: Path, finished: Dice, seeds: tuple[int, ...] = (0,)) -> Decision:
    comparison = set_up(replace(audit, exploiters=NETWORKS, defenses=DEFENSES, seeds=(0, 1)), folder, progress=False)
    matrix = replace(audit, exploiters=NETWORKS, defenses=DEFENSES, seeds=(0, 1) if len(seeds) > 1 else (0,))
    comparison = replace(comparison, matrix=matrix)
    for (network, defense, data), dice in finished.items():
        for seed in seeds:
            write(comparison, Cell(network, defense, data, seed), dice)
    return Decision(comparison)


PLAIN = {(network, "none", data): 0.8 for network in NETWORKS for data in ("clean", "protected")}
LOW = {key: dice if key[2] == "clean" else 0.1 for key, dice in PLAIN.items()}
BLUR = {("unet-batch", "blur-1.0", "protected"): 0.7, ("unet-batch", "blur-1.0", "clean"): 0.8}
OPEN = Cell("unet-instance", "blur-1.0", "protected", 0)


@pytest.mark.parametrize(
    ("finished", "reason"),
    [
        ({}, None),
        (LOW, None),
        (PLAIN, "not protected already"),
        ({key: PLAIN[key] for key in PLAIN if key[0] == "unet-batch"}, "not protected already"),
        ({key: PLAIN[key] for key in PLAIN if key[2] == "protected"}, None),  # without ceilings nothing is known
        ({**LOW, **BLUR}, "partly protected already"),
        (
            {**{key: LOW[key] for key in LOW if key[0] == "unet-batch"}, **BLUR},
            None,
        ),
        ({**LOW, ("unet-batch", "blur-1.0", "protected"): 0.3, ("unet-batch", "blur-1.0", "clean"): 0.8}, None),
        (
            {("unet-instance", "blur-1.0", "clean"): 0.2},
            "unet-instance reaches Dice 0.20 on clean files with blur-1.0, too little to compare",
        ),
    ],
)
def test_cheap_trainings_are_skipped_once_the_verdict_is_known(
    finished: Dice, reason: str | None, small_audit: Audit, tmp_path: Path
) -> None:
    decision = decide(small_audit, tmp_path, finished)
    assert decision.why_skip(OPEN) == reason
    assert decision.why_skip(replace(OPEN, data="untrained")) is None
    assert decision.why_skip(replace(OPEN, data="clean-half")) is None


def test_costlier_attacks_are_skipped_at_once_with_their_own_ceilings(small_audit: Audit, tmp_path: Path) -> None:
    decision = decide(small_audit, tmp_path, {})
    for data in ("protected", "clean"):
        assert "no part of the verdict" in str(decision.why_skip(Cell("unet-batch", "adversarial-1", data, 0)))


def test_rows_decide_when_all_seeds_are_known(small_audit: Audit, tmp_path: Path) -> None:
    decision = decide(small_audit, tmp_path, PLAIN, seeds=(0, 1))
    assert decision.why_skip(OPEN) == "not protected already"
    comparison = decision.comparison
    comparison.result_file(Cell("unet-batch", "none", "protected", 1)).unlink()
    comparison.result_file(Cell("unet-instance", "none", "clean", 1)).unlink()
    assert decision.why_skip(OPEN) is None


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_audit_stops_when_it_is_decided_and_says_so(
    workers: int, small_audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[str] = []

    def train(comparison: Comparison, cell: Cell, handlers: Any = ()) -> None:
        run.append(cell.name)
        run_cell(comparison, cell)  # for its pictures
        write(comparison, cell, 0.8)

    if workers == 1:
        monkeypatch.setattr(runner, "run_cell", train)
    else:
        for data in ("protected", "clean"):
            train(set_up(small_audit, tmp_path, progress=False), Cell("unet-batch", "none", data, 0))
    scores = run_audit(small_audit, tmp_path, workers=workers, progress=False, stop_when_decided=True)
    assert scores is not None and scores.verdict == "not protected"
    skipped = [f"unet-batch/blur-1.0/{data}_0" for data in ("protected", "clean")]
    assert scores.skipped == dict.fromkeys(skipped, "not protected already") and not set(skipped) & set(run)
    [warning] = [text for text in scores.warnings if "skipped" in text]
    assert "2 trainings were skipped" in warning and "not protected already" in warning and skipped[0] in warning
    assert [row.defense for row in scores.rows] == ["none"]
    whole = run_audit(small_audit, tmp_path, workers=1, progress=False) if workers == 1 else None
    assert whole is None or (not whole.skipped and [row.defense for row in whole.rows] == ["none", "blur-1.0"])
