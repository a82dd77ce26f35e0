"""The promise every protector keeps: no pixel moves further than its bound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, cast, final

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
        slice_axis: axis (0, 1 or 2) along which a method for images takes volumes apart; None refuses volumes.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, spatial_dims: int, in_channels: int, eps: float, slice_axis: int | None = None) -> None:
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims}; it must be 2 or 3.")
        if slice_axis is not None and (spatial_dims != 2 or slice_axis not in (0, 1, 2)):
            raise ValueError(
                f"slice_axis is {slice_axis} with spatial_dims {spatial_dims}; it must be 0, 1 or 2 with spatial_dims "
                "2, or None."
            )
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.eps = check_eps(eps)
        self.slice_axis = slice_axis

    @abstractmethod
    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        """Limits per pixel and region, shape ``(regions, *spatial)`` in [0, 1] units; regions do not overlap."""

    def region(self, label: torch.Tensor, spacing: Sequence[float] | None = None) -> tuple[slice, ...]:
        """A box, one slice per spatial axis, outside of which every bound is zero; by default the whole image.

        What is outside of it is never looked at, which saves most of the time and memory that a large volume takes.
        """
        return (slice(None),) * (label.ndim - 1)

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
        # In place: a volume's bounds are what takes most memory. 1e-3: eps * levels may miss a level by rounding.
        return bounds.mul_(levels).add_(1e-3).floor_().div_(levels)

    @final
    @torch.no_grad()
    def __call__(
        self,
        image: torch.Tensor,
        label: torch.Tensor,
        spacing: Sequence[float] | None = None,
        levels: float | None = None,
    ) -> Perturbation:
        """Perturb one image at its own size; arguments and errors as in :meth:`limits`.

        With a ``slice_axis`` the image may be a volume. Its slices are images of their own, bounds included; those
        without foreground stay as they are.
        """
        volume = self.slice_axis is not None and image.ndim == 4
        self._check(image, label, volume)
        perturbation = Perturbation(torch.zeros_like(image), torch.zeros_like(image[:1]))
        if not volume:
            self._perturb(image, label, spacing, levels, perturbation)
            return perturbation
        axis = cast(int, self.slice_axis)
        apart = None if spacing is None else [*spacing[:axis], *spacing[axis + 1 :]]
        others = tuple(other for other in range(4) if other != axis + 1)
        for index in torch.nonzero((label > 0).sum(dim=others)).flatten().tolist():
            views = [whole.select(axis + 1, index) for whole in (image, label, *perturbation)]
            self._perturb(views[0], views[1], apart, levels, Perturbation(*views[2:]))
        return perturbation

    def _perturb(
        self,
        image: torch.Tensor,
        label: torch.Tensor,
        spacing: Sequence[float] | None,
        levels: float | None,
        into: Perturbation,
    ) -> None:
        box = (slice(None), *self.region(label, spacing))
        part = image[box]
        bounds = self.limits(part, label[box], spacing, levels)
        into.bound[box] = bound = bounds.sum(dim=0, keepdim=True)
        into.delta[box] = add_bounded(part, self.noise(part, bounds), bound).sub_(part)

    def _check(self, image: torch.Tensor, label: torch.Tensor, volume: bool = False) -> None:
        if image.ndim != self.spatial_dims + 1 and not volume:
            slices = ", or give slice_axis to protect it slice by slice" if image.ndim == 4 else ""
            raise ValueError(
                f"This protector works on {self.spatial_dims}D images of shape (C, *spatial), got "
                f"{tuple(image.shape)}; use a checkpoint fitted on {image.ndim - 1}D images{slices}."
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
