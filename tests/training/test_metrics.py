"""Scores that can be computed by hand, and what counts as predicted."""

from __future__ import annotations

import pytest
import torch

from monai_umed.training.metrics import case_dice, class_map, count_overlap, score


def counts(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)


def test_pooled_scores_weigh_pixels_and_per_image_scores_weigh_images() -> None:
    # Image 1: 2 of 4 predicted and 4 true pixels agree. Image 2: all 10 agree.
    found = score(counts([2], [10]), counts([4], [10]), counts([4], [10]))
    assert found.dice == pytest.approx(2 * 12 / 28)
    assert found.jaccard == pytest.approx(12 / 16)
    assert found.dice_per_image == pytest.approx((0.5 + 1) / 2)
    assert found.jaccard_per_image == pytest.approx((2 / 6 + 1) / 2)
    assert found.cases == 2


def test_convention_empty_prediction_of_an_empty_truth_is_one() -> None:
    found = score(counts([0], [2]), counts([0], [4]), counts([0], [4]))
    assert (found.dice, found.dice_per_image) == (pytest.approx(0.5), pytest.approx(0.75))
    assert found.jaccard_per_image == pytest.approx((1 + 2 / 6) / 2)
    nothing = score(counts([0]), counts([0]), counts([0]))
    assert (nothing.dice, nothing.jaccard, nothing.dice_per_image, nothing.jaccard_per_image) == (1, 1, 1, 1)


def test_convention_any_prediction_on_an_empty_truth_is_zero() -> None:
    found = score(counts([0]), counts([1]), counts([0]))
    assert (found.dice, found.jaccard, found.dice_per_image, found.jaccard_per_image) == (0, 0, 0, 0)


def test_scores_of_several_classes_are_means_over_classes() -> None:
    # Class 1: image 1 half right, image 2 fully. Class 2: missed in image 1, absent from image 2.
    found = score(counts([2, 0], [4, 0]), counts([4, 0], [4, 0]), counts([4, 6], [4, 0]))
    assert found.dice == pytest.approx((2 * 6 / 16 + 0) / 2)
    assert found.jaccard == pytest.approx((6 / 10 + 0) / 2)
    assert found.dice_per_image == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert found.jaccard_per_image == pytest.approx((2 / 6 + 1 + 0 + 1) / 4)


def test_convention_one_logit_above_zero_is_foreground() -> None:
    logits = torch.tensor([[[[1.0, -1.0, 0.0, 3.0]]], [[[-1.0, -1.0, -1.0, -1.0]]]])
    label = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]], [[[0.0, 1.0, 0.0, 0.0]]]])
    assert count_overlap(class_map(logits), label).tolist() == [[[1], [0]], [[2], [0]], [[2], [1]]]


@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 2, 2)])
def test_convention_of_several_logits_the_largest_is_the_class_and_background_does_not_count(
    shape: tuple[int, ...],
) -> None:
    predicted, true = torch.tensor([0, 1, 2, 2]), torch.tensor([0.0, 1.0, 1.0, 2.0])
    logits = torch.nn.functional.one_hot(predicted, 3).T.reshape(1, 3, *shape).float()
    overlap = count_overlap(class_map(logits), true.reshape(1, 1, *shape), 3)
    assert overlap.tolist() == [[[1, 1]], [[1, 2]], [[2, 1]]]


def test_dice_per_image_is_the_mean_of_the_dice_of_every_case() -> None:
    overlap = counts([2, 0], [4, 0]), counts([4, 0], [4, 0]), counts([4, 6], [4, 0])
    dice = case_dice(*overlap)
    assert dice.tolist() == pytest.approx([(0.5 + 0) / 2, (1 + 1) / 2])
    assert dice.mean().item() == pytest.approx(score(*overlap).dice_per_image)
