"""Comparisons are those of PyTorch, whatever the type, and wherever NumPy cannot look."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from monai.data import MetaTensor

from monai_umed.functional.comparison import Relation, compare

TYPES = [torch.uint8, torch.bool, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("relation", get_args(Relation))
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_it_is_what_pytorch_finds(dtype: torch.dtype, relation: Relation) -> None:
    first, second = (torch.tensor(values, dtype=dtype) for values in ([[0, 1, 2], [1, 1, 0]], [[0, 0, 3], [1, 2, 0]]))
    for other in (second, 0, 1):
        found = compare(first, relation, other)
        assert found.dtype == torch.bool and torch.equal(found, getattr(torch, relation)(first, other))


def test_numbers_are_rounded_to_the_type_and_nan_is_no_number() -> None:
    threshold = 1.5 / 255
    values = torch.tensor([threshold, threshold + 1e-8, float("nan")])
    assert torch.equal(compare(values, "greater", threshold), values > threshold)
    assert compare(values, "not_equal", values).tolist() == [False, False, True]


def test_views_subclasses_and_tensors_with_gradients_are_compared_too() -> None:
    values = torch.arange(6.0).reshape(2, 3)
    expected = values.T > 2
    for tensor in (values.T, values.T.clone().requires_grad_(), MetaTensor(values.T)):
        found = compare(tensor, "greater", 2)
        assert torch.equal(torch.as_tensor(found), expected)
    assert compare(torch.zeros(0), "greater", 0).shape == (0,)
