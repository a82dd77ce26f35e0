"""Error-minimizing noise: the closed form of a linear surrogate, one noise per case, two tiles per class."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from surrogate_toys import TINY, WEIGHT, batch_of, linear_network, toy_items

from monai_umed.protectors.em import EM, ClassWiseEM
from monai_umed.protectors.sample_wise import INT8

ROUNDING = 2.0**-23
EPS = TINY["eps"]
SHORT: dict[str, Any] = {**TINY, "rounds": 2, "surrogate_steps": 2}


def test_the_best_noise_against_a_linear_surrogate_raises_logits_inside_and_lowers_them_outside() -> None:
    em = EM(2, 1, noise_steps=9, noise_step=0.25, **TINY)
    image, label, bound, noise = batch_of(toy_items(), EPS)
    bound = bound * (label + 1) / 2  # half of it outside
    moved = em.move(linear_network(), image, label, bound, noise)
    sign = torch.tensor(WEIGHT).sign()
    best = image + bound * sign * (2 * label - 1)
    torch.testing.assert_close(moved, best.clamp(0, 1), rtol=0, atol=ROUNDING)


def test_the_surrogate_finds_protected_images_easier_than_clean_ones() -> None:
    torch.manual_seed(0)
    em = EM(2, 1, noise_steps=4, **TINY)
    network = em.new_surrogate().eval().requires_grad_(False)
    image, label, bound, noise = batch_of(toy_items(), EPS)
    loss = em.loss(network, label)
    assert loss(em.move(network, image, label, bound, noise)) < loss(image)


def test_noise_is_kept_as_a_share_of_its_bound_to_half_a_step() -> None:
    em = EM(2, 1, **SHORT)
    prepared = em.on_grid(toy_items())
    em.begin(prepared)
    wanted = {item["id"]: item["noise"] / item["bound"] for item in prepared}
    em.finish(prepared)
    for case, share in wanted.items():
        kept = em.raw(torch.empty(0), torch.empty(0), case)
        assert (kept - share).abs().max() <= 0.5 / INT8 + 1e-6
    assert all(noise.dtype == torch.int8 for noise in em.state().values())


def test_the_start_of_a_case_depends_on_seed_and_id_alone() -> None:
    em, items = EM(2, 1, **SHORT), toy_items()
    forth, back = em.on_grid(items), em.on_grid(items[::-1])
    em.begin(forth)
    em.begin(back)
    assert all(torch.equal(a["noise"], b["noise"]) for a, b in zip(forth, back[::-1], strict=True))
    other = EM(2, 1, seed=1, **SHORT)
    again = other.on_grid(items)
    other.begin(again)
    assert not torch.equal(forth[0]["noise"], again[0]["noise"])


@pytest.mark.parametrize("case", ["unknown", None])
def test_a_case_that_was_not_there_is_refused_with_reason_and_cure(case: str | None) -> None:
    em, items = EM(2, 1, **SHORT), toy_items()
    em.fit(items, progress=False)
    with pytest.raises(ValueError, match=rf"no noise for case {case!r}.*4 cases.*Fit it on all cases.*such as umed"):
        em(items[0]["image"], items[0]["label"], case_id=case)


def test_a_case_that_comes_twice_is_refused_with_the_cure() -> None:
    items = toy_items()
    with pytest.raises(ValueError, match=r"1 case\(s\) come more than once, 'case 2'.*layout='windows'.*'case 2:0'"):
        EM(2, 1, **SHORT).fit([*items, items[2]], progress=False)


def test_noise_of_another_grid_is_not_loaded() -> None:
    em = EM(2, 1, **SHORT)
    with pytest.raises(ValueError, match=r"'a' is not an int8 tensor of shape \(1, 16, 16\)"):
        em.load_state({"a": torch.zeros(1, 8, 8, dtype=torch.int8)})


@pytest.mark.parametrize("classes", [2, 3])
def test_class_wise_noise_is_one_tile_per_class_whatever_the_image(classes: int) -> None:
    protector, items = ClassWiseEM(2, 1, num_classes=classes, **SHORT), toy_items(5, classes=classes)
    protector.fit(items[:4], progress=False)
    tiles = protector.state()["tiles"]
    assert tiles.shape == (classes, 1, 16, 16)
    for item in items:  # the last one is new
        delta = protector(item["image"], item["label"]).delta
        for number in range(classes):
            inside = item["label"] == number
            torch.testing.assert_close(delta[inside], EPS * tiles[number][inside], rtol=0, atol=1e-6)


def test_a_step_against_a_linear_surrogate_moves_each_tile_where_some_image_has_its_class() -> None:
    protector, items = ClassWiseEM(2, 1, noise_step=0.25, **SHORT), toy_items()
    prepared = protector.on_grid(items)
    protector.begin(prepared)
    before = protector.state()["tiles"].clone()
    protector.turn(linear_network(), prepared)
    sign = torch.tensor(WEIGHT).sign()
    for number, direction in ((0, -sign), (1, sign)):
        used = torch.stack([item["label"] == number for item in prepared]).any(0)
        wanted = torch.where(used, (before[number] + 0.25 * direction).clamp(-1, 1), before[number])
        torch.testing.assert_close(protector.state()["tiles"][number], wanted, rtol=0, atol=1e-6)
