"""Summarize the results of single trainings in rows of a table: means over seeds with ceiling and floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from statistics import mean, stdev

from ..last_epochs import EPOCHS
from ..plan import Cell
from ..results import CellResult, Comparison
from .scores import Details, Measures, ScoreRow, Spread, Worst, WorstCase


def _spread(values: list[float]) -> Spread:
    return Spread(mean(values), stdev(values) if len(values) > 1 else None, values)


def summarize(results: Sequence[CellResult]) -> Measures | None:
    """Return mean, standard deviation and values of every measure; None without results."""
    if not results:
        return None
    names = [field.name for field in fields(Measures)]
    return Measures(**{name: _spread([getattr(result.scores, name) for result in results]) for name in names})


def build_rows(comparison: Comparison) -> list[ScoreRow]:
    """Return one row per exploiter and defense that ran on protected files."""
    rows = []
    for exploiter in comparison.matrix.exploiters:
        floor = summarize(comparison.results(exploiter, "none", "untrained"))
        for name, entry in comparison.matrix.entries.items():
            results = comparison.results(exploiter, name, "protected")
            protected = summarize(results)
            if protected is None:
                continue
            of = comparison.matrix.ceiling_of(Cell(exploiter, name, "protected", 0))
            ceiling = summarize(comparison.results(exploiter, of.defense, of.data))
            limit = None if ceiling is None else ceiling.dice.mean
            rows.append(
                ScoreRow(
                    exploiter=exploiter,
                    defense=name,
                    summary=entry.summary,
                    cheap=entry.cheap,
                    control=entry.control,
                    seeds=len(results),
                    protected=protected.dice.mean,
                    clean_ceiling=limit,
                    untrained_floor=None if floor is None else floor.dice.mean,
                    ratio=protected.dice.mean / limit if limit else None,
                    details=Details(protected, ceiling, floor),
                    averaged_epochs=min(result.averaged_epochs for result in results),
                )
            )
    return rows


def trainings_by_last_epoch(comparison: Comparison) -> list[str]:
    """Return the names of trainings that an earlier version scored after the last epoch alone."""
    kept = [
        result
        for exploiter in comparison.matrix.exploiters
        for name, entry in comparison.matrix.entries.items()
        for data in ("protected", "clean")
        for result in comparison.results(exploiter, name, data)
        if not entry.make(comparison.facts.eps).finishes
    ]
    return [result.cell.name for result in kept if result.averaged_epochs < min(EPOCHS, len(result.losses))]


def loss_curves(comparison: Comparison) -> dict[str, dict[str, list[float]]]:
    """Return every exploiter's training loss per epoch for the first seed, without defense, on both kinds of files."""
    curves: dict[str, dict[str, list[float]]] = {}
    for exploiter in comparison.matrix.exploiters:
        for data in ("clean", "protected"):
            if (result := comparison.first_result(exploiter, data)) is not None:
                curves.setdefault(exploiter, {})[data] = result.losses
    return curves


def worst_cases(comparison: Comparison, row: Worst, count: int = 5) -> list[WorstCase]:
    """Return the test images on which a row's exploiter does best despite the protection, as means over seeds."""
    results = [result.case_dice or {} for result in comparison.results(row.exploiter, row.defense, "protected")]
    dice = {id: mean(result[id] for result in results) for id in results[0]}
    best = sorted(dice, key=lambda id: (-dice[id], id))[:count]
    return [WorstCase(id, row.exploiter, row.defense, dice[id]) for id in best]
