"""The rows of a benchmark as Markdown: protectors by datasets, next to what was published."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ...io.atomic import write_atomically
from .candidate import EQUAL_EPS, budget_name
from .plan import Benchmark
from .published import MEAN_OF_NETWORKS, PUBLISHED, SETTING, Published
from .rows import BenchmarkRow
from .variants import CLEAN

NOTHING = "-"


def select(rows: Sequence[BenchmarkRow], **values: Any) -> list[BenchmarkRow]:
    """Rows that hold these values."""
    return [row for row in rows if all(getattr(row, name) == value for name, value in values.items())]


def mean_dice(rows: Sequence[BenchmarkRow]) -> float | None:
    """Mean over the rows; None without any."""
    return mean(row.dice for row in rows) if rows else None


def _spread(rows: Sequence[BenchmarkRow]) -> str:
    values = [row.dice for row in rows]
    if not values:
        return NOTHING
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)] + [""]


def _dice_tables(rows: Sequence[BenchmarkRow], benchmark: Benchmark) -> list[str]:
    datasets = list(benchmark.folders)
    names = [spec.name for spec in benchmark.specs]
    lines: list[str] = []
    for psnr in benchmark.budgets:
        common = f"eps {benchmark.eps * 255:.3g}/255" if psnr is None else f"PSNR {budget_name(psnr)}"
        for defense in benchmark.defenses:
            for exploiter in benchmark.exploiters:
                trained = select(rows, exploiter=exploiter, defense=defense)
                table = []
                for name in (CLEAN, *names):
                    shown = select(trained, protector=name)
                    shown = shown if name == CLEAN else select(shown, budget=budget_name(psnr))
                    table.append([name, *(_spread(select(shown, dataset=dataset)) for dataset in datasets)])
                lines += [f"### {exploiter}, defense {defense}, equal {common}", ""]
                lines += _markdown(["protector", *datasets], table)
    return lines


def _cost_table(rows: Sequence[BenchmarkRow]) -> list[str]:
    names = ("dataset", "protector", "budget", "bound", "eps", "psnr", "ssim", "fit_seconds", "apply_seconds")
    seen = {tuple(getattr(row, name) for name in (*names, "peak_mb")): row for row in rows if row.protector != CLEAN}
    table = [
        [
            row.dataset,
            row.protector,
            row.budget or NOTHING,
            row.bound or NOTHING,
            NOTHING if row.eps is None else f"{row.eps * 255:.3g}/255",
            _number(row.psnr, 2),
            _number(row.ssim, 4),
            _number(row.fit_seconds, 1),
            _number(row.apply_seconds, 1),
            _number(row.peak_mb, 0),
        ]
        for row in seen.values()
    ]
    head = ["dataset", "protector", "equal", "bound", "eps", "PSNR (dB)", "SSIM", "fit (s)", "apply (s)", "peak (MB)"]
    return _markdown(head, table)


def _beside(published: Published, rows: Sequence[BenchmarkRow], benchmark: Benchmark) -> list[str] | None:
    """A published result and ours; None where ours is missing."""
    ours = select(rows, dataset=published.dataset, protector=published.protector, defense=published.defense)
    if published.protector != CLEAN:
        ours = [
            row for row in select(ours, budget=EQUAL_EPS) if math.isclose(row.eps or 0, published.eps, rel_tol=1e-6)
        ]
    networks = "mean" if published.table == MEAN_OF_NETWORKS else benchmark.exploiters[0]
    shown = ours if networks == "mean" else select(ours, exploiter=networks)
    if not shown:
        return None
    own_psnr, own_ssim = shown[0].psnr, shown[0].ssim
    return [
        str(published.table),
        published.dataset,
        published.protector,
        published.defense,
        _number(published.dice, 3),
        _number(mean_dice(shown), 3) if published.dice is not None else NOTHING,
        _number(published.psnr, 2),
        _number(own_psnr, 2) if published.psnr is not None else NOTHING,
        _number(published.ssim, 4),
        _number(own_ssim, 4) if published.ssim is not None else NOTHING,
    ]


def _published_table(rows: Sequence[BenchmarkRow], benchmark: Benchmark) -> list[str]:
    found = [line for line in (_beside(published, rows, benchmark) for published in PUBLISHED) if line is not None]
    if not found:
        return []
    head = ["table", "dataset", "protector", "defense", "Dice", "ours", "PSNR", "ours", "SSIM", "ours"]
    return [
        f"## Next to UMed's paper (paper: {SETTING})",
        "",
        f"Ours is {benchmark.exploiters[0]}; of table {MEAN_OF_NETWORKS}, the paper's mean over U-Net, Attention "
        "U-Net, U-Net++ and TransUNet, it is the mean over all exploiters that ran. The paper splits its datasets at "
        "random and names no sigma for its blur.",
        "",
        *_markdown(head, found),
    ]


def _finished(benchmark: Benchmark) -> list[str]:
    names = [name for name, entry in benchmark.entries.items() if entry.make(benchmark.eps).finishes]
    return ["", f"Of {', '.join(names)} the finished network alone is scored."] if names else []


def write_table(rows: Sequence[BenchmarkRow], benchmark: Benchmark, *, failures: Sequence[str], path: Path) -> None:
    """Write ``results.md``.

    Args:
        rows: see :func:`monai_umed.evaluation.benchmark.rows.build_rows`.
        benchmark: what was run.
        failures: what failed, with reasons.
        path: file to write.
    """
    versions = ", ".join(sorted({row.version or "of an unknown version" for row in rows}))
    made = [f"`{rows[0].command}`; networks trained with monai_umed {versions}.", ""] if rows else []
    seeds = ", ".join(map(str, benchmark.seeds))
    lines = [
        "# Benchmark",
        "",
        *made,
        "Dice on the clean test section, pooled over pixels, of networks that were trained on the protected training "
        f"section, mean of the last three epochs; mean and standard deviation over the seeds {seeds}. Lower is better "
        "protected.",
        *_finished(benchmark),
        "",
        *(["One seed: differences between rows may be chance.", ""] if len(benchmark.seeds) == 1 else []),
        *_dice_tables(rows, benchmark),
        "## Visibility and cost",
        "",
        "One fit at a time, each in a process of its own; the memory is that of the process, without a GPU's. At equal "
        "PSNR the same fit is used with another eps.",
        "",
        *_cost_table(rows),
        *_published_table(rows, benchmark),
        *(["## Failed", "", *(f"- {failure}" for failure in failures), ""] if failures else []),
    ]
    write_atomically(path, "\n".join(lines).encode("utf-8"))
