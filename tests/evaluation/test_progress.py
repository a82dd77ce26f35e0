"""What a run of many trainings says of itself: how many, which steps, how long."""

from __future__ import annotations

from pathlib import Path

import pytest
from ignite.engine import Engine

from monai_umed.evaluation.audit.plan import Audit
from monai_umed.evaluation.audit.run import run_audit
from monai_umed.evaluation.progress import Estimate, MatrixBar, StepCounter, duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2.0 h"), (600_000, "6.9 days")]
)
def test_durations_have_the_unit_that_people_would_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_run_says_once_how_many_trainings_it_is_and_once_how_long_all_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    estimate = Estimate(9, 2, "; 1 fits, one at a time")
    for _ in range(2):
        estimate.begin()
    for seconds in (60, 1):
        estimate.end_one(seconds)
    assert capsys.readouterr().out.splitlines() == [
        "Trainings to run: 9, 2 at a time; 1 fits, one at a time.",
        "The first training took 60 s; all of them take about 5 min.",
    ]


def test_steps_are_noted_as_they_are_done() -> None:
    steps, seen = [0] * 4, []
    engine = Engine(lambda engine, batch: None)
    StepCounter(steps, 1, lambda: seen.append(list(steps))).attach(engine)
    engine.run([1, 2, 3], max_epochs=2)
    assert seen == [[0, 0, step, 6] for step in range(1, 7)]


def test_the_bar_shows_trainings_and_the_steps_of_those_that_run(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [0] * 8
    bar = MatrixBar("audit", steps, Estimate(4, 2), hidden=False)
    steps[:4] = [30, 60, 60, 60]
    bar.end(1)
    steps[4:6] = [15, 60]
    bar.show()
    bar.close()
    printed = capsys.readouterr()
    assert "audit, 1 of 4 trainings, step 45 of 120 in 2:  44%" in printed.err  # one, a half and a quarter of four
    assert "The first training took" in printed.out


@pytest.mark.parametrize("workers", [1, 2])
def test_an_audit_without_bars_still_says_how_long_it_takes(
    small_audit: Audit, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    assert run_audit(small_audit, tmp_path, workers=workers, progress=False) is not None
    printed = capsys.readouterr()
    assert f"Trainings to run: 7, {workers} at a time." in printed.out and "all of them take about" in printed.out
    assert "%|" not in printed.err
