"""The held-out part: near-duplicates on one side, every class in it, always the same."""

from __future__ import annotations

import pytest
import torch

from monai_umed.data.case import DatasetError
from monai_umed.evaluation.advice.fold import group, hold_out


def make_items(count: int, copies: int = 1, classes: int = 2) -> list[dict]:
    """Noise that nobody takes for other noise, each image so many times and nearly so."""
    items = []
    for index in range(count):
        image = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(index))
        label = torch.zeros(1, 64, 64)
        label[:, :8] = 1 + index % (classes - 1)
        items += [
            {"id": f"{index:03}-{copy}", "image": (0.9 * image + 0.01 * copy).clamp(0, 1), "label": label}
            for copy in range(copies)
        ]
    return items


def test_near_duplicates_are_one_group() -> None:
    items = make_items(5, copies=3)
    assert group(torch.stack([item["image"] for item in items])) == [0] * 3 + [3] * 3 + [6] * 3 + [9] * 3 + [12] * 3


def test_a_fifth_is_held_out_and_no_near_duplicate_is_on_both_sides() -> None:
    items = make_items(80, copies=3)
    held_out = hold_out(items, num_classes=2)
    assert 48 <= len(held_out) <= 50
    images = {id.split("-")[0] for id in held_out}
    assert sum(item["id"].split("-")[0] in images for item in items) == len(held_out)
    assert hold_out(items, num_classes=2) == held_out != hold_out(items, num_classes=2, seed=1)


def test_small_datasets_hold_more_out() -> None:
    assert len(hold_out(make_items(40), num_classes=2)) == 20
    assert len(hold_out(make_items(100), num_classes=2)) == 30


def test_a_class_that_is_missing_is_named() -> None:
    with pytest.raises(DatasetError, match="class 3 is in none of the 10 held-out cases; give another seed"):
        hold_out(make_items(20, classes=3), num_classes=4)


def test_nothing_but_copies_is_refused() -> None:
    with pytest.raises(DatasetError, match="its 12 images are nearly the same"):
        hold_out(make_items(1, copies=12), num_classes=2)
