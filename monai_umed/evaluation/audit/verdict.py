"""The verdict: the worst case over what anyone can do cheaply, and what the audit must say about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LIMIT = 0.5
"""Largest share of the clean ceiling that an exploiter may reach for files to count as protected."""

WEAK_CEILING = 0.3
"""Clean-trained Dice below which an exploiter proves nothing about the protection."""

FEW_CASES = 30
"""Number of test cases below which Dice is only a rough guide."""

UTILITY_CHANGE, UTILITY_LOSS = 0.01, 0.5
"""Change of a clean network's Dice on protected images that is reported; share of it that counts as destroyed."""


@dataclass(frozen=True)
class Verdict:
    """What the audit says.

    Attributes:
        verdict: ``"protected"``, ``"partly protected"`` or ``"not protected"``.
        reason: one sentence.
        worst: the row that decided.
    """

    verdict: str
    reason: str
    worst: dict[str, Any] | None


def _named(row: dict[str, Any]) -> str:
    what = "without any defense" if row["defense"] == "none" else f"with {row['defense']} ({row['summary']})"
    return f"{row['exploiter']} {what}"


def judge(rows: Sequence[dict[str, Any]]) -> Verdict:
    """Judge by the worst case, never by a mean.

    * protected: no exploiter with any cheap defense gets more than half of its own clean ceiling;
    * partly protected: whoever just trains does not, but a cheap defense does;
    * not protected: whoever just trains one of the networks does.

    Rows whose ceiling is too low to compare with (:data:`WEAK_CEILING`) do not count; costlier attacks never do.

    Args:
        rows: from :func:`monai_umed.evaluation.results.build_rows`.
    """
    counted = [
        row for row in rows if row["cheap"] and row["ratio"] is not None and row["clean_ceiling"] >= WEAK_CEILING
    ]
    if not counted:
        return Verdict(
            "not protected", "No exploiter learned this task from the clean files, so nothing was shown.", None
        )
    worst = max(counted, key=lambda row: row["ratio"])
    plain = [row for row in counted if row["defense"] == "none"]
    share = f"{worst['ratio']:.0%} of what it learns from the clean files"
    figures = f"(Dice {worst['protected']:.3f} of {worst['clean_ceiling']:.3f})"
    if worst["ratio"] <= LIMIT:
        return Verdict("protected", f"The worst case is {_named(worst)}: {share} {figures}.", _short(worst))
    if not plain or max(row["ratio"] for row in plain) <= LIMIT:
        reason = f"Whoever just trains gets at most half, but {_named(worst)} gets {share} {figures}."
        return Verdict("partly protected", reason, _short(worst))
    open_door = max(plain, key=lambda row: row["ratio"])
    reason = (
        f"Whoever just trains {open_door['exploiter']} gets {open_door['ratio']:.0%} of what it learns from the clean "
        f"files (Dice {open_door['protected']:.3f} of {open_door['clean_ceiling']:.3f})."
    )
    return Verdict("not protected", reason, _short(worst))


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("exploiter", "defense", "protected", "clean_ceiling", "ratio")}


def utility_destroyed(utility: dict[str, Any]) -> bool:
    """Whether a network trained on clean files can no longer read the protected ones."""
    clean, protected = utility["clean_trained_on_clean"], utility["clean_trained_on_protected"]
    return clean is not None and protected is not None and protected < UTILITY_LOSS * clean


def warn(
    rows: Sequence[dict[str, Any]],
    utility: dict[str, Any],
    test_cases: int,
    seeds: int,
    leaks: Sequence[Any] = (),
    failed: Sequence[str] = (),
    only_protected: Sequence[str] = (),
) -> list[str]:
    """Everything that makes this audit say less than it seems to.

    Args:
        rows: from :func:`monai_umed.evaluation.results.build_rows`.
        utility: from :func:`monai_umed.evaluation.audit.measures.measure_utility`.
        test_cases: number of test images.
        seeds: trainings per cell.
        leaks: test images that are also in the training set.
        failed: trainings that failed, with reasons.
        only_protected: protected cases without an original.
    """
    warnings = []
    weak = sorted({row["exploiter"] for row in rows if (row["clean_ceiling"] or 0) < WEAK_CEILING})
    if weak:
        warnings.append(
            f"{', '.join(weak)} reached less than Dice {WEAK_CEILING} on clean files in at least one row, so that row "
            "proves nothing about the protection and does not count; train longer or use another network."
        )
    if leaks:
        pairs = "; ".join(f"{leak.test_id} = {leak.train_id} ({leak.correlation:.3f})" for leak in leaks[:5])
        warnings.append(
            f"{len(leaks)} of the test images also occur, or nearly occur, in the training set ({pairs}"
            f"{'; ...' if len(leaks) > 5 else ''}); all Dice values are too high. Keep such images on one side."
        )
    if utility_destroyed(utility):
        warnings.append(
            "The utility of the images is destroyed: a network trained on the clean files reaches Dice "
            f"{utility['clean_trained_on_protected']:.3f} on the protected images, "
            f"{utility['clean_trained_on_clean']:.3f} on the originals."
        )
    elif (utility["clean_trained_on_protected"] is not None) and abs(
        utility["clean_trained_on_protected"] - utility["clean_trained_on_clean"]
    ) > UTILITY_CHANGE:
        warnings.append(
            "The protected images do not read like the originals: a clean-trained network's Dice changes from "
            f"{utility['clean_trained_on_clean']:.3f} to {utility['clean_trained_on_protected']:.3f}."
        )
    if test_cases < FEW_CASES:
        warnings.append(f"Only {test_cases} test cases; Dice is a rough guide below {FEW_CASES}.")
    if seeds == 1:
        warnings.append("One seed: differences between rows may be chance. Use three for a decision.")
    if failed:
        warnings.append(f"{len(failed)} trainings failed and are missing: {'; '.join(failed[:5])}")
    if only_protected:
        warnings.append(
            f"{len(only_protected)} protected cases have no original among the clean files "
            f"({', '.join(only_protected[:3])}); exploiters trained on them as well."
        )
    return warnings


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as it goes into ``scores.json``."""
    return asdict(verdict)
