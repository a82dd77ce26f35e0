"""The verdict follows the worst cheap case, and the audit says what weakens it."""

from __future__ import annotations

from typing import Any

import pytest

from monai_umed.evaluation.audit.leaks import Leak
from monai_umed.evaluation.audit.scores import Details, ScoreRow, Utility, Worst
from monai_umed.evaluation.audit.verdict import is_destroyed, judge, may_publish, warn


def row(
    protected: float,
    clean: float | None = 0.8,
    exploiter: str = "unet-batch",
    defense: str = "none",
    cheap: bool = True,
) -> ScoreRow:
    return ScoreRow(
        exploiter=exploiter,
        defense=defense,
        summary="what it does",
        cheap=cheap,
        control=False,
        seeds=1,
        protected=protected,
        clean_ceiling=clean,
        untrained_floor=None,
        ratio=protected / clean if clean else None,
        details=Details(None, None, None),
    )


def utility(clean: float | None = 0.8, protected: float | None = 0.8) -> Utility:
    return Utility(clean_trained_on_clean=clean, clean_trained_on_protected=protected)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([row(0.1), row(0.4, defense="blur-1.0")], "protected"),
        ([row(0.1), row(0.41, defense="blur-1.0")], "partly protected"),
        ([row(0.41), row(0.1, defense="blur-1.0")], "not protected"),
        ([row(0.1), row(0.5, exploiter="unet-instance")], "not protected"),
        ([row(0.8)], "not protected"),
    ],
)
def test_half_of_the_clean_ceiling_is_the_limit(rows: list[ScoreRow], verdict: str) -> None:
    assert judge(rows).verdict == verdict


def test_the_worst_case_decides_and_never_the_mean() -> None:
    rows = [row(0.0, exploiter=f"network-{k}") for k in range(20)] + [row(0.7, defense="jpeg-60")]
    found = judge(rows)
    assert found.verdict == "partly protected"
    assert found.worst is not None and found.worst.defense == "jpeg-60"
    assert "jpeg-60" in found.reason and "0.700 of 0.800" in found.reason


def test_costly_attacks_are_no_part_of_the_verdict() -> None:
    assert judge([row(0.1), row(0.79, defense="adversarial-1", cheap=False)]).verdict == "protected"


def test_the_limit_is_that_of_the_same_defense() -> None:
    # After JPEG 10 a clean-trained network is weak as well; .3 of .4 is more than half, .3 of .8 would not be.
    assert judge([row(0.1), row(0.3, clean=0.4, defense="jpeg-10")]).verdict == "partly protected"


@pytest.mark.parametrize("clean", [0.1, 0.29, None])
def test_an_exploiter_that_fails_on_clean_files_proves_nothing(clean: float | None) -> None:
    found = judge([row(0.0, clean=clean)])
    assert found.verdict == "not protected" and found.worst is None
    assert any(
        "fewer" in text or "less than Dice" in text
        for text in warn([row(0.0, clean=clean)], utility(), test_cases=100, seeds=3)
    )


def test_a_ceiling_that_was_skipped_is_not_called_weak() -> None:
    rows, skipped = [row(0.1), row(0.6, clean=None, defense="blur-2.0")], {"unet-batch/blur-2.0/clean_0": "decided"}
    [warning] = warn(rows, utility(), test_cases=100, seeds=3, skipped=skipped)
    assert "1 trainings were skipped" in warning


def test_a_good_audit_has_no_warning() -> None:
    assert warn([row(0.1)], utility(0.8, 0.795), test_cases=100, seeds=3) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"test_cases": 12}, "Only 12 test cases"),
        ({"seeds": 1}, "One seed"),
        ({"leaks": [Leak("a", "b", 0.99)]}, "a = b"),
        ({"failed": ["unet-batch/none/clean_0: RuntimeError: x"]}, "1 trainings failed"),
        ({"only_protected": ["case9"]}, "case9"),
        ({"by_last_epoch": ["unet-batch/none/clean_0"]}, "1 trainings of an earlier version"),
        ({"utility": utility(0.8, 0.7)}, "do not read like the originals"),
        ({"utility": utility(0.8, 0.3)}, "utility of the images is destroyed"),
    ],
)
def test_every_weakness_is_named(arguments: dict[str, Any], text: str) -> None:
    settings: dict[str, Any] = {"rows": [row(0.1)], "utility": utility(), "test_cases": 100, "seeds": 3} | arguments
    [warning] = warn(**settings)
    assert text in warning


def test_utility_that_was_not_measured_is_not_called_destroyed() -> None:
    assert not is_destroyed(utility(None, None))
    assert warn([row(0.1)], utility(None, None), test_cases=100, seeds=3) == []


def test_whether_to_publish_follows_from_verdict_and_utility() -> None:
    worst = Worst("unet-batch", "none", 0.1, 0.8, 0.125)
    answers = {verdict: may_publish(verdict, worst, utility()) for verdict in ("protected", "partly protected")}
    assert answers["protected"].startswith("You may") and answers["partly protected"].startswith("Publish them only if")
    assert may_publish("not protected", worst, utility()).startswith("Do not publish")
    assert may_publish("not protected", None, utility()).endswith("on the strength of this audit.")
    assert "destroyed" in may_publish("protected", worst, utility(protected=0.1))
