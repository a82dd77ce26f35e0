"""Comparisons are those of PyTorch, whatever the type, and wherever NumPy cannot look."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_umed.functional.comparison import above

TYPES = [torch.uint8, torch.bool, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_it_is_what_pytorch_finds(dtype: torch.dtype) -> None:
    values = torch.tensor([[0, 1, 2], [1, 1, 0]], dtype=dtype)
    for limit in (0, 1):
        found = above(values, limit)
        assert found.dtype == torch.bool and torch.equal(found, values > limit)


def test_limits_are_rounded_to_the_type_and_nan_is_above_nothing() -> None:
    threshold = 1.5 / 255
    values = torch.tensor([threshold, threshold + 1e-8, float("nan"), 1.0])
    assert torch.equal(above(values, threshold), values > threshold)


def test_views_subclasses_and_tensors_with_gradients_are_compared_too() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    for tensor in (values.T, values.T.clone().requires_grad_(), MetaTensor(values.T)):
        assert torch.equal(torch.as_tensor(above(tensor, 2)), values.T > 2)
    assert above(torch.zeros(0), 0).shape == (0,)
