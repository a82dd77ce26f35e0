"""How much of a perturbation arrives where exploiters train: on other grids, by the resizers that they use."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

import torch
from torch.nn import functional as F

from ..data.case import CaseError, DatasetError
from ..data.cases import find_cases
from ..data.loading import load_case
from ..functional.resampling import resize

GRIDS = (96, 128, 160, 256, 512)
RESIZERS: dict[str, Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]] = {
    "area": resize,
    "bilinear": lambda image, size: F.interpolate(image, size=size, mode="bilinear", align_corners=False),
    "antialias": lambda image, size: F.interpolate(
        image, size=size, mode="bilinear", align_corners=False, antialias=True
    ),
}


def arrivals(original: str | Path, protected: str | Path, most: int = 40) -> Iterator[tuple[str, int, float, float]]:
    """What is left of the changes inside the foreground after resizing.

    Args:
        original: the dataset.
        protected: what was written for it.
        most: cases to look at, evenly spaced.

    Yields:
        Resizer, side of the grid, root mean square of the change in the files, and standard deviation of what arrives
        in the foreground of the grid, both in 255ths of the window, means over cases and channels. A flat offset is no
        deviation: this is about patterns.

    Raises:
        DatasetError: If no case can be compared.
    """
    before = {case.id: case for case in find_cases(original)}
    after = [case for case in find_cases(protected) if case.id in before]
    pairs = []
    for case in after[:: max(1, len(after) // most)]:
        try:
            first, second = load_case(before[case.id]), load_case(case)
        except CaseError:
            continue
        change = torch.from_numpy(second.stored.scaled() - first.stored.scaled()) * 255
        if change.ndim == 3:
            pairs.append((change, torch.from_numpy(second.label) > 0))
    if not pairs:
        raise DatasetError(str(protected), ["holds no image of the original dataset; name its folder `protected`"])
    spent = fmean(float(change[:, inside[0]].square().mean().sqrt()) for change, inside in pairs)
    for name, resizer in RESIZERS.items():
        for side in GRIDS:
            left = []
            for change, inside in pairs:
                grid = resizer(change[None], (side, side))[0]
                core = resize(inside[None].float(), (side, side))[0, 0] > 0.999
                if core.sum() > 8:
                    left.append(float(grid[:, core].std(1).mean()))
            if left:
                yield name, side, spent, fmean(left)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; ends with the message alone where the input is at fault."""
    parser = argparse.ArgumentParser(prog="python -m monai_umed.tools.arrival", description=__doc__)
    parser.add_argument("--original", type=Path, required=True, help="folder of the originals")
    parser.add_argument("--protected", type=Path, required=True, nargs="+", help="protected folders")
    parser.add_argument("--output", type=Path, required=True, help="CSV file")
    options = parser.parse_args(arguments)
    try:
        rows = [(str(folder), *row) for folder in options.protected for row in arrivals(options.original, folder)]
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("protected", "resizer", "grid", "rms_in_files", "arrives"))
        writer.writerows((*row[:3], f"{row[3]:.2f}", f"{row[4]:.2f}") for row in rows)
    print(f"{options.output} tells what arrives of {len(options.protected)} releases on grids of {GRIDS} pixels.")


if __name__ == "__main__":
    main()
