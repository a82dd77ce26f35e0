"""What a method is given for one image, and what comes of it."""

from __future__ import annotations

from typing import NamedTuple

import torch

# eps * levels may miss a whole number of grey levels by rounding.
LEVEL_TOLERANCE = 1e-3


class Perturbation(NamedTuple):
    """What is added to one image, and the most that may be added: both ``(C or 1, *spatial)``, in [0, 1] units."""

    delta: torch.Tensor
    bound: torch.Tensor


class Part(NamedTuple):
    """An image, or a slice of a volume, as :meth:`Protector.noise` takes it."""

    image: torch.Tensor
    label: torch.Tensor
    bounds: torch.Tensor
    case_id: str | None


def round_down(bounds: torch.Tensor, levels: float | None) -> torch.Tensor:
    """Bounds as whole grey levels of a file, in place.

    Args:
        bounds: limits per pixel in [0, 1] units.
        levels: stored grey levels per unit; None for real numbers, which stay as they are.
    """
    if levels is None:
        return bounds
    # In place: a volume's bounds are what takes most memory.
    return bounds.mul_(levels).add_(LEVEL_TOLERANCE).floor_().div_(levels)
