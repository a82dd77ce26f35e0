"""What finished trainings and other parts of a run left on disk."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..io.atomic import write_json
from ..training.metrics import Scores
from .folders import Facts, Files
from .plan import Cell, Matrix

T = TypeVar("T")


def read_kept(path: Path, parse: Callable[[Any], T]) -> T | None:
    """What an earlier run left in a JSON file; None if there is no file.

    A damaged file, which ``parse`` fails on, is kept aside under the first free name and counts as none.
    """
    if not path.is_file():
        return None
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        number = 1
        while (aside := path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        path.rename(aside)
        print(f"warning: {path} is damaged; kept as {aside.name} and computed again", file=sys.stderr)
        return None


@dataclass(frozen=True)
class CellResult:
    """What a training left.

    Attributes:
        cell: which one.
        train_cases: how many cases it saw; patches and slices count.
        losses: mean loss of every epoch.
        version: of this package; None for trainings that are older than the field.
        scores: on clean test images, mean over the last epochs.
        case_dice: the same Dice of every test case by id; None for trainings on half of the cases.
        scores_on_protected: on the protected copies of the other half, for those alone.
        seconds: how long it took.
        averaged_epochs: how many epochs scores are means of; 1 without training, for networks that a defense finishes
            after the last epoch, and for trainings that are older than the field.
    """

    cell: Cell
    train_cases: int
    losses: list[float]
    version: str | None
    scores: Scores
    case_dice: dict[str, float] | None
    scores_on_protected: Scores | None
    seconds: float
    averaged_epochs: int = 1

    def content(self) -> dict[str, Any]:
        """What a file holds; what is None is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def write(self, path: Path) -> None:
        """Write the result."""
        write_json(path, self.content())

    @classmethod
    def parse(cls, kept: dict[str, Any]) -> CellResult:
        """Of the content of a file."""
        typed: dict[str, Any] = {"version": None, "case_dice": None, "scores_on_protected": None, **kept}
        typed |= {name: Scores(**kept[name]) for name in ("scores", "scores_on_protected") if name in kept}
        result = cls(**typed | {"cell": Cell(**kept["cell"])})
        if not result.scores.dice >= 0:
            raise ValueError("Dice is below 0.")
        return result


def cell_file(folder: Path, cell: Cell) -> Path:
    """Where the result of a cell lies below the folder of its trainings."""
    return folder / "cells" / f"{cell.name}.json"


def read_cell(folder: Path, cell: Cell) -> CellResult | None:
    """The result of a cell; None if it is not finished."""
    return read_kept(cell_file(folder, cell), CellResult.parse)


@dataclass(frozen=True)
class Comparison:
    """Trainings on a protected folder and on its originals: everything that they share, and where their results lie.

    Attributes:
        matrix: what is trained.
        files: on what.
        facts: what the files say.
        output_dir: folder of the results.
        foreign_dir: clean images of another dataset.
        foreign_protected_dir: the same, protected with this tool; empty if no defense asks for it.
        cache: folder of trainings on clean files that other runs have done, see
            :mod:`monai_umed.evaluation.ceilings`; None to look nowhere.
    """

    matrix: Matrix
    files: Files
    facts: Facts
    output_dir: Path
    foreign_dir: str = ""
    foreign_protected_dir: str = ""
    cache: Path | None = None

    def result_file(self, cell: Cell) -> Path:
        """Where the result of a cell lies."""
        return cell_file(self.output_dir, cell)

    def result(self, cell: Cell) -> CellResult | None:
        """The result of a cell; None if it is not finished."""
        return read_cell(self.output_dir, cell)

    def results(self, exploiter: str, defense: str, data: str) -> list[CellResult]:
        """The results of all seeds that are finished."""
        found = (self.result(Cell(exploiter, defense, data, seed)) for seed in self.matrix.seeds)
        return [result for result in found if result is not None]

    def first_result(self, exploiter: str, data: str) -> CellResult | None:
        """The result without defense of the first seed, which curves, pictures and utility are about."""
        return self.result(Cell(exploiter, "none", data, self.matrix.seeds[0]))
