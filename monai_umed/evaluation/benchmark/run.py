"""The benchmark from its folders to tables: protected copies, trainings, and what is still missing of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ...data.cases import find_cases
from ...data.fingerprint import DatasetFacts, inspect_dataset
from ...io.run_folder import claim_output
from ...training.distributed import rank_count, shard_of_this_process
from ..folders import Files, check_folders
from ..plan import Cell
from ..progress import Estimate
from ..results import Comparison, cell_file
from ..runner import run_cells, worker_count
from ..workers import orderly_end
from .candidate import RECORD, Candidate, make_candidate
from .figure import draw_figure
from .plan import Benchmark
from .rows import BenchmarkRow, build_rows, write_csv
from .table import write_table
from .variants import CLEAN

CSV, TABLE, FIGURE = "results.csv", "results.md", "dice_over_psnr.png"


@dataclass(frozen=True)
class _Dataset:
    """A dataset of a benchmark.

    Attributes:
        name: of its folder.
        folder: where it lies.
        facts: what exploiters need to know, who see volumes as volumes.
        grid: grid that they train on.
        slice_axis: across which protectors see volumes slice by slice, as a fit does unless it is told otherwise.
        working_size: grid of protectors.
    """

    name: str
    folder: str
    facts: DatasetFacts
    grid: tuple[int, ...]
    slice_axis: int | None
    working_size: tuple[int, ...]


def _inspect(benchmark: Benchmark, name: str, folder: str) -> _Dataset:
    facts = inspect_dataset(folder, "train")
    if benchmark.grid is not None and len(benchmark.grid) != facts.spatial_dims:
        raise ValueError(
            f"grid is {benchmark.grid}, but {folder} is {facts.spatial_dims}D; leave grid out, or benchmark images and "
            "volumes apart."
        )
    slice_axis = inspect_dataset(folder, "train", cut=True).slice_axis
    grid, working = (facts.grid, facts.working_size) if benchmark.grid is None else (benchmark.grid,) * 2
    working_size = tuple(side for axis, side in enumerate(working) if axis != slice_axis)
    return _Dataset(name, folder, facts, grid, slice_axis, working_size)


def _compare(
    benchmark: Benchmark, dataset: _Dataset, *, protected: str | Path, folder: Path, cache: Path | None = None
) -> Comparison:
    """What trainings on one folder share; clean files are the training section alone, and radii are the common eps.

    Raises:
        DatasetError: see :func:`monai_umed.evaluation.folders.check_folders`.
        ValueError: If trainings on other files or with other settings lie in the folder, or a network cannot take the
            grid.
    """
    benchmark.check_grid(dataset.grid)
    source, classes = dataset.folder, dataset.facts.num_classes
    files = Files(str(protected), source, test_dir=source, grid=dataset.grid, num_classes=classes)
    facts = check_folders(files)
    train = {case.id for case in find_cases(source, "train")}
    # Of what the files say, the largest change differs from method to method, and defenses take their radius from it.
    facts = replace(facts, ids=tuple(id for id in facts.ids if id in train), eps=benchmark.eps)
    settings = {"grid": files.grid, "network_size": benchmark.network_size, "recipe": benchmark.recipe}
    claim_output(folder, {**settings, "eps": facts.eps, "num_classes": classes, "digest": facts.digest})
    return Comparison(benchmark, files, facts, folder, cache=cache)


def _candidates(benchmark: Benchmark, dataset: _Dataset, *, out: Path, progress: bool) -> list[list[Candidate]]:
    """For every protector its candidate at equal eps and, after it, the one at equal PSNR if that is asked for."""
    found = []
    for spec in benchmark.specs:
        first = Candidate(
            dataset.folder,
            spec,
            folder=out / dataset.name / spec.folder,
            eps=benchmark.eps,
            grid=dataset.working_size,
            num_classes=dataset.facts.num_classes,
            slice_axis=dataset.slice_axis,
            progress=progress,
        )
        more = [
            replace(
                first,
                folder=first.folder.with_name(f"{first.folder.name}_{psnr:g}dB"),
                psnr=psnr,
                fitted=first.folder,
            )
            for psnr in benchmark.budgets
            if psnr is not None
        ]
        found.append([first, *more])
    return found


def _named(title: str, failed: dict[Cell, str]) -> list[str]:
    return [f"{title}: {cell.name}: {reason}" for cell, reason in failed.items()]


def _run_candidate(
    benchmark: Benchmark, dataset: _Dataset, *, candidate: Candidate, run: Callable[..., dict[Cell, str]]
) -> list[str]:
    """Do what is missing of one protector on one dataset; what failed, with reasons."""
    where = f"{dataset.name}/{candidate.folder.name}"
    if candidate.record() is None and (reason := make_candidate(candidate)) is not None:
        return [f"{where}: {reason}"]
    try:
        comparison = _compare(benchmark, dataset, protected=candidate.protected, folder=candidate.trainings)
    except ValueError as error:
        return [f"{where}: {error}"]
    failed = _named(where, run(comparison, benchmark.cells_on("protected"), title=where))
    record = candidate.record()
    if record is not None and record.left_out:
        failed.append(f"{where}: {record.left_out} cases could not be protected; {candidate.protected} says why")
    return failed


@orderly_end()
def run_benchmark(
    benchmark: Benchmark,
    output_dir: str | Path,
    *,
    workers: int | None = None,
    progress: bool = True,
    cache: Path | None = None,
) -> list[BenchmarkRow] | None:
    """Run what is missing of a benchmark and write ``results.csv``, ``results.md`` and ``dice_over_psnr.png``.

    Can be interrupted at any time, also by SIGTERM or a closed terminal: finished protectors and trainings are kept. A
    fit that was interrupted begins anew, so that its times are those of one run. Fits run one at a time, so that
    nothing else of this machine slows them. Protectors, datasets, exploiters, defenses and seeds may be added later.
    Started by ``torchrun`` on several machines that share the folder, each takes its share of the protectors, and
    whoever finishes last writes the tables.

    Args:
        benchmark: what to run.
        output_dir: folder of this benchmark.
        workers: trainings at the same time, see :func:`monai_umed.evaluation.runner.run_cells`.
        progress: whether to show progress bars.
        cache: folder of trainings on clean files that runs on this machine share; None for none.

    Returns:
        What ``results.csv`` holds; None if protectors of other machines are still missing.

    Raises:
        DatasetError: If a dataset cannot be used.
        ValueError: If settings do not fit a dataset, or the folder holds another benchmark.
    """
    common = {"eps": benchmark.eps, "grid": benchmark.grid, "network_size": benchmark.network_size}
    out = claim_output(output_dir, common)
    datasets = [_inspect(benchmark, name, folder) for name, folder in benchmark.folders.items()]
    clean = {
        dataset.name: _compare(
            benchmark, dataset, protected=dataset.folder, folder=out / dataset.name / CLEAN, cache=cache
        )
        for dataset in datasets
    }
    groups = [
        (dataset, group)
        for dataset in datasets
        for group in _candidates(benchmark, dataset, out=out, progress=progress)
    ]
    mine, ceilings = shard_of_this_process(), benchmark.cells_on(CLEAN)
    my_groups, my_ceilings = mine.of(groups), mine.of(ceilings)
    workers = worker_count(workers, benchmark.device)
    trainings = sum(not comparison.result_file(cell).is_file() for comparison in clean.values() for cell in my_ceilings)
    trainings += sum(_count_missing(benchmark, candidate)[1] for _, group in my_groups for candidate in group)
    fits = sum(_count_missing(benchmark, candidate)[0] for _, group in my_groups for candidate in group)
    estimate = Estimate(trainings, workers, f"; {fits} fits, one at a time")
    run = partial(run_cells, workers=workers, progress=progress, estimate=estimate)
    failures: list[str] = []
    for name, comparison in clean.items():
        title = f"{name}/{CLEAN}"
        failures += _named(title, run(comparison, my_ceilings, title=title))
    for dataset, group in my_groups:
        for candidate in group:
            failures += _run_candidate(benchmark, dataset, candidate=candidate, run=run)
    everything = [(dataset.name, candidate) for dataset, group in groups for candidate in group]
    if rank_count() > 1:
        missing = sum(not comparison.result_file(cell).is_file() for comparison in clean.values() for cell in ceilings)
        missing += sum(any(_count_missing(benchmark, candidate)) for _, candidate in everything)
        if missing:
            print(
                f"{missing} parts are still running, or failed, elsewhere; the last machine writes the tables, or the "
                "same command on one machine."
            )
            return None
    rows = build_rows(benchmark, everything, {name: comparison.output_dir for name, comparison in clean.items()})
    write_csv(rows, out / CSV)
    write_table(rows, benchmark, failures=failures, path=out / TABLE)
    draw_figure(rows, benchmark, out / FIGURE)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    print(f"Tables: {out / TABLE}; every training: {out / CSV}; figure: {out / FIGURE}")
    return rows


def _count_missing(benchmark: Benchmark, candidate: Candidate) -> tuple[int, int]:
    """How many fits, 0 or 1, and how many trainings are missing of a candidate."""
    cells = benchmark.cells_on("protected")
    trainings = sum(not cell_file(candidate.trainings, cell).is_file() for cell in cells)
    return int(not (candidate.folder / RECORD).is_file()), trainings
