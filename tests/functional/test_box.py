"""The box holds all that is not zero, and nothing more."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_umed.functional import box as module
from monai_umed.functional.box import nonzero_box


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["bool", "uint8", "float32"]),
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
        elements={"min_value": 0, "max_value": 1},
        fill=st.just(0),
    ),
    st.integers(1, 3),
)
def test_the_box_is_the_smallest_that_holds_everything(values: np.ndarray, spatial_dims: int) -> None:
    dims = min(spatial_dims, values.ndim)
    box = nonzero_box(torch.from_numpy(values), dims)
    found = np.argwhere(values)[:, values.ndim - dims :]
    ends = [(0, 0)] * dims if not len(found) else list(zip(found.min(axis=0), found.max(axis=0) + 1, strict=True))
    assert [(part.start, part.stop) for part in box] == ends


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays("uint8", hnp.array_shapes(min_dims=3, max_dims=4, max_side=6), elements=st.integers(0, 3)),
    st.integers(0, 2**32 - 1),
    st.integers(1, 8),
)
def test_pieces_of_a_large_array_make_the_same_box_as_the_whole(values: np.ndarray, seed: int, piece: int) -> None:
    other = np.where(np.random.default_rng(seed).random(values.shape) < 0.05, np.uint8(9), values)
    whole = nonzero_box(values != other, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        assert nonzero_box(values, 2, other=other) == whole
