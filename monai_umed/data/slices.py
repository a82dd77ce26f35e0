"""Which slices of a volume are protected one by one, and by which names they and their windows go."""

from __future__ import annotations

import torch


def foreground_slices(label: torch.Tensor, axis: int) -> list[int]:
    """Indices of the slices with foreground.

    Args:
        label: class of every voxel, shape ``(1, *spatial)``.
        axis: spatial axis across which slices lie, 0, 1 or 2.
    """
    others = tuple(other for other in range(label.ndim) if other != axis + 1)
    return torch.nonzero((label > 0).sum(dim=others)).flatten().tolist()


def slice_id(case_id: str, index: int) -> str:
    """Name of a slice, for methods whose noise differs from case to case."""
    return f"{case_id}:{index}"


def window_id(case_id: str, index: int, count: int) -> str:
    """Name of one of an image's windows; that of the image if there is but one."""
    return case_id if count == 1 else f"{case_id}#{index}"
