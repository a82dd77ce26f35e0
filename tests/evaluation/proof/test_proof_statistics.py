"""Exact control of false accusations: p-values of models that never saw a release are uniform, whatever they answer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import kstest

from monai_umed.evaluation.proof.betting import capital
from monai_umed.evaluation.proof.decoys import Answers, decoy_p, key_strengths
from monai_umed.evaluation.proof.hardness import correct
from monai_umed.evaluation.proof.permutation import Lot, difference, redrawn_differences, standardized, upper_p
from monai_umed.evaluation.proof.reserve import first_groups
from monai_umed.sealing.sealed_json import by_lot

KEYS = 1000
SIZES = (1, 1, 1, 1, 2, 1, 3, 1, 2, 1, 1, 4, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1, 1)


def dataset() -> dict[str, str]:
    """Cases in groups of very different sizes."""
    return {f"case {group}.{k}": f"group {group}" for group, size in enumerate(SIZES) for k in range(size)}


def lot_of(key: bytes, reserve: int, total: int | None = None) -> tuple[list[str], Lot]:
    """Divide the cases as a release and its queries do."""
    groups = dataset()
    held_back = first_groups(by_lot(set(groups.values()), key, "reserve"), groups, reserve)
    rest = {id: group for id, group in groups.items() if id not in held_back}
    order = by_lot(set(rest.values()), key, "published 1")
    shown = first_groups(order, rest, (total or len(groups)) - len(held_back))
    ids = [*sorted(held_back), *sorted(shown)]
    names = sorted({groups[id] for id in ids})
    numbers = np.array([names.index(groups[id]) for id in ids])
    return ids, Lot(numbers, np.isin(ids, list(held_back)), reserve, min(total or len(ids), len(ids)))


def never_saw_it(seed: int) -> dict[str, float]:
    """Scores that are heavy-tailed, alike within groups, and higher in large ones."""
    rng = np.random.default_rng(seed)
    level = {group: 0.1 * SIZES[int(group.split()[1])] + rng.standard_cauchy() for group in set(dataset().values())}
    return {id: level[group] + 0.1 * rng.normal() for id, group in dataset().items()}


def keys(count: int) -> list[bytes]:
    rng = np.random.default_rng(5)
    return [rng.bytes(32) for _ in range(count)]


@pytest.mark.parametrize(("reserve", "total"), [(8, None), (6, 25)])
def test_the_reserve_accuses_a_model_that_never_saw_the_release_as_often_as_it_says(
    reserve: int, total: int | None
) -> None:
    scores, rng, found = never_saw_it(1), np.random.default_rng(2), []
    for key in keys(KEYS):
        ids, lot = lot_of(key, reserve, total)
        values = np.array([scores[id] for id in ids])
        found.append(upper_p(difference(values, lot.held_back), redrawn_differences(values, lot, 99, rng)))
    smeared = np.array(found) - rng.random(KEYS) / 100  # from steps of 1 / 100 to a continuum
    assert kstest(smeared, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / KEYS)


def test_assignments_are_redrawn_as_the_first_was_drawn_given_which_groups_were_taken() -> None:
    """Of all draws that took the same cases, the reserve has the law that redrawing has."""
    drawn: dict[frozenset[str], list[frozenset[str]]] = {}
    for key in keys(10000):
        groups = {
            f"{group}{k}": group for group, size in zip("abcde", (1, 1, 2, 3, 1), strict=True) for k in range(size)
        }
        held_back = first_groups(by_lot(set(groups.values()), key, "reserve"), groups, 2)
        rest = {id: group for id, group in groups.items() if id not in held_back}
        shown = first_groups(by_lot(set(rest.values()), key, "published 1"), rest, 5 - len(held_back))
        drawn.setdefault(frozenset(held_back | shown), []).append(frozenset(groups[id] for id in held_back))
    taken, reserves = max(drawn.items(), key=lambda item: len(item[1]))
    names = sorted({id[0] for id in taken})
    lot = Lot(np.array([names.index(id[0]) for id in sorted(taken)]), np.zeros(len(taken), bool), 2, 5)
    again = lot.redraw(10000, np.random.default_rng(1))
    expected = Counter(frozenset(name for name, hidden in zip(names, row, strict=True) if hidden) for row in again)
    observed = Counter(reserves)
    assert observed.keys() == expected.keys()
    for reserve, count in observed.items():
        assert count / len(reserves) == pytest.approx(expected[reserve] / len(again), abs=0.04)


def test_as_many_assignments_are_redrawn_as_asked_for_however_rare_the_last_group_is() -> None:
    lot = lot_of(keys(1)[0], 8, 25)[1]
    tight = Lot(lot.groups, lot.held_back, 8, len(lot.groups) - np.bincount(lot.groups).max() + 1)
    assert tight.redraw(77, np.random.default_rng(0)).shape == (77, len(set(lot.groups)))


def test_a_model_that_knows_the_published_cases_is_found_more_surely_with_the_correction() -> None:
    rng, ids_lot = np.random.default_rng(3), lot_of(keys(1)[0], 10)
    lot = ids_lot[1]
    hardness = rng.normal(size=len(lot.groups))
    scores = 0.6 + 0.2 * hardness + 0.05 * rng.normal(size=len(hardness)) + 0.08 * ~lot.held_back
    raw, corrected = (
        upper_p(difference(values, lot.held_back), redrawn_differences(values, lot, 1999, rng))
        for values in (scores, correct(scores, hardness[:, None]))
    )
    assert corrected <= 0.005 < raw


def test_the_correction_survives_features_that_say_nothing_and_missing_scores() -> None:
    scores = np.array([0.1, 0.5, np.nan, 0.9, 0.4, 0.3, 0.8])
    features = np.ones((7, 2))
    assert np.isnan(correct(scores, features)[2])
    assert np.nansum(correct(scores, features)) == pytest.approx(0, abs=1e-9)


def test_ties_count_against_the_owner() -> None:
    lot = lot_of(keys(1)[0], 8)[1]
    same = np.zeros(len(lot.groups))
    assert upper_p(difference(same, lot.held_back), redrawn_differences(same, lot, 99, np.random.default_rng(0))) == 1
    assert decoy_p(np.zeros(100), 7) == 1


def test_scores_of_several_kinds_weigh_the_same_whatever_their_scale() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=50), 1000 * rng.normal(size=50)
    joined = standardized([one, other])
    assert np.corrcoef(joined, one)[0, 1] == pytest.approx(np.corrcoef(joined, other)[0, 1], abs=1e-9)
    assert standardized([np.full(3, np.nan), np.arange(3.0)])[2] > 0


def test_the_true_key_of_a_model_that_never_saw_it_has_any_rank_alike() -> None:
    rng, count = np.random.default_rng(1), 100
    found = []
    for _ in range(400):
        likes = rng.exponential(size=count)  # a model may like some textures much more than others
        key, image = rng.permutation(np.repeat(np.arange(count), 4)), np.repeat(np.arange(100), 4)
        response = np.clip(0.1 * likes[key] + 0.2 * rng.random(400) + 0.3 * rng.random(100)[image], 0, 1)
        strengths = key_strengths(Answers(response, key, image), count)
        found.append(decoy_p(strengths, int(rng.integers(count))))
    assert kstest(np.array(found) - rng.random(400) / count, "uniform").pvalue > 0.01


def test_a_model_that_knows_the_key_is_found_by_a_few_regions() -> None:
    rng, count = np.random.default_rng(1), 1000
    key, image = rng.permutation(np.repeat(np.arange(count), 4)), np.repeat(np.arange(500), 8)
    response = np.where(key == 17, 0.9, 0.2 * rng.random(4000))
    assert decoy_p(key_strengths(Answers(response, key, image), count), 17) == 1 / count


def test_a_key_without_an_answer_proves_nothing() -> None:
    strengths = key_strengths(Answers(np.ones(2), np.array([0, 1]), np.array([0, 1])), 3)
    assert decoy_p(strengths, 2) == 1 and decoy_p(strengths, 0) == pytest.approx(2 / 3)


def test_capital_does_not_grow_by_itself_whenever_one_looks() -> None:
    scores, rng = never_saw_it(4), np.random.default_rng(3)
    ends, peaks = [], []
    for key in keys(300):
        ids, lot = lot_of(key, 10)
        order = rng.permutation(len(ids))
        values = np.array([scores[id] for id in ids])[order]
        path = capital(values, np.zeros((len(ids), 1)), lot.groups[order], lot.held_back[order])
        ends.append(path[-1])
        peaks.append(path.max())
    assert np.mean(ends) < 1 + 3 * np.std(ends) / np.sqrt(len(ends))
    for limit in (2, 4):
        assert np.mean(np.array(peaks) >= limit) <= 1 / limit + 0.03


def test_capital_grows_on_a_model_that_knows_the_published_cases() -> None:
    rng, count = np.random.default_rng(3), 200
    held_back = rng.permutation(np.arange(count) < 60)
    scores = rng.normal(size=count) + 1.5 * ~held_back
    assert capital(scores, np.zeros((count, 1)), np.arange(count), held_back).max() > 100
