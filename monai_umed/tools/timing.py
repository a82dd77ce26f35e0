"""Time functions in turns and lay the figures out as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import monai_umed as mu

LEAST_SAMPLE = 0.02  # s; shorter calls are repeated within a sample, so that the clock and the scheduler do not count


@dataclass(frozen=True)
class Wanted:
    """What all parts of a measurement are made of.

    Attributes:
        images, volumes: a dataset and the file of a fitted protector each; None for neither.
        cases: how many cases of a dataset to take at most; None for all.
        repeats: samples of each function.
    """

    images: tuple[Path | None, Path | None] = (None, None)
    volumes: tuple[Path | None, Path | None] = (None, None)
    cases: int | None = None
    repeats: int = 7

    def check(self) -> None:
        """Refuse what would end a measurement after minutes.

        Raises:
            ValueError: If only one of dataset and checkpoint is given, or a number is below 1.
            DatasetError: If a dataset cannot be used.
            CheckpointError: If a checkpoint cannot be used.
        """
        for name, value in (("repeats", self.repeats), ("cases", self.cases)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1, and 5 or more to mean something.")
        for dataset, checkpoint in (self.images, self.volumes):
            if (dataset is None) != (checkpoint is None):
                raise ValueError(
                    "A dataset and its checkpoint belong together; pass both to measure files, or neither."
                )
            if dataset is not None and checkpoint is not None:
                mu.load_protector(checkpoint)
                mu.find_cases(dataset, "train")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: what was measured, on what input.
        reference: what it is compared with.
        ours, other: median cost of both, in ``unit``.
        unit: ``"ms"`` per call, or per file; ``"GiB"``.
        ratio: speed-up (time of the reference / ours), but our share of its time where that is what is limited.
        required: the requirement, in words; empty where there is none.
        holds: whether it is met; None where there is none.
    """

    what: str
    reference: str
    ours: float
    other: float
    unit: str
    ratio: float
    required: str = ""
    holds: bool | None = None


def alternate(
    functions: Sequence[Callable[[], object]],
    repeats: int,
    *,
    least: float = LEAST_SAMPLE,
    clock: Callable[[], float] = perf_counter,
) -> list[float]:
    """Median seconds per call of each function, measured in turns (A B A B) after one untimed call of each.

    Other work on the machine then slows all of them alike.

    Args:
        functions: what to time.
        repeats: samples of each; at least 1.
        least: seconds that a sample takes at least; shorter calls are repeated within it. 0 for one call a sample.
        clock: seconds, of the wall or of the processor.

    Raises:
        ValueError: If ``repeats`` is below 1.
    """
    if repeats < 1:
        raise ValueError(
            f"repeats is {repeats}; it must be at least 1, and 5 or more for a median that means something."
        )

    def seconds(function: Callable[[], object], calls: int) -> float:
        start = clock()
        for _ in range(calls):
            function()
        return (clock() - start) / calls

    for function in functions:
        function()
    calls = [max(1, math.ceil(least / seconds(function, 1))) if least > 0 else 1 for function in functions]
    samples = [[seconds(*pair) for pair in zip(functions, calls, strict=True)] for _ in range(repeats)]
    return [median(column) for column in zip(*samples, strict=True)]


def speed_up(what: str, reference: str, ours: float, other: float, least: float | None = None) -> Row:
    """Row of two times in seconds: how many times faster ours is, and whether that is at ``least`` as required."""
    times, ratio = (1e3 * ours, 1e3 * other, "ms"), other / ours
    if least is None:
        return Row(what, reference, *times, ratio)
    return Row(what, reference, *times, ratio, f">= {least:g}x speed", ratio >= least)


def time_share(what: str, reference: str, ours: float, other: float, most: float | None = None) -> Row:
    """Row of two times in seconds: our time as a multiple of the reference's, at most ``most`` if that is given."""
    times, ratio = (1e3 * ours, 1e3 * other, "ms"), ours / other
    if most is None:
        return Row(what, reference, *times, ratio)
    return Row(what, reference, *times, ratio, f"<= {most:g}x time", ratio <= most)


def at_most(row: Row, most: float) -> Row:
    """The row with a requirement on our cost itself, in its unit."""
    return replace(row, required=f"<= {round(most, 1):g} {row.unit}", holds=row.ours <= most)


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    lines = [("what", "reference", "ours", "reference", "unit", "ratio", "required", "holds")]
    for row in rows:
        holds = "" if row.holds is None else "yes" if row.holds else "NO"
        figures = f"{row.ours:.2f}", f"{row.other:.2f}", row.unit, f"{row.ratio:.2f}"
        lines.append((row.what, row.reference, *figures, row.required, holds))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = (2, 3, 5)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
