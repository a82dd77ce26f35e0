"""Mixup and CutMix: image and label mixed alike, shares as the distribution says, boxes of the area asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monai_umed.defenses import Defense
from monai_umed.defenses.mixing import CutMix, Mixup, draw_boxes, draw_fractions

DEFENSES: list[Defense] = [Mixup(probability=1), Mixup(0.2), CutMix(probability=1), CutMix(4.0)]
SHAPES = [(6, 1, 13, 10), (6, 3, 13, 10), (4, 1, 7, 6, 5), (4, 3, 7, 6, 5)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_batch(shape: tuple[int, ...], classes: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    image = (torch.rand(shape, generator=seeded()) * 1.4 - 0.2).clamp(0, 1)
    number = torch.randint(0, classes, (shape[0], *shape[2:]), generator=seeded(1))
    label = number[:, None] if classes == 2 else torch.nn.functional.one_hot(number, classes).movedim(-1, 1)
    return image, label.float()


def unused(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    raise AssertionError("mixing needs no loss")


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("defense", DEFENSES, ids=repr)
def test_shapes_types_and_ranges_are_kept_and_the_same_seed_gives_the_same_bits(
    defense: Defense, shape: tuple[int, ...], classes: int
) -> None:
    image, label = make_batch(shape, classes)
    copies = image.clone(), label.clone()
    mixed = defense.batch(image, label, unused, seeded(3))
    assert torch.equal(image, copies[0]) and torch.equal(label, copies[1])
    for before, after in zip(copies, mixed, strict=True):
        assert after.shape == before.shape and after.dtype == torch.float32
        assert after.min() >= 0 and after.max() <= 1
        assert not torch.equal(after, before)
    if classes > 2:  # w and 1 - w are rounded once each
        torch.testing.assert_close(mixed[1].sum(1), torch.ones_like(mixed[1][:, 0]), rtol=0, atol=2.0**-23)
    again, other = (defense.batch(image, label, unused, seeded(seed)) for seed in (3, 4))
    assert torch.equal(mixed[0], again[0]) and torch.equal(mixed[1], again[1])
    assert not torch.equal(mixed[0], other[0])


@pytest.mark.parametrize("kind", [Mixup, CutMix])
def test_probability_0_changes_nothing_and_half_of_the_cases_stay_whole_at_one_half(
    kind: type[Mixup] | type[CutMix],
) -> None:
    image, label = make_batch((400, 1, 6, 6))
    whole = kind(probability=0).batch(image, label, unused, seeded())
    assert torch.equal(whole[0], image) and torch.equal(whole[1], label)
    mixed, _ = kind(probability=0.5).batch(image, label, unused, seeded())
    unchanged = (mixed == image).flatten(1).all(1).float().mean().item()
    # four standard deviations of 400 coins; boxes without a pixel leave a case whole, too
    assert 0.4 < unchanged < (0.6 if kind is Mixup else 0.75)


@pytest.mark.parametrize("shape", [(8, 1, 12, 9), (8, 1, 7, 6, 5)], ids=str)
def test_mixup_gives_every_pixel_of_a_case_the_same_weight_in_image_and_label(shape: tuple[int, ...]) -> None:
    constant = torch.linspace(0, 1, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    image = constant.expand(shape)
    mixed, label = Mixup(probability=1).batch(image, image.clone(), unused, seeded())
    assert torch.equal(mixed, label)
    assert all(len(case.unique()) == 1 for case in mixed)
    assert (mixed.flatten(1)[:, 0] != constant.flatten()).any()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cutmix_takes_image_and_label_of_every_pixel_from_the_same_case_and_place(shape: tuple[int, ...]) -> None:
    place = torch.arange(math.prod(shape[2:])).reshape(1, 1, *shape[2:]) / math.prod(shape[2:])
    case = torch.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)) / 8
    label = case.expand(shape[0], 1, *shape[2:])
    image = ((case + place) / 2).expand(shape)
    mixed, source = CutMix(probability=1).batch(image, label, unused, seeded())
    assert torch.equal(mixed, ((source + place) / 2).expand(shape))
    assert all(len(values.unique()) <= 2 for values in source)
    assert any(len(values.unique()) == 2 for values in source)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=3),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
def test_boxes_lie_within_the_image_and_cover_the_share_up_to_half_a_pixel_per_side(
    size: list[int], fractions: list[float], seed: int
) -> None:
    boxes = draw_boxes(torch.tensor(fractions, dtype=torch.float64), size, seeded(seed))
    assert boxes.shape == (len(fractions), 1, *size) and boxes.dtype == torch.bool
    for box, fraction in zip(boxes[:, 0], fractions, strict=True):
        sides = [(int(axis.max() - axis.min()) + 1 if len(axis) else 0) for axis in box.nonzero(as_tuple=True)]
        assert box.sum() == math.prod(sides)
        for side, length in zip(sides, size, strict=True):
            exact = length * fraction ** (1 / len(size))
            assert abs(side - exact) <= 0.5 + 1e-9 or (side == 0 and min(size) * fraction ** (1 / len(size)) <= 0.5)


def test_boxes_reach_every_pixel() -> None:
    hits = draw_boxes(torch.full((2000,), 0.25, dtype=torch.float64), (6, 6), seeded()).float().mean(0)[0]
    # 4 x 4 places; a corner lies in one of them: 16 / 256 of the draws, with four standard deviations
    assert hits.min() > 1 / 16 - 0.022 and hits.max() > 0.5


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    fractions = draw_fractions(alpha, 3000, seeded()).numpy()
    assert fractions.min() >= 0 and fractions.max() <= 1
    assert stats.kstest(fractions, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_convention_alpha_1_is_the_uniform_draw_itself() -> None:
    uniform = torch.rand(50, generator=seeded(), dtype=torch.float64).numpy()
    np.testing.assert_allclose(draw_fractions(1.0, 50, seeded()).numpy(), uniform, rtol=1e-12)


@pytest.mark.parametrize("kind", [Mixup, CutMix])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.0}, r"alpha is 0.0; it must be positive"),
        ({"alpha": math.inf}, r"alpha is inf"),
        ({"probability": 1.5}, r"probability is 1.5; it must be between 0 and 1"),
        ({"probability": math.nan}, r"probability is nan"),
    ],
)
def test_arguments_out_of_range_are_refused(
    kind: type[Mixup] | type[CutMix], arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
