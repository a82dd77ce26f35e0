"""Measure the package's costs side by side with references: ``python -m monai_umed.tools.speed``."""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..io.atomic import write_json
from ..io.provenance import source_version
from .file_speed import compare_images, compare_volumes
from .function_speed import compare_functions
from .process_speed import compare_large_volume, compare_processes, compare_start
from .timing import Row, Wanted, table
from .training_speed import compare_training

PARTS: dict[str, Callable[[Wanted], list[Row]]] = {
    "images": compare_images,
    "volumes": compare_volumes,
    "ct": compare_large_volume,
    "processes": compare_processes,
    "functions": compare_functions,
    "training": compare_training,
    "start": compare_start,
}
"""What is measured, in this order, by the name under which it can be asked for alone."""


def environment() -> dict[str, Any]:
    """What the figures depend on: versions, threads of torch (its default, not changed here), cores and other work.

    ``load`` is the mean number of busy threads of the last minute, so call this before measuring.
    """
    packages = ("monai_umed", "torch", "numpy", "scipy", "scikit-image")
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None  # Windows has none
    surroundings = {"threads": torch.get_num_threads(), "cores": os.cpu_count(), "load": load}
    return surroundings | {name: version(name) for name in packages}


def warn_if_busy(surroundings: dict[str, Any]) -> None:
    """Warn where other work makes the figures meaningless: torch's threads wait for each other, SciPy has only one."""
    load, cores, threads = (surroundings[name] or 0 for name in ("load", "cores", "threads"))
    if load + threads > cores + 0.5:
        print(
            f"warning: load {load} plus {threads} threads is more than {cores} cores, so functions of several threads "
            "look far too slow. Stop other work, wait a minute, and measure again.",
            file=sys.stderr,
        )


def measure_all(wanted: Wanted, parts: Sequence[str] = tuple(PARTS)) -> list[Row]:
    """Return the rows of some parts, or of all; those on files are empty without a dataset and a checkpoint.

    Raises:
        ValueError: If there is no such part, only one of dataset and checkpoint is given, or ``repeats`` is below 1.
        DatasetError: If a dataset cannot be used.
        CheckpointError: If a checkpoint cannot be used.
    """
    if unknown := [name for name in parts if name not in PARTS]:
        raise ValueError(f"{unknown[0]!r} is no part; use some of {', '.join(PARTS)}.")
    wanted.check()
    return [row for name in parts for row in PARTS[name](wanted)]


def write_csv(path: Path, rows: Sequence[Row], command: str) -> None:
    """Write figures as they stand in the documentation, with the version and the command that made them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["what", "ours", "reference", "required", "ratio_to_reference", "version", "command"])
        for row in rows:
            ours, other = (_say(value, row.unit) for value in (row.ours, row.other))
            ratio = f"{row.ratio:.2f}"
            table.writerow(
                [row.what, ours, f"{row.reference}, {other}", row.required, ratio, source_version(), command]
            )


def _say(value: float, unit: str) -> str:
    return f"{value / 1e3:.3g} s" if unit == "ms" and value >= 1e3 else f"{value:.3g} {unit}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; ends with the message alone where the input is at fault."""
    parser = argparse.ArgumentParser(prog="python -m monai_umed.tools.speed", description=__doc__)
    parser.add_argument("--parts", help=f"some of {','.join(PARTS)} (default all of them)")
    parser.add_argument("--dataset_dir", type=Path, help="dataset whose training images are protected")
    parser.add_argument("--checkpoint", type=Path, help="fitted protector, the protector.pt of train.json")
    parser.add_argument("--volumes_dir", type=Path, help="the same for volumes")
    parser.add_argument("--volumes_checkpoint", type=Path, help="a protector for them")
    parser.add_argument("--cases", type=int, help="so many cases of a dataset at most, from all over it")
    parser.add_argument("--output", type=Path, help="file for the figures: .json, or .csv as in docs/results")
    parser.add_argument("--repeats", type=int, default=7, help="samples of each function (default 7)")
    options = parser.parse_args(arguments)
    surroundings = environment()
    warn_if_busy(surroundings)
    images, volumes = (options.dataset_dir, options.checkpoint), (options.volumes_dir, options.volumes_checkpoint)
    try:
        wanted = Wanted(images, volumes, cases=options.cases, repeats=options.repeats)
        rows = measure_all(wanted, options.parts.split(",") if options.parts else tuple(PARTS))
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(table(rows))
    print(", ".join(f"{name} {value}" for name, value in surroundings.items()))
    if options.output is not None and options.output.suffix == ".csv":
        given = sys.argv[1:] if arguments is None else arguments
        write_csv(options.output, rows, shlex.join(["python", "-m", "monai_umed.tools.speed", *given]))
    elif options.output is not None:
        write_json(options.output, {"environment": surroundings, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
