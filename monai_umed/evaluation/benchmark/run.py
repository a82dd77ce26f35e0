"""The benchmark from its folders to tables: releases, trainings, and what is still missing of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...data.cases import find_cases
from ...data.fingerprint import DatasetFacts, inspect_dataset
from ...io.run_folder import claim_output
from ...training.distributed import rank_count, share_of_this_process
from ..cell import Bench
from ..folders import check_folders
from ..plan import Audit, Cell
from ..progress import Estimate
from ..runner import run_cells, worker_count
from ..workers import orderly_end
from .candidate import PROTECTED, RECORD, Job, make_release, read_release
from .figure import draw_figure
from .plan import Plan
from .rows import Entry, build_rows, result_file, write_csv
from .table import write_table
from .variants import CLEAN

CSV, TABLE, FIGURE, TRAININGS = "results.csv", "results.md", "dice_over_psnr.png", "trainings"


@dataclass(frozen=True)
class _Place:
    """A dataset of a benchmark.

    Attributes:
        name: of its folder.
        folder: where it lies.
        facts: what exploiters need to know, who see volumes as volumes.
        size: grid that they train on.
        slice_axis: across which protectors see volumes slice by slice, as a fit does unless it is told otherwise.
        working_size: grid of protectors.
    """

    name: str
    folder: str
    facts: DatasetFacts
    size: tuple[int, ...]
    slice_axis: int | None
    working_size: tuple[int, ...]


def _read_place(plan: Plan, name: str, folder: str) -> _Place:
    facts = inspect_dataset(folder, "train")
    if plan.size is not None and len(plan.size) != facts.spatial_dims:
        raise ValueError(
            f"size is {plan.size}, but {folder} is {facts.spatial_dims}D; leave size out, or benchmark images and "
            "volumes apart."
        )
    slice_axis = inspect_dataset(folder, "train", cut=True).slice_axis
    size, grid = (facts.size, facts.working_size) if plan.size is None else (plan.size, plan.size)
    working_size = tuple(side for axis, side in enumerate(grid) if axis != slice_axis)
    return _Place(name, folder, facts, size, slice_axis, working_size)


def _open_bench(plan: Plan, place: _Place, protected: str, folder: Path) -> Bench:
    """What trainings on one folder share; clean files are the training section alone, and radii are the common eps.

    Raises:
        DatasetError: see :func:`monai_umed.evaluation.folders.check_folders`.
        ValueError: if trainings on other files or with other settings lie in the folder.
    """
    audit = Audit(
        protected_dir=protected,
        clean_dir=place.folder,
        test_dir=place.folder,
        size=place.size,
        exploiters=plan.exploiters,
        defenses=plan.defenses,
        seeds=plan.seeds,
        network_size=plan.network_size,
        num_classes=place.facts.num_classes,
        recipe=plan.recipe,
        device=plan.device,
    )
    facts = check_folders(audit)
    train = {case.id for case in find_cases(place.folder, "train")}
    # Of what the files say, the largest change differs from method to method, and defenses take their radius from it.
    facts = replace(facts, ids=tuple(id for id in facts.ids if id in train), eps=plan.eps)
    settings = {"size": place.size, "network_size": plan.network_size, "recipe": plan.recipe, "eps": plan.eps}
    claim_output(folder, {**settings, "num_classes": audit.num_classes, "digest": facts.digest})
    return Bench(audit, facts, folder)


def _jobs(plan: Plan, place: _Place, out: Path, progress: bool) -> list[list[Job]]:
    """For every protector its job at equal eps and, after it, the one at equal PSNR if that is asked for."""
    found = []
    for variant in plan.variants:
        first = out / place.name / variant.folder
        job = Job(
            place.folder,
            variant,
            first,
            plan.eps,
            place.working_size,
            place.facts.num_classes,
            place.slice_axis,
            progress=progress,
        )
        more = [
            replace(job, folder=first.with_name(f"{first.name}_{psnr:g}dB"), psnr=psnr, fitted=first)
            for psnr in plan.budgets
            if psnr is not None
        ]
        found.append([job, *more])
    return found


def _named(failures: dict[Cell, str], where: str) -> list[str]:
    return [f"{where}: {cell.name}: {reason}" for cell, reason in failures.items()]


def _run_job(plan: Plan, place: _Place, job: Job, *, workers: int, progress: bool, estimate: Estimate) -> list[str]:
    """Do what is missing of one protector on one dataset; what failed, with reasons."""
    where = f"{place.name}/{job.folder.name}"
    if read_release(job.folder) is None and (reason := make_release(job)) is not None:
        return [f"{where}: {reason}"]
    try:
        bench = _open_bench(plan, place, str(job.folder / PROTECTED), job.folder / TRAININGS)
    except ValueError as error:
        return [f"{where}: {error}"]
    ended = run_cells(bench, plan.cells(), workers=workers, progress=progress, title=where, estimate=estimate)
    failed = _named(ended, where)
    release = read_release(job.folder)
    if release is not None and release.left_out:
        failed.append(f"{where}: {release.left_out} cases could not be protected; {job.folder / PROTECTED} says why")
    return failed


@orderly_end()
def run_benchmark(
    plan: Plan, output_dir: str | Path, workers: int | None = None, progress: bool = True
) -> list[dict[str, Any]] | None:
    """Run what is missing of a benchmark and write ``results.csv``, ``results.md`` and ``dice_over_psnr.png``.

    Can be interrupted at any time: finished releases and trainings are kept. A release that was interrupted begins
    anew, so that its times are those of one run. Fits run one at a time, so that nothing else of this machine slows
    them. Protectors, datasets, exploiters, defenses and seeds may be added later. Started by ``torchrun`` on several
    machines that share the folder, each takes its share of the protectors, and whoever finishes last writes the tables.

    Args:
        plan: what to run.
        output_dir: folder of this benchmark.
        workers: trainings at the same time, see :func:`monai_umed.evaluation.runner.run_cells`.
        progress: whether to show progress bars.

    Returns:
        What ``results.csv`` holds; None if protectors of other machines are still missing.

    Raises:
        DatasetError: if a dataset cannot be used.
        ValueError: if settings do not fit a dataset, or the folder holds another benchmark.
    """
    out = claim_output(output_dir, {"eps": plan.eps, "size": plan.size, "network_size": plan.network_size})
    places = [_read_place(plan, name, folder) for name, folder in plan.places.items()]
    clean = {place.name: _open_bench(plan, place, place.folder, out / place.name / CLEAN) for place in places}
    groups = [(place, jobs) for place in places for jobs in _jobs(plan, place, out, progress)]
    mine = share_of_this_process()
    missing = [job.folder / TRAININGS for _, jobs in mine.of(groups) for job in jobs]
    trainings = [result_file(bench.output_dir, cell) for bench in clean.values() for cell in mine.of(plan.ceilings())]
    trainings += [result_file(folder, cell) for folder in missing for cell in plan.cells()]
    fits = sum(not (folder.parent / RECORD).is_file() for folder in missing)
    workers = worker_count(workers, plan.device)
    estimate = Estimate(sum(not path.is_file() for path in trainings), workers, f", and {fits} fits, one at a time")
    failures: list[str] = []
    for name, bench in clean.items():
        title = f"{name}/{CLEAN}"
        ended = run_cells(
            bench, mine.of(plan.ceilings()), workers=workers, progress=progress, title=title, estimate=estimate
        )
        failures += _named(ended, title)
    for place, jobs in mine.of(groups):
        for job in jobs:
            failures += _run_job(plan, place, job, workers=workers, progress=progress, estimate=estimate)
    entries = [Entry(place.name, job.variant, job.psnr, job.folder) for place, jobs in groups for job in jobs]
    if rank_count() > 1 and (elsewhere := _count_missing(plan, entries, clean)):
        print(
            f"{elsewhere} parts are still running, or failed, elsewhere; the last machine writes the tables, or the "
            "same command on one machine."
        )
        return None
    rows = build_rows(plan, entries, {name: bench.output_dir for name, bench in clean.items()})
    write_csv(rows, out / CSV)
    write_table(rows, plan, failures, out / TABLE)
    draw_figure(rows, plan, out / FIGURE)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    print(f"Tables: {out / TABLE}; every training: {out / CSV}; figure: {out / FIGURE}")
    return rows


def _count_missing(plan: Plan, entries: Sequence[Entry], clean: dict[str, Bench]) -> int:
    missing = sum(not bench.result_file(cell).is_file() for bench in clean.values() for cell in plan.ceilings())
    for entry in entries:
        released = read_release(entry.folder) is not None
        missing += not released
        missing += released and not all(entry.result_file(cell).is_file() for cell in plan.cells())
    return missing
