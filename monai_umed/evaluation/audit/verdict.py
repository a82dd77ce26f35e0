"""The verdict: the worst case over what anyone can do cheaply, and what the audit must say about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .leaks import Leak
from .scores import ScoreRow, Utility, Worst

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
    """What the audit says, see :class:`monai_umed.evaluation.audit.scores.AuditScores`."""

    verdict: str
    reason: str
    worst: Worst | None


def judge(rows: Sequence[ScoreRow]) -> Verdict:
    """Judge by the worst case, never by a mean.

    * protected: no exploiter with any cheap defense gets more than half of its own clean ceiling;
    * partly protected: whoever just trains does not, but a cheap defense does;
    * not protected: whoever just trains one of the networks does.

    Rows whose ceiling is too low to compare with (:data:`WEAK_CEILING`) do not count; costlier attacks never do.
    """
    counted = [(row.ratio, row) for row in rows if row.cheap and row.ratio is not None and not _is_weak(row)]
    if not counted:
        return Verdict(
            "not protected", "No exploiter learned this task from the clean files, so nothing was shown.", None
        )
    ratio, row = max(counted, key=lambda pair: pair[0])
    worst = Worst(row.exploiter, row.defense, row.protected, row.clean_ceiling, row.ratio)
    what = "without any defense" if row.defense == "none" else f"with {row.defense} ({row.summary})"
    named, fraction = f"{row.exploiter} {what}", f"{ratio:.0%} of what it learns from the clean files"
    if ratio <= LIMIT:
        return Verdict("protected", f"The worst case is {named}: {fraction} {_dice(row)}.", worst)
    plain = [pair for pair in counted if pair[1].defense == "none"]
    if not plain or max(plain, key=lambda pair: pair[0])[0] <= LIMIT:
        reason = f"Whoever just trains gets at most half, but {named} gets {fraction} {_dice(row)}."
        return Verdict("partly protected", reason, worst)
    ratio, row = max(plain, key=lambda pair: pair[0])
    fraction = f"{ratio:.0%} of what it learns from the clean files"
    return Verdict("not protected", f"Whoever just trains {row.exploiter} gets {fraction} {_dice(row)}.", worst)


def _dice(row: ScoreRow) -> str:
    return f"(Dice {row.protected:.3f} of {row.clean_ceiling:.3f})"


def _is_weak(row: ScoreRow) -> bool:
    return (row.clean_ceiling or 0) < WEAK_CEILING


def may_publish(verdict: str, worst: Worst | None, utility: Utility) -> str:
    """Answer in one sentence whether to publish files with this verdict."""
    if is_destroyed(utility):
        return "Do not publish them: the files are destroyed."
    if worst is None:
        return "Do not publish them on the strength of this audit."
    return {
        "protected": "You may publish them, if it is enough that training on them is made hard for a while.",
        "partly protected": "Publish them only if it is enough to stop those who take no cheap countermeasure.",
        "not protected": "Do not publish them as protected files.",
    }[verdict]


def is_destroyed(utility: Utility) -> bool:
    """Whether a network trained on clean files can no longer read the protected ones."""
    clean, protected = utility.clean_trained_on_clean, utility.clean_trained_on_protected
    return clean is not None and protected is not None and protected < UTILITY_LOSS * clean


def warn(
    rows: Sequence[ScoreRow],
    utility: Utility,
    *,
    test_cases: int,
    seeds: int,
    leaks: Sequence[Leak] = (),
    failed: Sequence[str] = (),
    only_protected: Sequence[str] = (),
    by_last_epoch: Sequence[str] = (),
    skipped: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Everything that makes this audit say less than it seems to.

    Args:
        rows: all of them.
        utility: what was measured of it.
        test_cases: number of test images.
        seeds: trainings per cell.
        leaks: test images that are also in the training set.
        failed: trainings that failed, with reasons.
        only_protected: protected cases without an original.
        skipped: trainings that were left out, with reasons.
        by_last_epoch: trainings that were scored after their last epoch alone.
    """
    warnings = []
    # Where trainings were skipped, a row may have no ceiling, which its own warning says.
    if weak := sorted({row.exploiter for row in rows if _is_weak(row) and not (skipped and row.clean_ceiling is None)}):
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
    clean, protected = utility.clean_trained_on_clean, utility.clean_trained_on_protected
    if is_destroyed(utility):
        warnings.append(
            "The utility of the images is destroyed: a network trained on the clean files reaches Dice "
            f"{protected:.3f} on the protected images, {clean:.3f} on the originals."
        )
    elif clean is not None and protected is not None and abs(protected - clean) > UTILITY_CHANGE:
        warnings.append(
            "The protected images do not read like the originals: a clean-trained network's Dice changes from "
            f"{clean:.3f} to {protected:.3f}."
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
    if by_last_epoch:
        warnings.append(
            f"{len(by_last_epoch)} trainings of an earlier version were scored after their last epoch alone, which may "
            f"be off by a tenth, others after each of the last three ({', '.join(by_last_epoch[:3])}); give another "
            "folder to train them again."
        )
    for reason in dict.fromkeys(skipped.values()):
        names = [name for name, why in skipped.items() if why == reason]
        warnings.append(
            f"{len(names)} trainings were skipped, because they could not change the verdict ({reason}): "
            f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}. Leave out --stop-when-decided to run them."
        )
    return warnings
