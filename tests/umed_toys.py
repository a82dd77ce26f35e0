"""Small UMed protectors, images and labels."""

from __future__ import annotations

from typing import Any

import torch

from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed

# Differences of two float32 numbers in [0, 1]: half an ulp of the protected value plus half an ulp of the difference.
ROUNDING = 2.0**-24


def make_protector(
    spatial_dims: int = 2,
    in_channels: int = 1,
    seed: int = 0,
    working: int = 16,
    output: str = "tanh",
    **arguments: Any,
) -> UMed:
    torch.manual_seed(seed)
    network = UMedPerturbator(spatial_dims, in_channels, features=(4, 6), patch=2, output=output).eval()
    network.requires_grad_(False)
    return UMed(network, **{"working_size": (working,) * spatial_dims, **arguments})


def make_image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def disk(*size: int) -> torch.Tensor:
    """A centered ball of class 1 that covers about half of each axis, shape ``(1, *size)``."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, length) for length in size], indexing="ij")
    return (sum(axis**2 for axis in axes) < 0.3).to(torch.uint8)[None]  # type: ignore[union-attr]
