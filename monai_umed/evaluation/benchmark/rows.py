"""One row per training: what goes into ``results.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...io.atomic import write_atomically
from ...io.provenance import command_line
from ..cell import read_result
from ..plan import Cell
from .candidate import Release, read_release
from .plan import Plan
from .variants import CLEAN, Variant

EQUAL_EPS = "eps"
"""Budget of rows whose protectors have the same limit; the others are named by their PSNR, such as ``"45 dB"``."""

COLUMNS = (
    "dataset",
    "protector",
    "budget",
    "bound",
    "eps",
    "psnr",
    "ssim",
    "exploiter",
    "defense",
    "seed",
    "dice",
    "clean_dice",
    "fit_seconds",
    "apply_seconds",
    "peak_mb",
    "release_version",
    "version",
    "command",
)


@dataclass(frozen=True)
class Entry:
    """One release of a benchmark.

    Attributes:
        dataset: name.
        variant: which protector.
        psnr: that was to be reached; None at equal eps.
        folder: of the release.
    """

    dataset: str
    variant: Variant
    psnr: float | None
    folder: Path

    @property
    def budget(self) -> str:
        """What all protectors of a table have in common."""
        return budget_name(self.psnr)

    def result_file(self, cell: Cell) -> Path:
        """Where the result of a training lies."""
        return result_file(self.folder / "trainings", cell)


def budget_name(psnr: float | None) -> str:
    """Name of equal eps (None) or of an equal PSNR in dB."""
    return EQUAL_EPS if psnr is None else f"{psnr:g} dB"


def result_file(folder: Path, cell: Cell) -> Path:
    """Where the result of a training lies below the folder of its bench."""
    return folder / "cells" / f"{cell.name}.json"


def _trained(cell: Cell, path: Path, ceiling: Path) -> dict[str, Any] | None:
    """What one training gives to a row; None if it is not finished."""
    result, clean = read_result(path), read_result(ceiling)
    if result is None:
        return None
    return {
        "exploiter": cell.exploiter,
        "defense": cell.defense,
        "seed": cell.seed,
        "dice": float(result["scores"]["dice"]),
        "clean_dice": None if clean is None else float(clean["scores"]["dice"]),
        "version": result.get("version"),  # of trainings that are older than the field it is not known
    }


def build_rows(plan: Plan, entries: Sequence[Entry], clean: Mapping[str, Path]) -> list[dict[str, Any]]:
    """All finished trainings, those on clean files first.

    Args:
        plan: of the benchmark.
        entries: its releases; those that are not finished give no rows.
        clean: folder of the trainings on clean files by dataset.
    """
    rows = []
    for dataset, folder in clean.items():
        for cell in plan.ceilings():
            path = result_file(folder, cell)
            rows.append(({"dataset": dataset, "protector": CLEAN}, _trained(cell, path, path)))
    for entry in entries:
        release = read_release(entry.folder)
        if release is None:
            continue
        for cell in plan.cells():
            ceiling = result_file(clean[entry.dataset], plan.ceiling_of(cell))
            rows.append((_released(entry, release), _trained(cell, entry.result_file(cell), ceiling)))
    command = command_line()
    finished = [{**about, **trained, "command": command} for about, trained in rows if trained is not None]
    return [{name: row.get(name) for name in COLUMNS} for row in finished]


def _released(entry: Entry, release: Release) -> dict[str, Any]:
    names = ("bound", "eps", "psnr", "ssim", "fit_seconds", "apply_seconds", "peak_mb")
    where = {"dataset": entry.dataset, "protector": entry.variant.name, "budget": entry.budget}
    return {**where, **{name: getattr(release, name) for name in names}, "release_version": release.version}


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the rows with a line of names; what is missing stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8"))
