"""The part of an image that matters; without torch, so that files are compared without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def nonzero_box(values: np.ndarray | torch.Tensor, spatial_dims: int) -> tuple[slice, ...]:
    """The smallest box that holds every value which is not zero.

    Args:
        values: shape ``(..., *spatial)``.
        spatial_dims: how many of the last axes are spatial.

    Returns:
        One slice per spatial axis; empty ones that begin at 0 if all values are zero.
    """
    # NumPy is several times faster than PyTorch along single axes.
    array = values if isinstance(values, np.ndarray) else values.cpu().numpy()
    found, box = array if array.dtype == bool else array != 0, []
    while found.ndim > spatial_dims:
        found = found[0] if len(found) == 1 else np.asarray(found.any(axis=0))
    for axis in range(spatial_dims):
        hit = np.asarray(found.any(axis=tuple(other for other in range(found.ndim) if other != axis)))
        box.append(slice(int(hit.argmax()), len(hit) - int(hit[::-1].argmax())) if hit.any() else slice(0, 0))
    return tuple(box)


def grown(box: Sequence[slice], margins: Sequence[int]) -> tuple[slice, ...]:
    """A box with a margin on both sides of each axis; beyond the end of an image it is cut off where it is used."""
    pairs = zip(box, margins, strict=True)
    return tuple(slice(max(0, part.start - margin), part.stop + margin) for part, margin in pairs)
