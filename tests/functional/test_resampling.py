"""A part of a resampled image is that of the whole, bit by bit."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.functional.resampling import resize, resize_within

side = st.integers(3, 300)


@settings(max_examples=200, deadline=None)
@given(st.tuples(side, side), st.tuples(side, side), st.data())
def test_a_box_is_that_of_the_whole(before: tuple[int, int], size: tuple[int, int], data: st.DataObject) -> None:
    image = torch.rand((1, 2, *before), generator=torch.Generator().manual_seed(0))
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, length)] * 2))) for length in size]
    box = [slice(*pair) for pair in ends]
    assert torch.equal(resize_within(image, size, box), resize(image, size)[(slice(None), slice(None), *box)])
