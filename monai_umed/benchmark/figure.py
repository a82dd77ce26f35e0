"""The figure of a benchmark: how much is learned over how visible the protection is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from ..data.atomic import write_atomically
from .plan import Plan
from .rows import budget_name
from .table import mean_dice, select
from .variants import CLEAN

PANEL, LEGEND = 4.2, 1.8  # inches a side, inches wide
MARKERS = ("o", "s")  # equal eps, equal PSNR


def draw_figure(rows: Sequence[Mapping[str, Any]], plan: Plan, path: Path) -> bool:
    """Draw Dice without defense over PSNR, one panel per dataset, one point per protector and budget.

    Files without any change have no PSNR and therefore no point.

    Args:
        rows: see :func:`monai_umed.benchmark.rows.build_rows`.
        plan: of the benchmark; its first exploiter is shown.
        path: PNG file to write.

    Returns:
        False if matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        return False
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    exploiter, datasets = plan.exploiters[0], list(plan.places)
    figure = Figure(figsize=(PANEL * len(datasets) + LEGEND, PANEL), layout="constrained")
    panels = figure.subplots(1, len(datasets), squeeze=False, sharey=True)[0]
    named: dict[str, Any] = {}
    for panel, dataset in zip(panels, datasets, strict=True):
        trained = select(rows, dataset=dataset, exploiter=exploiter, defense="none")
        ceiling = mean_dice(select(trained, protector=CLEAN))
        if ceiling is not None:
            named[CLEAN] = panel.axhline(ceiling, color="gray", linestyle="--")
        for psnr, marker in zip(plan.budgets, MARKERS, strict=False):
            for index, variant in enumerate(plan.variants):
                shown = select(trained, protector=variant.name, budget=budget_name(psnr))
                if shown and shown[0]["psnr"] is not None:
                    name = variant.name if psnr is None else f"{variant.name}, {budget_name(psnr)}"
                    color = colormaps["tab20"](index % 20)
                    named[name] = panel.plot(shown[0]["psnr"], mean_dice(shown), marker, color=color)[0]
        panel.set(title=dataset, xlabel="PSNR (dB)", ylim=(0, 1))
    figure.legend(list(named.values()), list(named), loc="outside right upper", fontsize=8)
    panels[0].set_ylabel(f"Dice on clean test files, {exploiter}")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_atomically(path, buffer.getvalue())
    return True
