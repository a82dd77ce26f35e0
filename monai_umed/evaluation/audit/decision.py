"""Which trainings can no longer change the verdict, for audits that stop when it is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..plan import Cell
from ..results import Comparison
from .rows import build_rows
from .scores import ScoreRow
from .verdict import LIMIT, WEAK_CEILING, judge

Names = tuple[str, str]
"""Of exploiter and defense."""


@dataclass(frozen=True)
class Decision:
    """Reads from the results on disk what is decided, so that several processes and machines agree.

    Only rows whose trainings are all finished, on protected and on clean files with every seed, decide anything:

    * whoever just trains a network gets more than half of its ceiling: not protected, whatever else comes;
    * all who just train are known to get at most half, and a cheap defense gets more: partly protected;
    * a network that reaches too little on clean files is not compared, so its trainings on protected files say nothing;
    * costlier attacks are never part of the verdict.

    Floors and trainings on half of the cases are never skipped: what they say is not the verdict.

    Attributes:
        comparison: whose results are read.
    """

    comparison: Comparison

    def why_skip(self, cell: Cell) -> str | None:
        """Why a training cannot change the verdict, in a few words; None if it can, or is needed for something else."""
        if cell.data not in ("protected", "clean"):
            return None
        if not self.comparison.matrix.entries[cell.defense].cheap:
            return "costlier attacks are no part of the verdict"
        ceiling = self._ceiling(cell)
        if cell.data == "protected" and ceiling is not None and ceiling < WEAK_CEILING:
            clean = f"{cell.exploiter} reaches Dice {ceiling:.2f} on clean files with {cell.defense}"
            return f"{clean}, too little to compare"
        verdict = self._verdict()
        return None if verdict is None else f"{verdict} already"

    def _verdict(self) -> str | None:
        complete = {(row.exploiter, row.defense): row for row in build_rows(self.comparison) if self._is_complete(row)}
        if not complete:
            return None
        verdict = judge(list(complete.values())).verdict
        if verdict == "not protected" and self._plain_wins(complete):
            return verdict
        return verdict if verdict == "partly protected" and self._plain_is_known(complete) else None

    def _plain_wins(self, complete: Mapping[Names, ScoreRow]) -> bool:
        plain = [row for (_, defense), row in complete.items() if defense == "none"]
        return any((row.ratio or 0) > LIMIT and (row.clean_ceiling or 0) >= WEAK_CEILING for row in plain)

    def _plain_is_known(self, complete: Mapping[Names, ScoreRow]) -> bool:
        seed = self.comparison.matrix.seeds[0]
        cells = [Cell(exploiter, "none", "protected", seed) for exploiter in self.comparison.matrix.exploiters]
        weak = [cell.exploiter for cell in cells if (self._ceiling(cell) or WEAK_CEILING) < WEAK_CEILING]
        return all((cell.exploiter, "none") in complete or cell.exploiter in weak for cell in cells)

    def _is_complete(self, row: ScoreRow) -> bool:
        seeds, ceiling = len(self.comparison.matrix.seeds), row.details.clean_ceiling
        return row.seeds == seeds and ceiling is not None and len(ceiling.dice.values) == seeds

    def _ceiling(self, cell: Cell) -> float | None:
        """Mean Dice on clean files of what a training is compared with; None before all seeds are known."""
        of = self.comparison.matrix.ceiling_of(cell)
        results = self.comparison.results(of.exploiter, of.defense, of.data)
        complete = len(results) == len(self.comparison.matrix.seeds)
        return sum(result.scores.dice for result in results) / len(results) if complete else None
