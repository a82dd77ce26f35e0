"""From the results of single trainings to the rows of the table: means over seeds next to ceiling and floor."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from .cell import Bench, read_result
from .plan import Cell

MEASURES = ("dice", "jaccard", "dice_per_image", "jaccard_per_image")


def summarize(results: Sequence[dict]) -> dict[str, dict] | None:
    """Mean, standard deviation (None for one seed) and values of every measure; None without results."""
    if not results:
        return None
    summary = {}
    for name in MEASURES:
        values = [result["scores"][name] for result in results]
        summary[name] = {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else None, "values": values}
    return summary


def _results(bench: Bench, exploiter: str, defense: str, data: str) -> list[dict]:
    found = (read_result(bench.result_file(Cell(exploiter, defense, data, seed))) for seed in bench.audit.seeds)
    return [result for result in found if result is not None]


def build_rows(bench: Bench) -> list[dict[str, Any]]:
    """One row per exploiter and defense that ran on protected files.

    Every row holds Dice pooled over pixels, mean over seeds: ``protected`` (trained on the protected files),
    ``clean_ceiling`` (trained on the clean ones under the same defense), ``untrained_floor``, ``ratio`` of the first
    two, and under ``details`` all measures with standard deviations and values.
    """
    rows = []
    for exploiter in bench.audit.exploiters:
        floor = summarize(_results(bench, exploiter, "none", "untrained"))
        for name, entry in bench.audit.entries.items():
            results = _results(bench, exploiter, name, "protected")
            protected = summarize(results)
            ceiling = summarize(_results(bench, exploiter, name if entry.own_ceiling else "none", "clean"))
            if protected is None:
                continue
            dice = {
                key: None if value is None else value["dice"]["mean"]
                for key, value in (("protected", protected), ("clean_ceiling", ceiling), ("untrained_floor", floor))
            }
            rows.append(
                {
                    "exploiter": exploiter,
                    "defense": name,
                    "summary": entry.summary,
                    "cheap": entry.cheap,
                    "control": entry.control,
                    "seeds": len(results),
                    **dice,
                    "ratio": dice["protected"] / dice["clean_ceiling"] if dice["clean_ceiling"] else None,
                    "details": {"protected": protected, "clean_ceiling": ceiling, "untrained_floor": floor},
                }
            )
    return rows


def loss_curves(bench: Bench) -> dict[str, dict[str, list[float]]]:
    """Training loss per epoch without defense, first seed, of every exploiter on protected and on clean files."""
    curves: dict[str, dict[str, list[float]]] = {}
    for exploiter in bench.audit.exploiters:
        for data in ("clean", "protected"):
            result = read_result(bench.result_file(Cell(exploiter, "none", data, bench.audit.seeds[0])))
            if result is not None:
                curves.setdefault(exploiter, {})[data] = result["losses"]
    return curves


def worst_cases(bench: Bench, row: dict[str, Any], count: int = 5) -> list[dict[str, Any]]:
    """The test images on which a row's exploiter does best in spite of the protection, mean over seeds."""
    results = _results(bench, row["exploiter"], row["defense"], "protected")
    dice = {id: mean(result["case_dice"][id] for result in results) for id in results[0]["case_dice"]}
    best = sorted(dice, key=lambda id: (-dice[id], id))[:count]
    return [{"id": id, "exploiter": row["exploiter"], "defense": row["defense"], "dice": dice[id]} for id in best]
