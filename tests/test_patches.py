"""Windows cut out of volumes: inside the volume, of the right size, always the same, and around the structure."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.patches import choose_boxes, choose_slices, pad_to


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(*[st.integers(4, 30)] * 3),
    window=st.tuples(*[st.integers(4, 20)] * 3),
    place=st.tuples(*[st.floats(0, 1)] * 3),
    count=st.integers(1, 5),
)
def test_every_box_lies_inside_and_every_second_one_holds_foreground(
    size: tuple[int, ...], window: tuple[int, ...], place: tuple[float, ...], count: int
) -> None:
    label = torch.zeros(1, *size)
    label[(0, *(int(where * (side - 1)) for where, side in zip(place, size, strict=True)))] = 1
    boxes = choose_boxes(label, window, count, "a")
    assert boxes == choose_boxes(label, window, count, "a")
    fits = all(side <= length for side, length in zip(size, window, strict=True))
    assert len(boxes) == (1 if fits else count)
    for number, box in enumerate(boxes):
        for part, side, length in zip(box, size, window, strict=True):
            assert 0 <= part.start < part.stop <= side and part.stop - part.start == min(side, length)
        assert number % 2 == 1 or label[0][box].any()


def test_cases_get_boxes_of_their_own() -> None:
    label = torch.ones(1, 64, 64)
    assert choose_boxes(label, (16, 16), 4, "a") != choose_boxes(label, (16, 16), 4, "b")


def test_padding_surrounds_evenly_with_zeros_and_never_cuts() -> None:
    padded = pad_to(torch.ones(2, 3, 7, 4), (6, 5, 4))
    assert padded.shape == (2, 6, 7, 4)
    assert torch.equal(padded[:, 1:4], torch.ones(2, 3, 7, 4)) and padded.sum() == 2 * 3 * 7 * 4


@pytest.mark.parametrize(("count", "expected"), [(2, [11, 17]), (3, [10, 14, 18]), (100, list(range(8, 20)))])
def test_slices_are_spread_over_the_structure(count: int, expected: list[int]) -> None:
    label = torch.zeros(1, 5, 30, 6)
    label[:, 2, 8:20, 3] = 1
    assert list(choose_slices(label, 1, count)) == expected


def test_slices_of_the_background_are_added_in_the_same_way() -> None:
    label = torch.zeros(1, 5, 30, 6)
    label[:, 2, 8:20, 3] = 1
    assert list(choose_slices(label, 1, 3, background=True)) == [10, 14, 18, 3, 21, 27]
    label[:] = 1
    assert list(choose_slices(label, 1, 2, background=True)) == [7, 22]
