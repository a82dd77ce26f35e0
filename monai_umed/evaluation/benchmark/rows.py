"""One row per training: what goes into ``results.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ...io.atomic import write_atomically
from ...io.provenance import command_line
from ..plan import Cell
from ..results import read_cell
from .candidate import Candidate
from .plan import Benchmark
from .variants import CLEAN


@dataclass(frozen=True, kw_only=True)
class BenchmarkRow:
    """One training of a benchmark; the fields are the columns of ``results.csv``.

    ``dice`` and ``clean_dice`` are means of the last ``averaged_epochs``. The fields from ``budget`` to ``ssim``, the
    times, ``peak_mb`` and ``release_version`` are None for clean files, and ``version`` for trainings that are older
    than the field.
    """

    dataset: str
    protector: str
    budget: str | None = None
    bound: str | None = None
    eps: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    exploiter: str
    defense: str
    seed: int
    dice: float
    clean_dice: float | None
    averaged_epochs: int = 1
    fit_seconds: float | None = None
    apply_seconds: float | None = None
    peak_mb: float | None = None
    release_version: str | None = None
    version: str | None
    command: str


COLUMNS = tuple(field.name for field in fields(BenchmarkRow))


def _read_row(dataset: str, cell: Cell, *, folder: Path, ceiling: Cell, clean: Path) -> BenchmarkRow | None:
    """What is known of one training but for its protector; None if it is not finished."""
    result, limit = read_cell(folder, cell), read_cell(clean, ceiling)
    if result is None:
        return None
    return BenchmarkRow(
        dataset=dataset,
        protector=CLEAN,
        exploiter=cell.exploiter,
        defense=cell.defense,
        seed=cell.seed,
        dice=float(result.scores.dice),
        clean_dice=None if limit is None else float(limit.scores.dice),
        averaged_epochs=result.averaged_epochs,
        version=result.version,
        command=command_line(),
    )


def build_rows(
    benchmark: Benchmark, candidates: Sequence[tuple[str, Candidate]], clean: Mapping[str, Path]
) -> list[BenchmarkRow]:
    """All finished trainings, those on clean files first.

    Args:
        benchmark: what was run.
        candidates: with the name of their dataset; those that are not finished give no rows.
        clean: folder of the trainings on clean files by dataset.
    """
    rows = [
        _read_row(name, cell, folder=folder, ceiling=cell, clean=folder)
        for name, folder in clean.items()
        for cell in benchmark.cells_on(CLEAN)
    ]
    for name, candidate in candidates:
        record = candidate.record()
        if record is None:
            continue
        kept = ("bound", "eps", "psnr", "ssim", "fit_seconds", "apply_seconds", "peak_mb")
        about = {column: getattr(record, column) for column in kept}
        about |= {"protector": candidate.spec.name, "budget": candidate.budget, "release_version": record.version}
        for cell in benchmark.cells_on("protected"):
            ceiling = benchmark.ceiling_of(cell)
            row = _read_row(name, cell, folder=candidate.trainings, ceiling=ceiling, clean=clean[name])
            rows.append(row and replace(row, **about))
    return [row for row in rows if row is not None]


def write_csv(rows: Sequence[BenchmarkRow], path: Path) -> None:
    """Write the rows with a line of names; what is missing stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, rows))
    write_atomically(path, text.getvalue().encode("utf-8"))
