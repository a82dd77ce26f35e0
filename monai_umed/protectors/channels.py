"""Gray images for a protector that was fitted to colors, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..functional.local_binary_pattern import luma
from .base import Protector
from .perturbation import Perturbation

_KINDS = {1, 3}


def in_channels_of(image: torch.Tensor, protector: Protector) -> torch.Tensor:
    """An image with as many channels as a protector knows: colors as gray, gray as color, all others as they are.

    Protectors that need color are shown every image as it is, and refuse those of another number of channels.

    Args:
        image: ``(C, *spatial)`` in [0, 1].
        protector: what is going to see it.
    """
    if protector.needs_color or len(image) == protector.in_channels or {len(image), protector.in_channels} != _KINDS:
        return image
    return luma(image) if protector.in_channels == 1 else image.repeat(3, *[1] * (image.ndim - 1))


def perturb_as_known(
    protector: Protector,
    image: torch.Tensor,
    label: torch.Tensor,
    *,
    spacing: Sequence[float] | None,
    levels: float | None,
    case_id: str | None,
) -> Perturbation:
    """What :meth:`Protector.__call__` gives for the image as :func:`in_channels_of` shows it.

    If it was converted, all channels of the file share one perturbation, that of the first channel: the mean over
    channels would cancel patterns that differ in sign.
    """
    seen = in_channels_of(image, protector)
    delta, bound = protector(seen, label, spacing, levels, case_id)
    return Perturbation(delta if len(seen) == len(image) else delta[:1], bound)
