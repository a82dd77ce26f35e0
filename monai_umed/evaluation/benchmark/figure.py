"""The figure of a benchmark: how much is learned over how visible the protection is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from ...io.atomic import write_atomically
from .candidate import budget_name
from .plan import Benchmark
from .rows import BenchmarkRow
from .table import mean_dice, select
from .variants import CLEAN

PANEL, LEGEND = 4.2, 1.8  # inches a side, inches wide
ENTRIES = 20  # of a column of the legend, as many as fit into its height
SHAPES = "osD^vP"  # of ten protectors each, so that ten colors tell all of them apart


def _fill(psnr: float | None) -> Literal["full", "none"]:
    return "full" if psnr is None else "none"


def draw_figure(rows: Sequence[BenchmarkRow], benchmark: Benchmark, path: Path) -> None:
    """Draw Dice without defense over PSNR, one panel per dataset, a line per protector and a point for each budget.

    Points are full at equal eps and hollow at equal PSNR. Files without any change have no PSNR and therefore no point.

    Args:
        rows: see :func:`monai_umed.evaluation.benchmark.rows.build_rows`.
        benchmark: what was run; its first exploiter is shown.
        path: PNG file to write.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    exploiter, datasets = benchmark.exploiters[0], list(benchmark.folders)
    columns = math.ceil((len(benchmark.specs) + len(benchmark.budgets) + 1) / ENTRIES)
    figure = Figure(figsize=(PANEL * len(datasets) + LEGEND * columns, PANEL), layout="constrained")
    panels = figure.subplots(1, len(datasets), squeeze=False, sharey=True)[0]
    named: dict[str, Any] = {}
    for panel, dataset in zip(panels, datasets, strict=True):
        trained = select(rows, dataset=dataset, exploiter=exploiter, defense="none")
        ceiling = mean_dice(select(trained, protector=CLEAN))
        if ceiling is not None:
            named[CLEAN] = panel.axhline(ceiling, color="gray", linestyle="--")
        for index, spec in enumerate(benchmark.specs):
            tens, ones = divmod(index, 10)
            look = {"color": colormaps["tab10"](ones), "marker": SHAPES[tens % len(SHAPES)], "linewidth": 0.7}
            releases = [select(trained, protector=spec.name, budget=budget_name(psnr)) for psnr in benchmark.budgets]
            points = [
                (psnr, shown[0].psnr, mean_dice(shown))
                for psnr, shown in zip(benchmark.budgets, releases, strict=True)
                if shown and shown[0].psnr is not None
            ]
            panel.plot([x for _, x, _ in points], [y for _, _, y in points], **look | {"marker": ""})
            for psnr, x, y in points:
                point = panel.plot(x, y, fillstyle=_fill(psnr), **look)[0]
                named.setdefault(spec.name, point)
        panel.set(title=dataset, xlabel="PSNR (dB)", ylim=(0, 1))
    if len(benchmark.budgets) > 1:
        for psnr in benchmark.budgets:
            label = "equal eps" if psnr is None else f"PSNR {budget_name(psnr)}"
            named[label] = Line2D([], [], color="black", marker="o", linestyle="", fillstyle=_fill(psnr))
    figure.legend(list(named.values()), list(named), loc="outside right upper", fontsize=8, ncols=columns)
    panels[0].set_ylabel(f"Dice on clean test files, {exploiter}")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_atomically(path, buffer.getvalue())
