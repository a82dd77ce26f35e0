"""The base of all protectors, which guarantees that no pixel changes by more than its bound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, cast, final

import torch

from ..data.slices import foreground_slices, slice_id
from ..functional.bounded_addition import add_bounded
from ..functional.box import nonzero_box
from ..functional.eps import check_eps
from .arguments import constructor_arguments
from .perturbation import Part, Perturbation, check_case, no_perturbation, round_down, warn_if_unchanged

SLICES_AT_ONCE = 16
"""Slices of a volume that a method gets together."""


class Needs(str, Enum):
    """What a method needs before its first image."""

    nothing = "nothing"
    surrogate = "surrogate"
    """A network is trained on the dataset, then each image is perturbed on its own."""
    fit = "fit"
    """Noise or generators are optimized over the training set."""


class Protector(ABC):
    """A method that turns an image and its label into a bounded perturbation.

    A subclass contributes :meth:`bounds` and :meth:`noise`, and cannot exceed the bounds, because :meth:`__call__` is
    final. :meth:`state` and :meth:`load_state` exchange what is fitted with checkpoints. The arguments and errors
    below, and the documentation of overridden methods, hold for all subclasses.

    Attributes:
        needs: what must happen before the first image.
        protects_new_images: whether images that were not part of the fit can be protected without another one.
        paper: short citation with arXiv id or venue.
        changes_nothing: whether it is a control that leaves every image unchanged.
        needs_color: whether gray images cannot be protected as color images, or the other way round.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the images.
        eps: largest change of any pixel, as a fraction of the [0, 1] intensity window.
        slice_axis: axis (0, 1 or 2) along which a 2D method protects volumes slice by slice; None refuses volumes.

    Raises:
        ValueError: If an argument is out of range.
    """

    needs: ClassVar[Needs]
    protects_new_images: ClassVar[bool]
    paper: ClassVar[str]
    changes_nothing: ClassVar[bool] = False
    needs_color: ClassVar[bool] = False

    def __init__(self, spatial_dims: int, in_channels: int, eps: float, slice_axis: int | None = None) -> None:
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims}; it must be 2 or 3.")
        if slice_axis is not None and (spatial_dims != 2 or slice_axis not in (0, 1, 2)):
            limit = "it must be 0, 1 or 2 with spatial_dims 2, or None"
            raise ValueError(f"slice_axis is {slice_axis} with spatial_dims {spatial_dims}; {limit}.")
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.eps = check_eps(eps)
        self.slice_axis = slice_axis

    @property
    def grid(self) -> tuple[int, ...] | None:
        """Working grid that images are resampled to, one number per axis; None for methods that use native pixels."""
        return None

    @abstractmethod
    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        """Return limits per pixel and region, ``(regions, *spatial)`` in [0, 1] units; regions do not overlap."""

    def region(self, label: torch.Tensor, spacing: Sequence[float] | None = None) -> tuple[slice, ...]:
        """Return a box, one slice per spatial axis, outside of which every bound is zero and nothing is processed."""
        return (slice(None),) * (label.ndim - 1)

    @abstractmethod
    def noise(
        self, image: torch.Tensor, label: torch.Tensor, bounds: torch.Tensor, case_id: str | None
    ) -> torch.Tensor:
        """Return the perturbation before it is clipped, ``(C, *spatial)`` in [0, 1] units.

        Args:
            image: intensities in [0, 1], shape ``(C, *spatial)``.
            label: class numbers, shape ``(1, *spatial)``.
            bounds: result of :meth:`native_bounds`.
            case_id: id of the case in the dataset, ``"<id>:<index>"`` for the slice of a volume.
        """

    def noises(self, parts: Sequence[Part]) -> list[torch.Tensor]:
        """Return the :meth:`noise` of several slices; methods that are faster with many at once override it."""
        return [self.noise(*part[:4]) for part in parts]

    def fit(self, items: Sequence[dict], progress: bool = True) -> None:
        """Do what the method :attr:`needs`; methods that need nothing do nothing.

        Args:
            items: cases on the working grid with ``image``, ``label``, ``id`` and ``bounds``, see
                :attr:`monai_umed.data.training_set.TrainingSet.items`.
            progress: whether to show a progress bar.
        """
        if self.needs is not Needs.nothing:
            raise NotImplementedError(f"{type(self).__name__} needs a {self.needs.value} and does not implement fit().")

    def state(self) -> dict[str, Any]:
        """Return the results of a fit, tensors and plain values by name; empty before it."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load the :meth:`state` of a protector with the same settings.

        Raises:
            ValueError: If it is the state of another method.
        """
        if state:
            raise ValueError(f"{type(self).__name__} is not fitted, so it has no use for {', '.join(state)}.")

    @property
    def fitted(self) -> bool:
        """Whether images can be protected."""
        return self.needs is Needs.nothing or bool(self.state())

    @classmethod
    def argument_names(cls) -> list[str]:
        """Return the names of the constructor's arguments, see `constructor_arguments`."""
        return constructor_arguments(cls)

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values, from the attributes of the same names."""
        return {name: getattr(self, name) for name in self.argument_names()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Protector:
        """Build a protector, not fitted yet, from the result of :meth:`settings`."""
        return cls(**settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings().items())})"

    @final
    def native_bounds(
        self,
        image: torch.Tensor,
        label: torch.Tensor,
        spacing: Sequence[float] | None = None,
        levels: float | None = None,
    ) -> torch.Tensor:
        """Check an image and return its :meth:`bounds`, rounded down to whole gray levels of its file.

        Args:
            image: intensities in [0, 1], shape ``(C, *spatial)``.
            label: class numbers, 0 is background, shape ``(1, *spatial)``.
            spacing: size of a pixel along each axis in mm, for bands measured in mm.
            levels: stored gray levels per unit of the window (255 for 8-bit files); None for real numbers.

        Raises:
            ValueError: If shapes, channels or values do not fit the protector.
        """
        self._check(image, label)
        return round_down(self.bounds(image, label, spacing), levels)

    @final
    @torch.no_grad()
    def __call__(
        self,
        image: torch.Tensor,
        label: torch.Tensor,
        spacing: Sequence[float] | None = None,
        levels: float | None = None,
        case_id: str | None = None,
    ) -> Perturbation:
        """Perturb one image at its own size.

        With a ``slice_axis``, each slice of a volume that has foreground is perturbed as a separate image. Issues a
        :class:`NothingChangedWarning` if nothing changed although something could have.

        Args:
            image, label, spacing, levels: see :meth:`native_bounds`.
            case_id: id of the case, for methods whose noise differs between cases.

        Raises:
            ValueError: If the method is not fitted, or not for this case, or for the reasons of :meth:`native_bounds`.
        """
        volume = self.slice_axis is not None and image.ndim == 4
        self._check(image, label, volume)
        if not self.fitted:
            raise ValueError(
                f"{type(self).__name__} needs a {self.needs.value} first; call fit() with the training set, or load a "
                "fitted one with monai_umed.protectors.checkpoint.load_protector."
            )
        found = no_perturbation(image)
        if volume:
            possible = self._perturb_slices(image, label, spacing=spacing, levels=levels, case_id=case_id, into=found)
        else:
            possible = self._perturb([(image, label, *found)], [case_id], spacing, levels)
        if possible:
            warn_if_unchanged(type(self).__name__, self.eps, **found._asdict(), levels=levels)
        return found

    def _perturb_slices(
        self,
        image: torch.Tensor,
        label: torch.Tensor,
        *,
        spacing: Sequence[float] | None,
        levels: float | None,
        case_id: str | None,
        into: Perturbation,
    ) -> bool:
        axis = cast(int, self.slice_axis)
        apart = None if spacing is None else [*spacing[:axis], *spacing[axis + 1 :]]
        indices, possible = foreground_slices(label, axis), False
        for first in range(0, len(indices), SLICES_AT_ONCE):
            group = indices[first : first + SLICES_AT_ONCE]
            views = [[whole.select(axis + 1, index) for whole in (image, label, *into)] for index in group]
            names = [None if case_id is None else slice_id(case_id, index) for index in group]
            possible |= self._perturb(views, names, apart, levels)
        return possible

    def _perturb(
        self,
        views: Sequence[Sequence[torch.Tensor]],
        case_ids: Sequence[str | None],
        spacing: Sequence[float] | None,
        levels: float | None,
    ) -> bool:
        """Write delta and bound of images in place, and return whether anything could change in real numbers."""
        boxes = [(slice(None), *self.region(label, spacing)) for _, label, *_ in views]
        parts, possible = [], False
        for (image, label, *_), box, case_id in zip(views, boxes, case_ids, strict=True):
            bounds = self.bounds(image[box], label[box], spacing)
            part = Part(image[box], label[box], bounds, case_id, nonzero_box(bounds, bounds.ndim - 1))
            possible |= bounds[(slice(None), *part.box)].numel() > 0
            round_down(bounds[(slice(None), *part.box)], levels)
            parts.append(part)
        for (_, _, delta, bound), box, part, noise in zip(views, boxes, parts, self.noises(parts), strict=True):
            inner = (slice(None), *part.box)  # elsewhere nothing changes
            bound[box][inner] = limit = part.bounds[inner].sum(dim=0, keepdim=True)
            delta[box][inner] = add_bounded(part.image[inner], noise[inner], limit).sub_(part.image[inner])
        return possible

    def _check(self, image: torch.Tensor, label: torch.Tensor, volume: bool = False) -> None:
        check_case(image, label, None if volume else self.spatial_dims, self.in_channels)
