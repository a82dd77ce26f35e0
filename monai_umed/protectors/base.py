"""The promise every protector keeps: no pixel moves further than its bound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, cast, final

import torch

from ..data.slices import foreground_slices, slice_id
from ..functional import add_bounded, check_eps
from .arguments import constructor_arguments
from .perturbation import Part, Perturbation, check_case, round_down, warn_if_unchanged

SLICES_AT_ONCE = 16
"""Slices of a volume that are handed to a method together."""


class Needs(str, Enum):
    """What a method needs before its first image."""

    nothing = "nothing"
    surrogate = "surrogate"
    """A network is trained on the dataset, then each image is perturbed on its own."""
    fit = "fit"
    """Noise or generators are optimized over the training set."""


class Protector(ABC):
    """A method is a map of bounds and raw noise; everything that must hold for all methods is done here.

    A subclass contributes :meth:`bounds` and :meth:`noise` and cannot break the budget: :meth:`__call__` is final. What
    is fitted it hands out and takes back by :meth:`state` and :meth:`load_state`, which makes it fit for checkpoints.

    Attributes:
        needs: what must happen before the first image.
        protects_new_images: whether images that were not there at the fit can be protected without another one.
        paper: short citation with arXiv id or venue.
        changes_nothing: whether it is a control that leaves every image as it is.
        needs_color: whether a gray image shown as color, or the other way round, would not be protected.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the images.
        eps: largest change of any pixel as a share of the [0, 1] intensity window.
        slice_axis: axis (0, 1 or 2) along which a method for images takes volumes apart; None refuses volumes.

    Raises:
        ValueError: if an argument is out of range. What is said here of arguments and errors holds for all subclasses
            and is not said again.
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
            raise ValueError(
                f"slice_axis is {slice_axis} with spatial_dims {spatial_dims}; it must be 0, 1 or 2 with spatial_dims "
                "2, or None."
            )
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.eps = check_eps(eps)
        self.slice_axis = slice_axis

    @property
    def grid(self) -> tuple[int, ...] | None:
        """Working grid that images are resampled to, one number per axis; None for methods that see native pixels."""
        return None

    @abstractmethod
    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        """Limits per pixel and region, shape ``(regions, *spatial)`` in [0, 1] units; regions do not overlap."""

    def region(self, label: torch.Tensor, spacing: Sequence[float] | None = None) -> tuple[slice, ...]:
        """A box, one slice per spatial axis, outside of which every bound is zero; by default the whole image.

        What is outside of it is never looked at, which saves most of the time and memory that a large volume takes.
        """
        return (slice(None),) * (label.ndim - 1)

    @abstractmethod
    def noise(
        self, image: torch.Tensor, label: torch.Tensor, bounds: torch.Tensor, case_id: str | None
    ) -> torch.Tensor:
        """The perturbation before it is clipped, shape ``(C, *spatial)`` in [0, 1] units.

        Args:
            image: intensities in [0, 1], shape ``(C, *spatial)``.
            label: class of every pixel, shape ``(1, *spatial)``.
            bounds: see :meth:`limits`, already rounded down to what the file can hold.
            case_id: which case of the dataset it is; of a volume's slice ``"<id>:<index>"``.
        """

    def noises(self, parts: Sequence[Part]) -> list[torch.Tensor]:
        """:meth:`noise` of several slices; methods that are faster with many at once override it."""
        return [self.noise(*part) for part in parts]

    def fit(self, items: Sequence[dict], progress: bool = True) -> None:
        """Prepare for :attr:`needs`, with a progress bar if wanted; methods that need nothing do nothing.

        Args:
            items: cases on the working grid with ``image``, ``label``, ``id`` and ``bounds``, see
                :attr:`monai_umed.data.training_set.TrainingSet.items`.
        """
        if self.needs is not Needs.nothing:
            raise NotImplementedError(f"{type(self).__name__} needs a {self.needs.value} and does not say how.")

    def state(self) -> dict[str, Any]:
        """What a fit has found: tensors and plain values by name; empty before it."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` of a protector with the same settings gave.

        Raises:
            ValueError: if it is the state of another method.
        """
        if state:
            raise ValueError(f"{type(self).__name__} is not fitted, so it has no use for {', '.join(state)}.")

    @property
    def fitted(self) -> bool:
        """Whether images can be protected now."""
        return self.needs is Needs.nothing or bool(self.state())

    @classmethod
    def argument_names(cls) -> list[str]:
        """The constructor's arguments; those that a class passes on as ``**keywords`` are found at its parents."""
        return constructor_arguments(cls)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments as plain values; each is looked up as the attribute of the same name."""
        return {name: getattr(self, name) for name in self.argument_names()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Protector:
        """A protector, not fitted yet, with what :meth:`settings` gave."""
        return cls(**settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings().items())})"

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

        With a ``slice_axis`` the image may be a volume. Its slices are images of their own, bounds included; those
        without foreground stay as they are. Warns with :class:`NothingChangedWarning` if nothing changed although
        something could have been changed.

        Args:
            image, label, spacing, levels: see :meth:`limits`.
            case_id: which case it is, for methods whose noise differs from case to case.

        Raises:
            ValueError: as :meth:`limits`, or if the method is not fitted yet, or not for this case.
        """
        volume = self.slice_axis is not None and image.ndim == 4
        self._check(image, label, volume)
        if not self.fitted:
            raise ValueError(
                f"{type(self).__name__} needs a {self.needs.value} first; call fit() with the training set, or load a "
                "fitted one with monai_umed.protectors.checkpoint.load_protector."
            )
        perturbation = Perturbation(torch.zeros_like(image), torch.zeros_like(image[:1]))
        if volume:
            possible = self._perturb_slices(image, label, spacing, levels, case_id, perturbation)
        else:
            possible = self._perturb([(image, label, *perturbation)], [case_id], spacing, levels)
        if possible:
            warn_if_unchanged(type(self).__name__, self.eps, *perturbation, levels)
        return perturbation

    def _perturb_slices(
        self,
        image: torch.Tensor,
        label: torch.Tensor,
        spacing: Sequence[float] | None,
        levels: float | None,
        case_id: str | None,
        into: Perturbation,
    ) -> bool:
        axis = cast(int, self.slice_axis)
        apart = None if spacing is None else [*spacing[:axis], *spacing[axis + 1 :]]
        indices = foreground_slices(label, axis)
        possible = False
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
        """Perturb images given with their label, delta and bound; the last two are written in place.

        Returns:
            Whether anything could change if files held real numbers.
        """
        boxes = [(slice(None), *self.region(label, spacing)) for _, label, *_ in views]
        parts, possible = [], False
        for (image, label, *_), box, case_id in zip(views, boxes, case_ids, strict=True):
            self._check(image[box], label[box])
            bounds = self.bounds(image[box], label[box], spacing)
            possible |= bool(bounds.any())
            parts.append(Part(image[box], label[box], round_down(bounds, levels), case_id))
        for (_, _, delta, bound), box, part, noise in zip(views, boxes, parts, self.noises(parts), strict=True):
            bound[box] = limit = part.bounds.sum(dim=0, keepdim=True)
            delta[box] = add_bounded(part.image, noise, limit).sub_(part.image)
        return possible

    def _check(self, image: torch.Tensor, label: torch.Tensor, volume: bool = False) -> None:
        check_case(image, label, None if volume else self.spatial_dims, self.in_channels)
