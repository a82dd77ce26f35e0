"""Resample images as MONAI's pipelines do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def resize(image: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resample ``(B, C, *spatial)`` by area if no axis grows, the default of MONAI's ``Resize``, else linearly."""
    before, size = tuple(image.shape[2:]), tuple(size)
    if before == size:
        return image
    if all(new <= old for new, old in zip(size, before, strict=True)):
        return F.interpolate(image, size=size, mode="area")
    return F.interpolate(image, size=size, mode="bilinear" if len(size) == 2 else "trilinear", align_corners=False)
