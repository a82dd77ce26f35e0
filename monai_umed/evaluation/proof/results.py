"""Both tests on recorded scores, joined into one verdict. Everything here follows from plan, key and scores alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ...sealing.sealed_json import random_numbers
from .answers import Scores
from .betting import capital
from .decoys import decoy_p, key_strengths
from .hardness import correct
from .permutation import Lot, difference, redrawn_differences, standardized, upper_p
from .plan import Plan
from .tiles import alike, key_tiles

ALPHA = 0.01
"""From this p-value of both tests together on, a report speaks of evidence."""
KINDS = ("protected", "clean")
_TWO_SIDED = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Effect:
    """How much better published cases are segmented than those held back, on one kind of query.

    Attributes:
        kind: ``"protected"`` or ``"clean"``.
        published, held_back: mean Dice.
        difference: of both.
        corrected: the same after the correction for hardness.
        interval: of the corrected difference, 95 %, from the spread of the re-drawn differences.
        p_raw, p_corrected: of this kind alone; for information, the test uses all kinds at once.
    """

    kind: str
    published: float
    held_back: float
    difference: float
    corrected: float
    interval: tuple[float, float]
    p_raw: float
    p_corrected: float


@dataclass(frozen=True)
class ReserveTest:
    """Result of the test of the reserve.

    Attributes:
        p: of the statistic, the mean over both kinds of the corrected Dice in its standard deviations.
        observed: the statistic.
        redrawn: what re-drawn assignments give; not recorded, since the key gives it again.
        effects: by kind.
        published, held_back: cases on both sides.
        largest_capital: of the test that may be stopped at any time; an e-value, 20 is as strong as p = .05.
    """

    p: float
    observed: float
    redrawn: np.ndarray
    effects: tuple[Effect, ...]
    published: int
    held_back: int
    largest_capital: float


@dataclass(frozen=True)
class KeyTest:
    """Result of the test of the key.

    Attributes:
        p: one plus the decoys at least as strong, over the number of keys.
        strength: response to the true key above the mean of its images.
        decoys: the same of every decoy; not recorded.
        interval: of the strength of decoys, 95 %.
        alike: decoys with the pattern of the true key, which no test tells apart from it.
        smallest_p: what that leaves.
        regions: that every key had.
    """

    p: float
    strength: float
    decoys: np.ndarray
    interval: tuple[float, float]
    alike: int
    smallest_p: float
    regions: int


@dataclass(frozen=True)
class Results:
    """Both tests.

    Attributes:
        reserve: None if no case on one of the sides has an answer.
        key: None if the release has no pattern of this key.
        p: both joined by Bonferroni's rule, valid whatever they have to do with each other; that of the only one; one
            over the largest capital where the test that may be stopped at any time was made.
    """

    reserve: ReserveTest | None
    key: KeyTest | None
    p: float

    @property
    def verdict(self) -> str:
        """``"evidence"`` or ``"no evidence"``, which never means that the release was not used."""
        return "evidence" if self.p <= ALPHA else "no evidence"


def judge(plan: Plan, scores: Scores, key: bytes, *, sequential: bool = False) -> Results:
    """Do both tests.

    Args:
        plan: what was asked.
        scores: what was answered.
        key: 32 secret bytes, which draw assignments and decoys again.
        sequential: whether to make the test that may be stopped at any time in the place of both.
    """
    reserve = _test_reserve(plan, scores, key)
    if sequential:
        return Results(reserve, None, 1.0 if reserve is None else min(1.0, 1 / reserve.largest_capital))
    of_key = _test_key(plan, scores, key)
    return Results(reserve, of_key, join_p([test.p for test in (reserve, of_key) if test is not None]))


def join_p(found: Sequence[float]) -> float:
    """Bonferroni's rule; 1 without a test."""
    return min(1.0, len(found) * min(found, default=1.0))


def reserve_statistic(plan: Plan, scores: Scores, *, corrected: bool = True) -> np.ndarray:
    """What published cases are compared with those held back by, whoever they are: one number for every drawn case.

    Args:
        plan: what was asked.
        scores: what was answered.
        corrected: whether for how hard cases are; without, to see what that gains.

    Returns:
        Mean over the kinds of queries of the Dice in its standard deviations, NaN where there is no answer.
    """
    raw = _by_kind(plan, scores)
    if not raw:
        return np.full(len(plan.drawn), np.nan)
    columns = [correct(values, plan.features) if corrected else values for values in raw.values()]
    return _spread(plan, standardized(columns))


