"""The part of an image that matters."""

from __future__ import annotations

import torch


def nonzero_box(values: torch.Tensor, spatial_dims: int) -> tuple[slice, ...]:
    """The smallest box that holds every value which is not zero.

    Args:
        values: none of them negative, shape ``(..., *spatial)``.
        spatial_dims: how many of the last axes are spatial.

    Returns:
        One slice per spatial axis; empty ones if all values are zero.
    """
    first = values.ndim - spatial_dims
    flat = values.amax(dim=tuple(range(first))) if first else values
    box = []
    for axis in range(spatial_dims):
        others = tuple(other for other in range(spatial_dims) if other != axis)
        found = torch.nonzero(flat.amax(dim=others) if others else flat).flatten()
        box.append(slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0))
    return tuple(box)
