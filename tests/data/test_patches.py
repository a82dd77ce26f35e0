"""Windows cut out of volumes: inside the volume, of the right size, always the same, and around the structure."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.data.patches import choose_boxes, choose_slices, pad_to, tile, untile


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(*[st.integers(4, 30)] * 3),
    roi_size=st.tuples(*[st.integers(4, 20)] * 3),
    place=st.tuples(*[st.floats(0, 1)] * 3),
    count=st.integers(1, 5),
)
def test_every_box_lies_inside_and_every_second_one_holds_foreground(
    size: tuple[int, ...], roi_size: tuple[int, ...], place: tuple[float, ...], count: int
) -> None:
    label = torch.zeros(1, *size)
    label[(0, *(int(where * (side - 1)) for where, side in zip(place, size, strict=True)))] = 1
    boxes = choose_boxes(label, roi_size, count, "a")
    assert boxes == choose_boxes(label, roi_size, count, "a")
    fits = all(side <= length for side, length in zip(size, roi_size, strict=True))
    assert len(boxes) == (1 if fits else count)
    for number, box in enumerate(boxes):
        for part, side, length in zip(box, size, roi_size, strict=True):
            assert 0 <= part.start < part.stop <= side and part.stop - part.start == min(side, length)
        assert number % 2 == 1 or label[0][box].any()


def test_cases_get_boxes_of_their_own() -> None:
    label = torch.ones(1, 64, 64)
    assert choose_boxes(label, (16, 16), 4, "a") != choose_boxes(label, (16, 16), 4, "b")


def test_padding_surrounds_evenly_with_zeros_and_never_cuts() -> None:
    padded = pad_to(torch.ones(2, 3, 7, 4), (6, 5, 4))
    assert padded.shape == (2, 6, 7, 4)
    assert torch.equal(padded[:, 1:4], torch.ones(2, 3, 7, 4)) and padded.sum() == 2 * 3 * 7 * 4


@settings(max_examples=50, deadline=None)
@given(dims=st.integers(2, 3), data=st.data())
def test_windows_side_by_side_hold_everything_and_put_it_together_again(dims: int, data: st.DataObject) -> None:
    spatial, size = (data.draw(st.tuples(*[st.integers(1, 12)] * dims)) for _ in range(2))
    array = torch.rand(2, *spatial)
    windows = tile(array, size)
    count = math.prod(-(-side // length) for side, length in zip(spatial, size, strict=True))
    assert windows.shape == (count, 2, *size)
    assert torch.equal(untile(windows, spatial), array)


def test_a_small_array_is_one_window_with_zeros_around_as_exploiters_see_it() -> None:
    array = torch.rand(1, 7, 4, 9)
    assert torch.equal(tile(array, (8, 8, 16))[0], pad_to(array, (8, 8, 16)))


def test_windows_follow_one_another_row_by_row() -> None:
    array = torch.arange(16.0).reshape(1, 4, 4)
    assert [window.flatten().tolist() for window in tile(array, (2, 4))] == [list(range(8)), list(range(8, 16))]
    assert tile(array, (2, 2))[1].flatten().tolist() == [2, 3, 6, 7]


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