def _by_kind(plan: Plan, scores: Scores) -> dict[str, np.ndarray]:
    return {kind: values for kind in KINDS if np.isfinite(values := scores.of_kind(plan, kind)).any()}


def _spread(plan: Plan, values: np.ndarray) -> np.ndarray:
    """Values of the cases with queries as values of all drawn cases."""
    wide = np.full(len(plan.drawn), np.nan)
    wide[plan.lot()[1]] = values
    return wide


def _test_reserve(plan: Plan, scores: Scores, key: bytes) -> ReserveTest | None:
    raw, (lot, places), statistic = _by_kind(plan, scores), plan.lot(), reserve_statistic(plan, scores)
    sides = [np.isfinite(statistic[side]).sum() for side in (~lot.held_back, lot.held_back)]
    if min(sides) == 0:
        return None

    def redrawn(values: np.ndarray) -> np.ndarray:
        random = random_numbers(key, f"redraws {plan.number}")
        return redrawn_differences(values, lot, plan.reserve.plan.redraws, random)

    observed, others = difference(statistic, lot.held_back), redrawn(statistic)
    return ReserveTest(
        p=upper_p(observed, others),
        observed=observed,
        redrawn=others,
        effects=tuple(
            _effect(kind, _spread(plan, values), _spread(plan, correct(values, plan.features)), lot, redrawn)
            for kind, values in raw.items()
        ),
        published=int(sides[0]),
        held_back=int(sides[1]),
        largest_capital=_largest_capital(plan, raw, lot, places),
    )


def _effect(
    kind: str, raw: np.ndarray, corrected: np.ndarray, lot: Lot, redrawn: Callable[[np.ndarray], np.ndarray]
) -> Effect:
    others = redrawn(corrected)
    found, width = difference(corrected, lot.held_back), _TWO_SIDED * float(others.std())
    means = [
        float(np.nanmean(raw[side])) if np.isfinite(raw[side]).any() else 0.0
        for side in (~lot.held_back, lot.held_back)
    ]
    return Effect(
        kind=kind,
        published=means[0],
        held_back=means[1],
        difference=difference(raw, lot.held_back),
        corrected=found,
        interval=(found - width, found + width),
        p_raw=upper_p(difference(raw, lot.held_back), redrawn(raw)),
        p_corrected=upper_p(found, others),
    )


def _largest_capital(plan: Plan, raw: dict[str, np.ndarray], lot: Lot, places: np.ndarray) -> float:
    """Of the protected queries, or the clean ones if there are no others, in the order of their names, a random one."""
    kind = next(iter(raw))
    order = [query.case for query in plan.queries if query.kind == kind]
    # Groups whose cases have no queries stay in the urns.
    others = np.setdiff1d(np.arange(len(lot.groups)), places)
    cases = np.concatenate([places[order], others])
    scores = np.concatenate([raw[kind][order], np.full(len(others), np.nan)])
    features = np.concatenate([plan.features[order], np.zeros((len(others), plan.features.shape[1]))])
    return float(capital(scores, features, lot.groups[cases], lot.held_back[cases]).max(initial=1.0))


def _test_key(plan: Plan, scores: Scores, key: bytes) -> KeyTest | None:
    if plan.pattern is None or not scores.responses:
        return None
    answers = scores.answers(plan)
    strengths = key_strengths(answers, plan.keys)
    decoys = np.delete(strengths, plan.true_key)
    known = decoys[np.isfinite(decoys)]
    dims = plan.pattern.tile_dims(plan.cases[0].shape)
    tiles = key_tiles(key, plan.number, plan.keys, plan.true_key, plan.pattern.patch, dims)
    same = alike(tiles, plan.true_key)
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (0.0, 0.0)
    return KeyTest(
        p=decoy_p(strengths, plan.true_key),
        strength=float(strengths[plan.true_key]),
        decoys=decoys,
        interval=(float(low), float(high)),
        alike=same,
        smallest_p=(1 + same) / plan.keys,
        regions=int(np.bincount(answers.key, minlength=plan.keys)[plan.true_key]),
    )
