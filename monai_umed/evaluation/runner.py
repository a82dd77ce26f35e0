"""Run the cells of an audit: on several processes, on several machines, and again after an interruption."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import torch

from ..data.parallel import track
from .cell import Bench, read_result, run_cell
from .plan import Cell


def _attempts(bench: Bench, cells: Sequence[Cell], workers: int, threads: int) -> Iterator[tuple[Cell, str | None]]:
    """Run all cells, each in the next free process, and yield every one with its error when it ends."""
    if workers == 1:
        for cell in cells:
            yield cell, _attempt(bench, cell)
        return
    context = multiprocessing.get_context("spawn")  # forked processes inherit the locks of torch's threads and hang
    pool = ProcessPoolExecutor(min(workers, len(cells)), context, torch.set_num_threads, (threads,))
    try:
        futures = {pool.submit(_attempt, bench, cell): cell for cell in cells}
        for future in as_completed(futures):
            dead = future.exception()  # the process was killed, for want of memory as a rule
            yield futures[future], future.result() if dead is None else f"{type(dead).__name__}: {dead}"
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(bench: Bench, cell: Cell) -> str | None:
    try:
        run_cell(bench, cell)
    except (ValueError, RuntimeError, OSError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def run_cells(
    bench: Bench, cells: Sequence[Cell], workers: int | None = None, progress: bool = True
) -> dict[Cell, str]:
    """Run the cells that have no result yet.

    Every finished cell is on disk at once; whatever is interrupted leaves nothing and is run again next time.

    Args:
        bench: what all cells share.
        cells: what to run.
        workers: processes; by default one per CPU core, one in all with a GPU.
        progress: whether to show a bar over the cells.

    Returns:
        The reason of every cell that failed.
    """
    pending = [cell for cell in cells if read_result(bench.result_file(cell)) is None]
    if not pending:
        return {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or (cores if bench.audit.device == "cpu" else 1)
    attempts = _attempts(bench, pending, workers, max(1, cores // workers))
    ended = track(attempts, len(pending), "audit", "training", disable=not progress)
    return {cell: error for cell, error in ended if error is not None}
