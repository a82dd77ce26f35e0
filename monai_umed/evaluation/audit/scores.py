"""The results of an audit, the content of ``scores.json``; None means not measured, never 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spread:
    """One measure over seeds, in [0, 1]; ``sd`` is None for a single seed."""

    mean: float
    sd: float | None
    values: list[float]


@dataclass(frozen=True)
class Measures:
    """Overlap with the truth on clean test images, pooled over pixels or averaged over images."""

    dice: Spread
    jaccard: Spread
    dice_per_image: Spread
    jaccard_per_image: Spread


@dataclass(frozen=True)
class Details:
    """All measures of a row: after training on the protected files, on the clean files, and without training."""

    protected: Measures | None
    clean_ceiling: Measures | None
    untrained_floor: Measures | None


@dataclass(frozen=True)
class ScoreRow:
    """One exploiter under one defense; pooled Dice, mean over seeds and the last epochs of each.

    Attributes:
        exploiter: name of the network.
        defense: name of the defense.
        summary: what the defense does.
        cheap: whether the row counts for the verdict.
        control: whether it was trained without any protected file, on the unprotected part of the training set.
        seeds: number of trainings on the protected files.
        protected: Dice after training on the protected files.
        clean_ceiling: Dice after the same training on the clean files.
        untrained_floor: Dice without any training.
        ratio: fraction of the ceiling that is left.
        details: all measures.
        averaged_epochs: how many epochs of a training the figures are means of; 1 for networks that a defense finishes
            after the last epoch, and for audits by earlier versions.
    """

    exploiter: str
    defense: str
    summary: str
    cheap: bool
    control: bool
    seeds: int
    protected: float
    clean_ceiling: float | None
    untrained_floor: float | None
    ratio: float | None
    details: Details
    averaged_epochs: int = 1


@dataclass(frozen=True)
class Worst:
    """The cheap row that decides the verdict, see :class:`ScoreRow`."""

    exploiter: str
    defense: str
    protected: float
    clean_ceiling: float | None
    ratio: float | None


@dataclass(frozen=True)
class WorstCase:
    """A clean test image that a network trained on protected files segments well; Dice of that image."""

    id: str
    exploiter: str
    defense: str
    dice: float


@dataclass(frozen=True)
class Utility:
    """The remaining usefulness of the files.

    Dice is named ``<trained on>_on_<scored on>``. ``psnr`` is in dB, ``max_levels`` in gray levels of the files,
    ``eps`` a fraction of the window, ``detector_auc`` and ``ssim`` are in [0, 1], ``radiomics`` has relative changes by
    name. ``destroyed`` is whether a network trained on clean files fails on the protected files.
    """

    clean_trained_on_clean: float | None = None
    clean_trained_on_protected: float | None = None
    protected_trained_on_protected: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    radiomics: dict[str, float | None] | None = None
    max_levels: float | None = None
    eps: float | None = None
    detector_auc: float | None = None
    destroyed: bool | None = None


@dataclass(frozen=True)
class AuditScores:
    """Content of ``scores.json``.

    Attributes:
        verdict: ``"protected"``, ``"partly protected"`` or ``"not protected"``.
        reason: reason of the verdict, one sentence.
        worst: the row that decided; None if no row can be judged.
        warnings: limitations of the audit.
        rows: one row per exploiter and defense.
        utility: the remaining usefulness of the files.
        curves: losses per epoch without defense, by exploiter, under ``"clean"`` and ``"protected"``.
        worst_cases: test images on which the row that decided does best.
        settings: settings of the audit.
        command: command that ran it.
        versions: versions of this package and its main dependencies.
        skipped: trainings that were left out because they could not change the verdict, with reasons.
    """

    verdict: str
    reason: str
    worst: Worst | None
    warnings: list[str]
    rows: list[ScoreRow]
    utility: Utility
    curves: dict[str, dict[str, list[float]]]
    worst_cases: list[WorstCase]
    settings: dict[str, Any]
    command: str
    versions: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, kept: dict[str, Any]) -> AuditScores:
        """Parse the content of a file.

        Raises:
            TypeError, KeyError: If a field is missing or unknown.
        """
        typed = {
            "worst": None if kept["worst"] is None else Worst(**kept["worst"]),
            "rows": [_parse_row(row) for row in kept["rows"]],
            "utility": Utility(**kept["utility"]),
            "worst_cases": [WorstCase(**case) for case in kept["worst_cases"]],
        }
        return cls(**kept | typed)


def _parse_row(kept: dict[str, Any]) -> ScoreRow:
    details = {
        name: None if kind is None else Measures(**{measure: Spread(**spread) for measure, spread in kind.items()})
        for name, kind in kept["details"].items()
    }
    return ScoreRow(**{"summary": "", "control": False, **kept, "details": Details(**details)})
