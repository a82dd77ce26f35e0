"""Write the audit's result as one HTML file that explains itself."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ...io.atomic import write_atomically
from ..panels import GAIN, OPACITY, PREDICTED, TRUE
from .report_pictures import LINES, MID_GRAY, Pictures, draw_curves, view_before_after, view_prediction

if TYPE_CHECKING:
    from jinja2 import Environment
    from typing_extensions import NotRequired

NOT_MEASURED = "not measured"
SHADES = (
    0.10,
    0.25,
    0.50,
    0.75,
)  # upper limits of the heat map's colors, shares of the ceiling; the last color is above
VERDICTS = {"protected": "good", "partly protected": "fair", "not protected": "poor"}
MEASURES = {
    "dice": "Dice, pooled",
    "dice_per_image": "Dice, per image",
    "jaccard": "Jaccard, pooled",
    "jaccard_per_image": "Jaccard, per image",
}
TRAININGS = {
    "protected": "protected files",
    "clean_ceiling": "clean files (ceiling)",
    "untrained_floor": "nothing (floor)",
}


class Spread(TypedDict):
    """One measure over seeds, in [0, 1]; ``sd`` is None for a single seed."""

    mean: float
    sd: float | None
    values: list[float]


class Measures(TypedDict):
    """Overlap with the truth on clean test images, pooled over pixels or averaged over images."""

    dice: Spread
    jaccard: Spread
    dice_per_image: Spread
    jaccard_per_image: Spread


class Details(TypedDict):
    """All measures of one cell; None where nothing was measured."""

    protected: Measures | None
    clean_ceiling: Measures | None
    untrained_floor: Measures | None


class ScoreRow(TypedDict):
    """One exploiter under one defense; pooled Dice, mean over seeds.

    ``cheap`` rows count for the verdict. ``clean_ceiling`` is the same training on the clean files, ``ratio`` the share
    of it that is left after training on the protected files. ``summary`` explains the defense; a ``control`` is trained
    on the unprotected part of the files alone.
    """

    exploiter: str
    defense: str
    cheap: bool
    seeds: int
    protected: float
    clean_ceiling: float | None
    untrained_floor: float | None
    ratio: float | None
    details: Details
    summary: NotRequired[str]
    control: NotRequired[bool]


class Worst(TypedDict):
    """The cheap row that decides the verdict."""

    exploiter: str
    defense: str
    protected: float
    clean_ceiling: float | None
    ratio: float | None


class Utility(TypedDict):
    """What the files are still good for; None is not measured, never 0.

    Names of Dice read ``<trained on>_on_<scored on>``. ``psnr`` in dB, ``max_levels`` in gray levels of the files,
    ``detector_auc`` and ``ssim`` in [0, 1], ``radiomics`` relative changes by name. ``destroyed``: whether a network
    trained on clean files fails on the protected ones.
    """

    clean_trained_on_clean: float | None
    clean_trained_on_protected: float | None
    protected_trained_on_protected: float | None
    detector_auc: float | None
    psnr: float | None
    ssim: float | None
    max_levels: float | None
    radiomics: dict[str, float | None] | None
    destroyed: bool | None


class WorstCase(TypedDict):
    """A clean test image that a network trained on protected files segments well; Dice of that image."""

    id: str
    exploiter: str
    defense: str
    dice: float


class AuditResult(TypedDict):
    """Content of ``scores.json``.

    ``worst`` is None if there is no row to judge by. ``curves`` are losses per epoch without defense, by exploiter,
    under ``"clean"`` and ``"protected"``. ``settings`` and ``versions`` are printed as they are.
    """

    verdict: Literal["protected", "partly protected", "not protected"]
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


@dataclass(frozen=True)
class Table:
    """Some rows of an audit, and where they lie in the heat map; a cell that was not run is missing."""

    rows: Sequence[ScoreRow]

    @property
    def exploiters(self) -> list[str]:
        """Columns of the heat map."""
        return list(dict.fromkeys(row["exploiter"] for row in self.rows))

    @property
    def defenses(self) -> list[str]:
        """Rows of the heat map: the longer list goes down the page."""
        return list(dict.fromkeys(row["defense"] for row in self.rows))

    @property
    def cells(self) -> dict[tuple[str, str], ScoreRow]:
        """Rows by exploiter and defense."""
        return {(row["exploiter"], row["defense"]): row for row in self.rows}


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals, or that there is none."""
    return NOT_MEASURED if value is None or _missing(value) else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 0) -> str:
    """A share as percentage, or that there is none."""
    return NOT_MEASURED if value is None or _missing(value) else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def mean_sd(spread: Spread | None) -> str:
    """Mean, and standard deviation if there is more than one seed."""
    if spread is None or spread["sd"] is None:
        return number(None if spread is None else spread["mean"])
    return f"{number(spread['mean'])}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{number(spread['sd'])}"


def plain(value: Any) -> str:
    """A setting as JSON, text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shade(ratio: float | None) -> str:
    """Name of the heat map's color."""
    return "none" if ratio is None or _missing(ratio) else str(bisect_left(SHADES, ratio))


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("monai_umed.evaluation.audit", "templates"),
        autoescape=True,  # names of cases come from other people's files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, mean_sd=mean_sd, plain=plain, shade=shade)
    return environment


def _ordered_radiomics(utility: Utility) -> list[tuple[str, float | None]]:
    """Largest change first, unmeasured last."""
    changes = (utility["radiomics"] or {}).items()
    return sorted(changes, key=lambda item: -math.inf if item[1] is None else abs(item[1]), reverse=True)


def write_report(audit: Mapping[str, Any], pictures: Pictures, output_file: str | Path) -> None:
    """Write one HTML file that needs neither network nor other files.

    Args:
        audit: an :class:`AuditResult`, or what was read from ``scores.json``.
        pictures: what to show of the images.
        output_file: HTML to write, whole or not at all; its folder is made if needed.

    Raises:
        ValueError: if the verdict is not one of three, or a picture has another type or shape than it must.
        jinja2.UndefinedError: if a field of ``audit`` is missing.
        OSError: if the file cannot be written.
    """
    if audit["verdict"] not in VERDICTS:
        raise ValueError(f"verdict is {audit['verdict']!r}; it must be one of {', '.join(map(repr, VERDICTS))}.")
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            audit=audit,
            grade=VERDICTS[audit["verdict"]],
            summaries={row["defense"]: row["summary"] for row in audit["rows"] if row.get("summary")},
            cheap=Table([row for row in audit["rows"] if row["cheap"]]),
            costly=Table([row for row in audit["rows"] if not row["cheap"]]),
            radiomics=_ordered_radiomics(audit["utility"]),
            curves={name: draw_curves(curves) for name, curves in audit["curves"].items()},
            before_after=[view_before_after(case) for case in pictures.before_after],
            predictions=[view_prediction(case) for case in pictures.predictions],
            shades=SHADES,
            measures=MEASURES,
            trainings=TRAININGS,
            colors={"truth": TRUE, "predicted": PREDICTED, "opacity": OPACITY},
            lines=LINES,
            gain=GAIN,
            full_scale=MID_GRAY / GAIN,
        )
    )
    output_file = Path(output_file)
    output_file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output_file, html.encode())
