"""Write the audit's result as one HTML file that explains itself."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...io.atomic import write_atomically
from ...io.display import GAIN, MID_GRAY
from ..panels import OPACITY, PREDICTED, TRUE
from .report_pictures import LINES, Pictures, draw_curves, view_before_after, view_prediction
from .scores import AuditScores, ScoreRow, Spread, Utility
from .verdict import may_publish

if TYPE_CHECKING:
    from jinja2 import Environment

NOT_MEASURED = "not measured"
SHADES = (0.10, 0.25, 0.50, 0.75)  # of the ceiling: upper limits of the heat map's colors; the last one is above
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


@dataclass(frozen=True)
class Table:
    """Some rows of an audit, and where they lie in the heat map; a cell that was not run is missing."""

    rows: Sequence[ScoreRow]

    @property
    def exploiters(self) -> list[str]:
        """Columns of the heat map."""
        return list(dict.fromkeys(row.exploiter for row in self.rows))

    @property
    def defenses(self) -> list[str]:
        """Rows of the heat map: the longer list goes down the page."""
        return list(dict.fromkeys(row.defense for row in self.rows))

    @property
    def cells(self) -> dict[tuple[str, str], ScoreRow]:
        """Rows by exploiter and defense."""
        return {(row.exploiter, row.defense): row for row in self.rows}


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
    if spread is None or spread.sd is None:
        return number(None if spread is None else spread.mean)
    return f"{number(spread.mean)}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{number(spread.sd)}"


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
    changes = (utility.radiomics or {}).items()
    return sorted(changes, key=lambda item: -math.inf if item[1] is None else abs(item[1]), reverse=True)


def write_report(audit: AuditScores, pictures: Pictures, output_file: str | Path) -> None:
    """Write one HTML file that needs neither network nor other files.

    Args:
        audit: what the audit found.
        pictures: what to show of the images.
        output_file: HTML to write, whole or not at all; its folder is made if needed.

    Raises:
        ValueError: If the verdict is not one of three, or a picture has another type or shape than it must.
        OSError: If the file cannot be written.
    """
    if audit.verdict not in VERDICTS:
        raise ValueError(f"verdict is {audit.verdict!r}; it must be one of {', '.join(map(repr, VERDICTS))}.")
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            audit=audit,
            grade=VERDICTS[audit.verdict],
            answer=may_publish(audit.verdict, audit.worst, audit.utility),
            summaries={row.defense: row.summary for row in audit.rows if row.summary},
            cheap=Table([row for row in audit.rows if row.cheap]),
            costly=Table([row for row in audit.rows if not row.cheap]),
            radiomics=_ordered_radiomics(audit.utility),
            curves={name: draw_curves(curves) for name, curves in audit.curves.items()},
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
