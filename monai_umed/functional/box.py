"""The part of an image that matters; without torch, so that files are compared without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


_PIECE = 2**22  # values that are looked at together: copies of a large volume would fill the memory


def nonzero_box(
    values: np.ndarray | torch.Tensor, spatial_dims: int, *, other: np.ndarray | None = None
) -> tuple[slice, ...]:
    """The smallest box that holds every value which is not zero, or not that of another array.

    Args:
        values: shape ``(..., *spatial)``.
        spatial_dims: how many of the last axes are spatial.
        other: of the same shape; None for zeros.

    Returns:
        One slice per spatial axis; empty ones that begin at 0 if there is no such value.
    """
    # NumPy is several times faster than PyTorch along single axes.
    array = values if isinstance(values, np.ndarray) else values.cpu().numpy()
    leading = (slice(None),) * (array.ndim - spatial_dims)
    hits = [np.zeros(side, bool) for side in array.shape[len(leading) :]]
    rows = max(1, _PIECE * len(hits[0]) // max(1, array.size))
    for start in range(0, len(hits[0]), rows):
        piece = (*leading, slice(start, start + rows))
        found = array[piece]
        if other is not None or found.dtype != bool:
            found = found != (0 if other is None else other[piece])
        while found.ndim > spatial_dims:
            found = found[0] if len(found) == 1 else np.asarray(found.any(axis=0))
        inner = np.asarray(found.any(axis=tuple(range(1, spatial_dims))))
        hits[0][start : start + rows] = inner
        found = found[inner.argmax() : len(inner) - inner[::-1].argmax()]  # the other axes need no more than these rows
        for axis, hit in enumerate(hits[1:], start=1):
            hit |= found.any(axis=tuple(others for others in range(spatial_dims) if others != axis))
    ends = ((int(hit.argmax()), len(hit) - int(hit[::-1].argmax())) if hit.any() else (0, 0) for hit in hits)
    return tuple(slice(*pair) for pair in ends)


def grown(box: Sequence[slice], margins: Sequence[int]) -> tuple[slice, ...]:
    """A box with a margin on both sides of each axis; beyond the end of an image it is cut off where it is used."""
    pairs = zip(box, margins, strict=True)
    return tuple(slice(max(0, part.start - margin), part.stop + margin) for part, margin in pairs)
