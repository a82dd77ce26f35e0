"""The part of an image that a protector looks at."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..data.slices import foreground_slices
from .base import Protector


def looked_at(protector: Protector, label: torch.Tensor, spacing: Sequence[float] | None = None) -> tuple[slice, ...]:
    """Return a box of an image or volume, one slice per spatial axis, outside of which no pixel matters.

    It is the protector's :meth:`~monai_umed.protectors.Protector.region`; of a volume that is protected slice by slice
    it holds those of all slices.

    Args:
        protector: what is going to see it.
        label: class numbers, shape ``(1, *spatial)``.
        spacing: size of a pixel along each axis in mm.
    """
    axis = protector.slice_axis
    if protector.spatial_dims == label.ndim - 1:
        return protector.region(label, spacing)
    if axis is None or not (indices := foreground_slices(label, axis)):
        return (slice(None),) * (label.ndim - 1)
    apart = None if spacing is None else [*spacing[:axis], *spacing[axis + 1 :]]
    regions = [protector.region(label.select(axis + 1, index), apart) for index in indices]
    sides = [side for other, side in enumerate(label.shape[1:]) if other != axis]
    box = []
    for parts, side in zip(zip(*regions, strict=True), sides, strict=True):
        starts, stops, _ = zip(*(part.indices(side) for part in parts), strict=True)
        box.append(slice(min(starts), max(stops)))
    box.insert(axis, slice(indices[0], indices[-1] + 1))
    return tuple(box)
