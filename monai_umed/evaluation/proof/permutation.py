"""The test of the reserve: are published cases segmented better than those held back? Exact, whatever is compared.

Under the null hypothesis, a model that never saw the release, its scores are fixed numbers, and only the lot decided
which of them belong to published cases. The p-value is the share of assignments, drawn anew as the first one was, whose
statistic is at least as large (Phipson and Smyth 2010: the observed one counts as one of them, so p is never 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_AT_ONCE = 500


@dataclass(frozen=True)
class Lot:
    """How cases were divided: groups in an order by lot, the first for the reserve, the next for the published.

    Attributes:
        groups: number of the group of every case, 0 on.
        held_back: whether the case is in the reserve.
        reserve_target: cases that the reserve was filled up to.
        total_target: cases that both together were filled up to; as many as there are if all of them were taken.
    """

    groups: np.ndarray
    held_back: np.ndarray
    reserve_target: int
    total_target: int

    def redraw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw assignments as this one was drawn, given which groups were taken: bool ``(count, groups)``."""
        sizes = np.bincount(self.groups)
        order = rng.permuted(np.broadcast_to(np.arange(len(sizes)), (count, len(sizes))), axis=1)
        # The last group was taken because cases were still missing: of all orders, those with such a group at the end.
        needed = np.flatnonzero(sizes > len(self.groups) - self.total_target)
        last = rng.choice(needed, count)
        place = (order == last[:, None]).argmax(axis=1)
        order[np.arange(count), place] = order[:, -1]
        order[:, -1] = last
        before = np.cumsum(sizes[order], axis=1) - sizes[order]
        chosen = np.zeros(order.shape, bool)
        np.put_along_axis(chosen, order, before < self.reserve_target, axis=1)
        return chosen


def difference(values: np.ndarray, held_back: np.ndarray) -> float:
    """Mean of the published minus mean of those held back; NaN are left out, and 0 if one side is empty."""
    means = [
        np.nanmean(values[side]) if np.isfinite(values[side]).any() else np.nan for side in (~held_back, held_back)
    ]
    found = float(means[0] - means[1])
    return found if np.isfinite(found) else 0.0


def redrawn_differences(values: np.ndarray, lot: Lot, redraws: int, rng: np.random.Generator) -> np.ndarray:
    """:func:`difference` of as many assignments drawn anew."""
    known = np.isfinite(values)
    sums = np.bincount(lot.groups, np.where(known, values, 0))
    counts = np.bincount(lot.groups, known.astype(float))
    found: list[np.ndarray] = []
    for first in range(0, redraws, _AT_ONCE):
        hidden = lot.redraw(min(_AT_ONCE, redraws - first), rng).astype(float)
        held_sum, held_count = hidden @ sums, hidden @ counts
        shown_sum, shown_count = sums.sum() - held_sum, counts.sum() - held_count
        usable = (held_count > 0) & (shown_count > 0)
        means = shown_sum / np.maximum(shown_count, 1) - held_sum / np.maximum(held_count, 1)
        found.append(np.where(usable, means, 0))
    return np.concatenate(found)


def upper_p(observed: float, redrawn: Sequence[float] | np.ndarray) -> float:
    """Share of statistics, the observed one among them, that are at least as large; ties count against the owner."""
    redrawn = np.asarray(redrawn)
    tolerance = 1e-12 * max(1.0, float(np.abs(redrawn[np.isfinite(redrawn)]).max(initial=0)))
    return float((1 + (redrawn >= observed - tolerance).sum()) / (1 + len(redrawn)))


def standardized(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of several scores of each case, each in its own standard deviations, over those that it has."""
    scaled = []
    for column in columns:
        spread = np.nanstd(column) if np.isfinite(column).any() else 0
        scaled.append(
            (column - np.nanmean(column)) / spread if spread > 0 else np.where(np.isfinite(column), 0, np.nan)
        )
    table = np.stack(scaled)
    known = np.isfinite(table)
    return np.where(known.any(0), np.where(known, table, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
