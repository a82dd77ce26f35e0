"""The box holds all that is not zero, and nothing more."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

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
