"""Run a matrix of cells: in several processes, on several machines, and again after an interruption."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, wait

import torch

from .cell import run_cell
from .plan import Cell
from .progress import Estimate, MatrixBar, StepCounter
from .results import Comparison
from .workers import attempt, worker_pool

_steps: MutableSequence[int] = []
"""Of the matrix that this worker process is for, see :class:`monai_umed.evaluation.progress.StepCounter`."""


def run_cells(
    comparison: Comparison,
    cells: Sequence[Cell],
    *,
    workers: int | None = None,
    progress: bool = True,
    title: str = "audit",
    estimate: Estimate | None = None,
) -> dict[Cell, str]:
    """Run the cells that have no result yet.

    Every finished cell is on disk at once; whatever is interrupted leaves nothing and is run again next time.

    Args:
        comparison: what all cells share.
        cells: what to run.
        workers: processes; by default one per CPU core, one in all with a GPU.
        progress: whether to show a bar over the trainings and their steps.
        title: of the bar.
        estimate: of the run that these cells are a part of; None if they are all of it.

    Returns:
        The reason of every cell that failed.
    """
    pending = [cell for cell in cells if comparison.result(cell) is None]
    if not pending:
        return {}
    workers = min(worker_count(workers, comparison.matrix.device), len(pending))
    steps = multiprocessing.get_context("spawn").RawArray("q", 2 * len(pending))  # without a lock to die with
    bar = MatrixBar(title, steps, estimate or Estimate(len(pending), workers), hidden=not progress)
    try:
        if workers > 1:
            return _run_in_processes(comparison, pending, workers=workers, steps=steps, bar=bar)
        failures = {}
        for index, cell in enumerate(pending):
            failures[cell] = attempt(run_cell, comparison, cell, [StepCounter(steps, index, bar.show)])
            bar.end(index)
        return {cell: reason for cell, reason in failures.items() if reason is not None}
    finally:
        bar.close()


def worker_count(workers: int | None, device: str) -> int:
    """How many trainings run at the same time: as many as asked for, else one per CPU core, or one on a GPU."""
    return workers or (_cores() if device == "cpu" else 1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_in_processes(
    comparison: Comparison, cells: Sequence[Cell], *, workers: int, steps: MutableSequence[int], bar: MatrixBar
) -> dict[Cell, str]:
    failures = {}
    with worker_pool(workers, _prepare_worker, (steps, max(1, _cores() // workers))) as pool:
        futures = {pool.submit(_attempt_here, comparison, cell, index): index for index, cell in enumerate(cells)}
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
            bar.show()
            for future in done:
                dead = future.exception()  # the process was killed, for want of memory as a rule
                reason = future.result() if dead is None else f"{type(dead).__name__}: {dead}"
                if reason is not None:
                    failures[cells[futures[future]]] = reason
                bar.end(futures[future])
    return failures


def _prepare_worker(steps: MutableSequence[int], threads: int) -> None:
    global _steps
    _steps = steps
    torch.set_num_threads(threads)


def _attempt_here(comparison: Comparison, cell: Cell, index: int) -> str | None:
    return attempt(run_cell, comparison, cell, [StepCounter(_steps, index)])
