"""Resample images as MONAI's pipelines do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

_SMALL = 128  # rows and columns together, up to which PyTorch's linear interpolation is another one


def resize(image: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resample ``(B, C, *spatial)`` by area if no axis grows, the default of MONAI's ``Resize``, else linearly."""
    before, size = tuple(image.shape[2:]), tuple(size)
    if before == size:
        return image
    if all(new <= old for new, old in zip(size, before, strict=True)):
        return F.interpolate(image, size=size, mode="area")
    return F.interpolate(image, size=size, mode="bilinear" if len(size) == 2 else "trilinear", align_corners=False)


def resize_within(image: torch.Tensor, size: Sequence[int], box: Sequence[slice]) -> torch.Tensor:
    """Return ``resize(image, size)`` within a box, bit by bit; if it grows, rows behind the box are not computed.

    Args:
        image: ``(B, C, *spatial)``.
        size: spatial size of the whole result.
        box: one slice per spatial axis, with its ends.
    """
    before = tuple(image.shape[2:])
    rows = max(box[0].stop, _SMALL - size[1] + 1, 1)  # small results are rounded otherwise
    rows += rows == before[0]  # one of the image's own size would be a copy
    is_linear = len(before) == 2 and any(new > old for new, old in zip(size, before, strict=True))
    if not is_linear or rows >= size[0]:
        return resize(image, size)[(slice(None), slice(None), *box)]
    scales = [1 / float(np.float32(old) / np.float32(new)) for old, new in zip(before, size, strict=True)]
    return torch.ops.aten.upsample_bilinear2d(image, (rows, size[1]), False, *scales)[(slice(None), slice(None), *box)]
