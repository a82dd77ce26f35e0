"""Convert labels that pipelines have read to class numbers."""

from __future__ import annotations

import torch

from ..data.labels import ROUNDING
from ..data.loading import BINARY_FOREGROUNDS


def as_class_numbers(label: torch.Tensor, *, num_classes: int = 2) -> torch.Tensor:
    """Convert a label of any shape to class numbers, by the rules for files.

    Values that all are within a thousandth of whole numbers are rounded. If 255 or 65535 is the only value besides 0
    and not below ``num_classes``, which includes the background, it becomes 1. Any other label is returned unchanged.
    """
    if label.is_floating_point():
        whole = label.round()
        label = whole if bool(((label - whole).abs() <= ROUNDING).all()) else label
    values = label.to(torch.int32) if label.dtype == torch.uint16 else label  # PyTorch has no maximum of uint16
    highest = values.max() if values.numel() else 0
    if (
        highest in BINARY_FOREGROUNDS[1:]
        and highest >= num_classes
        and bool(((values == 0) | (values == highest)).all())
    ):
        return (values == highest).to(torch.uint8)
    return label


def split_void(label: torch.Tensor, ignore_label: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Split a label of any shape into the label with 0 where it is ``ignore_label``, and a mask of these pixels."""
    if ignore_label is None:
        return label, torch.zeros_like(label, dtype=torch.bool)
    void = label.to(torch.float64) == ignore_label  # PyTorch compares no uint16
    return torch.where(void, torch.zeros_like(label), label), void
