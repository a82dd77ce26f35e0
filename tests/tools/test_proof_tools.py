"""The tools that measure a proof: smaller reserves are still drawn by lot, and accusations are as rare as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from monai_umed.evaluation.proof.answers import Scores
from monai_umed.evaluation.proof.plan import Plan, QueriedCase, Query, pack
from monai_umed.evaluation.proof.reserve import draw_reserve
from monai_umed.evaluation.proof.suspects import Suspect
from monai_umed.evaluation.proof.tiles import Region
from monai_umed.tools.hardness import hardness, split_folds
from monai_umed.tools.proof_null import accuse
from monai_umed.tools.proof_power import rows_of_smaller, smaller_reserve

CASES, KEYS = 60, 40


@pytest.fixture(scope="module")
def plan() -> Plan:
    names, rng = [f"case {index:02}" for index in range(CASES)], np.random.default_rng(1)
    groups = {name: name if index % 5 else f"case {index - index % 10:02}" for index, name in enumerate(names)}
    mask, regions = pack(np.ones((2, 2))), rng.permutation(np.repeat(np.arange(KEYS), 3)).reshape(CASES, 2)
    asked = [Query(name=f"{n:02}.png", case=n, kind="protected", sha256="") for n in range(CASES)]
    tiled = [
        Query(name=f"t{n:02}.png", case=n, kind="tiles", sha256="", regions=tuple(Region(int(k), 1, ()) for k in row))
        for n, row in enumerate(regions)
    ]
    return Plan(
        number=1,
        time="",
        reserve=draw_reserve(groups, 0.4, bytes(32)),
        cases=tuple(QueriedCase(id=name, features=(0.0,), shape=(2, 2), mask=mask) for name in names),
        drawn=tuple(names),
        total_target=CASES,
        queries=tuple(asked + tiled),
        pattern=None,
        keys=KEYS,
        true_key=3,
    )


def scores_of(plan: Plan, gain: float) -> Scores:
    """A model that is better on published cases by so many standard deviations."""
    rng = np.random.default_rng(2)
    values = gain * ~plan.held_back + rng.normal(size=CASES)
    dice = {query.name: value for query, value in zip(plan.queries[:CASES], values, strict=True)}
    return Scores(dice, {query.name: tuple(rng.random(2)) for query in plan.queries[CASES:]}, (), "")


def test_owners_of_other_keys_accuse_as_often_as_they_say(plan: Plan) -> None:
    found = accuse(plan, scores_of(plan, 0), 300, np.random.default_rng(3))
    assert kstest(found[:, 0] - np.random.default_rng(4).random(300) / 1000, "uniform").pvalue > 0.01
    assert np.mean(found <= 0.05, axis=0).max() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert (found[:, 2] == np.minimum(1, 2 * found[:, :2].min(axis=1))).all()


def test_a_smaller_reserve_is_the_same_release_with_fewer_cases(plan: Plan) -> None:
    small = smaller_reserve(plan, 8, np.random.default_rng(0))
    lot = small.lot()[0]
    assert 8 <= lot.held_back.sum() <= 9 and small.reserve.target == 8
    assert (~lot.held_back).sum() == (~plan.held_back).sum() and len(small.drawn) == small.total_target
    assert {small.cases[query.case].id for query in small.queries} == set(small.drawn)
    before = {plan.cases[query.case].id: query.name for query in plan.queries[:CASES]}
    after = {small.cases[query.case].id: query.name for query in small.queries if query.kind == "protected"}
    assert after.items() <= before.items()


def test_fewer_held_back_cases_prove_less(plan: Plan) -> None:
    few, many = rows_of_smaller(plan, scores_of(plan, 1.2), [6, 20], draws=5)
    assert few["held_back"] == 6 and many["held_back"] == 20
    assert float(str(many["p_reserve"])) < float(str(few["p_reserve"]))


def test_every_case_is_scored_once_by_a_network_that_saw_neither_it_nor_its_near_duplicate() -> None:
    rng = torch.Generator().manual_seed(0)
    labels = [(torch.rand((1, 32, 32), generator=rng) > 0.5).float() for _ in range(8)]
    items = [{"id": f"{n}", "image": torch.rand((1, 32, 32), generator=rng), "label": y} for n, y in enumerate(labels)]
    items.append({"id": "twin", "image": 0.99 * torch.as_tensor(items[0]["image"]), "label": labels[0]})
    folds = split_folds(items, 3)
    assert folds[0] == folds[8] and set(folds) == {0, 1, 2}
    found = hardness(items, Suspect(size=(32, 32), batch_size=4), epochs=1, num_classes=2, folds=3)
    assert set(found) == {item["id"] for item in items} and all(0 < dice < 1 for dice in found.values())
