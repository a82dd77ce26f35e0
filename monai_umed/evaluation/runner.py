"""Run a matrix of cells: in several processes, on several machines, and again after an interruption."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from .cell import recall_cell, run_cell, write_cell
from .forecast import forecast
from .plan import Cell
from .progress import Estimate, MatrixBar, StepCounter, duration
from .results import Comparison
from .shared_items import share_items
from .workers import attempt, worker_pool

_steps: MutableSequence[int] = []
"""Of the matrix that this worker process is for, see :class:`monai_umed.evaluation.progress.StepCounter`."""


def run_cells(
    comparison: Comparison,
    cells: Sequence[Cell],
    *,
    workers: int | None = None,
    threads: int | None = None,
    progress: bool = True,
    title: str = "audit",
    estimate: Estimate | None = None,
    why_skip: Callable[[Cell], str | None] = lambda cell: None,
    starting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> dict[Cell, str]:
    """Run the cells that have no result yet, neither here nor on clean files in another run on this machine.

    Every finished cell is on disk at once; whatever is interrupted leaves nothing and is run again next time.

    Args:
        comparison: what all cells share.
        cells: what to run.
        workers: processes; by default one per CPU core, one in all with a GPU. One works in this process.
        threads: of each of several processes; by default they share the CPU cores.
        progress: whether to show a bar over the trainings and their steps.
        title: of the bar.
        estimate: of the run that these cells are a part of; None if they are all of it.
        why_skip: asked before each training starts; those that it gives a reason for are not run.
        starting: entered while a process may start, such as :func:`monai_umed.evaluation.workers.without_main`.

    Returns:
        The reason of every cell that failed.
    """
    missing = [cell for cell in cells if comparison.result(cell) is None]
    pending = [cell for cell in missing if not _recall(comparison, cell)]
    if len(pending) < len(missing):
        known = f"{len(missing) - len(pending)} of {len(missing)} trainings"
        print(f"Known from earlier runs: {known} (--no-cache, in a bundle --cache False, trains them anew).")
    if not pending:
        return {}
    workers = min(worker_count(workers, comparison.matrix.device), len(pending))
    steps = multiprocessing.get_context("spawn").RawArray("q", 2 * len(pending))  # without a lock to die with
    if estimate is None:
        volumes = len(comparison.files.grid) == 3
        told = f"; about {duration(forecast(comparison, pending, workers))}, by single steps" if volumes else ""
        estimate = Estimate(len(pending), workers, told)
    bar = MatrixBar(title, steps, estimate, hidden=not progress)
    try:
        if workers > 1:
            prepare = partial(_prepare_worker, steps, threads or max(1, _cores() // workers))
            return _run_in_processes(
                comparison, pending, workers=workers, prepare=prepare, bar=bar, why_skip=why_skip, starting=starting
            )
        failures = {}
        for index, cell in enumerate(pending):
            if why_skip(cell) is None:
                failures[cell] = attempt(run_cell, comparison, cell, [StepCounter(steps, index, bar.show)])
            bar.end(index)
        return {cell: reason for cell, reason in failures.items() if reason is not None}
    finally:
        bar.close()


def _recall(comparison: Comparison, cell: Cell) -> bool:
    known = recall_cell(comparison, cell)
    if known is not None:
        write_cell(comparison, known)
    return known is not None


def worker_count(workers: int | None, device: str) -> int:
    """How many trainings run at the same time: as many as asked for, else one per CPU core, or one on a GPU."""
    return workers or (_cores() if device == "cpu" else 1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_in_processes(
    comparison: Comparison,
    cells: Sequence[Cell],
    *,
    workers: int,
    prepare: Callable[[Path], None],
    bar: MatrixBar,
    why_skip: Callable[[Cell], str | None],
    starting: Callable[[], AbstractContextManager[object]],
) -> dict[Cell, str]:
    failures: dict[Cell, str] = {}
    coming = iter(enumerate(cells))
    running: dict[Future[str | None], int] = {}

    def start(pool: ProcessPoolExecutor) -> None:
        """Start trainings until all processes have one: later ones wait for what may make them needless."""
        while len(running) < workers and (following := next(coming, None)) is not None:
            index, cell = following
            if why_skip(cell) is not None:
                bar.end(index)
                continue
            try:
                with starting():
                    running[pool.submit(_attempt_here, comparison, cell, index)] = index
            except BrokenProcessPool as dead:
                failures[cell] = f"{type(dead).__name__}: {dead}"
                bar.end(index)

    with (
        TemporaryDirectory(prefix="monai_umed_") as shared,
        worker_pool(workers, prepare, (Path(shared),)) as pool,
    ):
        start(pool)
        while running:
            done, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            bar.show()
            for future in done:
                index = running.pop(future)
                dead = future.exception()  # the process was killed, for want of memory as a rule
                reason = future.result() if dead is None else f"{type(dead).__name__}: {dead}"
                if reason is not None:
                    failures[cells[index]] = reason
                bar.end(index)
            start(pool)
    return failures


def _prepare_worker(steps: MutableSequence[int], threads: int, shared: Path) -> None:
    global _steps
    share_items(shared)
    _steps = steps
    torch.set_num_threads(threads)


def _attempt_here(comparison: Comparison, cell: Cell, index: int) -> str | None:
    return attempt(run_cell, comparison, cell, [StepCounter(_steps, index)])
