"""The promise every protector keeps: no pixel moves further than its bound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, final

import torch

from ..functional import add_bounded, check_eps


class Perturbation(NamedTuple):
    """What is added to one image, and the most that may be added: both ``(C or 1, *spatial)``, in [0, 1] units."""

    delta: torch.Tensor
    bound: torch.Tensor


class Protector(ABC):
    """A method is a map of bounds and raw noise; everything that must hold for all methods is done here.

    A subclass contributes :meth:`bounds` and :meth:`noise` and cannot break the budget: :meth:`__call__` is final.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the images.
        eps: largest change of any pixel as a share of the [0, 1] intensity window.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, spatial_dims: int, in_channels: int, eps: float) -> None:
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims}; it must be 2 or 3.")
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.eps = check_eps(eps)

    @abstractmethod
    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        """Limits per pixel and region, shape ``(regions, *spatial)`` in [0, 1] units; regions do not overlap."""

    @abstractmethod
    def noise(self, image: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
        """The perturbation before it is clipped, shape ``(C, *spatial)`` in [0, 1] units."""

    @final
    def limits(
        self,
        image: torch.Tensor,
        label: torch.Tensor,
        spacing: Sequence[float] | None = None,
        levels: float | None = None,
    ) -> torch.Tensor:
        """:meth:`bounds` of a checked image, rounded down to what its file can hold.

        Args:
            image: intensities in [0, 1], shape ``(C, *spatial)``.
            label: class of every pixel, 0 is background, shape ``(1, *spatial)``.
            spacing: size of a pixel along each axis in mm, for bands measured in mm.
            levels: stored grey levels per unit of the window (255 for 8-bit files); None for real numbers.

        Raises:
            ValueError: if shapes, channels or values do not fit the protector.
        """
        self._check(image, label)
        bounds = self.bounds(image, label, spacing)
        if levels is None:
            return bounds
        return torch.floor(bounds * levels + 1e-3) / levels  # 1e-3: eps * levels may miss a level by rounding

    @final
    @torch.no_grad()
    def __call__(
        self,
        image: torch.Tensor,
        label: torch.Tensor,
        spacing: Sequence[float] | None = None,
        levels: float | None = None,
    ) -> Perturbation:
        """Perturb one image at its own size; arguments and errors as in :meth:`limits`."""
        bounds = self.limits(image, label, spacing, levels)
        bound = bounds.sum(dim=0, keepdim=True)
        return Perturbation(add_bounded(image, self.noise(image, bounds), bound) - image, bound)

    def _check(self, image: torch.Tensor, label: torch.Tensor) -> None:
        if image.ndim != self.spatial_dims + 1:
            raise ValueError(
                f"This protector works on {self.spatial_dims}D images of shape (C, *spatial), got "
                f"{tuple(image.shape)}; use a checkpoint fitted on {image.ndim - 1}D images."
            )
        if image.shape[0] != self.in_channels:
            raise ValueError(
                f"The image has {image.shape[0]} channel(s), the protector was fitted on {self.in_channels}; "
                "use a checkpoint fitted on such images."
            )
        if label.shape != (1, *image.shape[1:]):
            raise ValueError(
                f"The label's shape is {tuple(label.shape)}, the image needs {(1, *image.shape[1:])}; "
                "pass one channel of class numbers on the image's grid."
            )
        if not torch.isfinite(image).all():
            raise ValueError("The image holds NaN or infinite values; remove or repair it.")
        if image.min() < -1e-4 or image.max() > 1 + 1e-4:
            raise ValueError(
                f"Intensities range from {image.min():.4g} to {image.max():.4g}, not over [0, 1]; scale the image "
                "first, for example with ScaleIntensityRanged(b_min=0, b_max=1, clip=True)."
            )
