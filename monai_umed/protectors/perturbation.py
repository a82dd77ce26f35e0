"""The input and the result of a protector for one image, and their checks."""

from __future__ import annotations

import warnings
from math import isfinite
from typing import NamedTuple

import numpy as np
import torch

from ..io.quantize import LEVEL_TOLERANCE


class Perturbation(NamedTuple):
    """What is added to an image, and the most that may be added, both ``(C or 1, *spatial)`` in [0, 1] units."""

    delta: torch.Tensor
    bound: torch.Tensor

    def of_channel(self, index: int) -> Perturbation:
        """Return the perturbation of one channel: its own, or the one that all channels share."""
        parts = (values[min(index, len(values) - 1)][None] for values in self)
        return Perturbation(*parts)

    def kept_from(self, outside: np.ndarray | None) -> Perturbation:
        """Return the perturbation with zeros where ``outside``, boolean ``(1, *spatial)`` or None, is True."""
        if outside is None:
            return self
        inside = torch.from_numpy(~outside).to(self.bound.device)
        return Perturbation(self.delta * inside, self.bound * inside)


def no_perturbation(image: torch.Tensor) -> Perturbation:
    """Return zeros for an image ``(C, *spatial)``; in main memory, only what is written takes some."""
    if type(image) is torch.Tensor and image.device.type == "cpu" and image.dtype == torch.float32:
        return Perturbation(*(torch.from_numpy(np.zeros(part.shape, np.float32)) for part in (image, image[:1])))
    return Perturbation(torch.zeros_like(image), torch.zeros_like(image[:1]))


class Part(NamedTuple):
    """The arguments of :meth:`Protector.noise` for an image or a slice of a volume, and the box in which it is used."""

    image: torch.Tensor
    label: torch.Tensor
    bounds: torch.Tensor
    case_id: str | None
    box: tuple[slice, ...]


def round_down(bounds: torch.Tensor, levels: float | None) -> torch.Tensor:
    """Round bounds down to whole gray levels of a file, in place.

    Args:
        bounds: limits per pixel in [0, 1] units.
        levels: stored gray levels per unit; None for real numbers, which are not rounded.
    """
    if levels is None:
        return bounds
    # In place, because a volume's bounds take most of the memory.
    return bounds.mul_(levels).add_(LEVEL_TOLERANCE).floor_().div_(levels)


class NothingChangedWarning(UserWarning):
    """An image was not changed although something could have been."""


def check_case(image: torch.Tensor, label: torch.Tensor, spatial_dims: int | None, in_channels: int) -> None:
    """Refuse an image and a label that do not fit a protector or each other.

    Args:
        image: intensities in [0, 1], shape ``(C, *spatial)``.
        label: class numbers, shape ``(1, *spatial)``.
        spatial_dims: number of axes that the protector supports; None for any.
        in_channels: number of channels that it supports.

    Raises:
        ValueError: If shapes, channels or values do not fit.
    """
    if spatial_dims is not None and image.ndim != spatial_dims + 1:
        slices = ", or give slice_axis to protect it slice by slice" if image.ndim == 4 else ""
        raise ValueError(
            f"This protector works on {spatial_dims}D images of shape (C, *spatial), got "
            f"{tuple(image.shape)}; use a checkpoint fitted on {image.ndim - 1}D images{slices}."
        )
    if image.shape[0] != in_channels:
        raise ValueError(
            f"The image has {image.shape[0]} channel(s), the protector was fitted on {in_channels}; "
            "use a checkpoint fitted on such images."
        )
    if label.shape != (1, *image.shape[1:]):
        raise ValueError(
            f"The label's shape is {tuple(label.shape)}, the image needs {(1, *image.shape[1:])}; "
            "pass one channel of class numbers on the image's grid."
        )
    low, high = (float(value) for value in torch.aminmax(image))  # one NaN makes both NaN
    if not (isfinite(low) and isfinite(high)):
        raise ValueError("The image has NaN or infinite values; remove or repair it.")
    if low < -1e-4 or high > 1 + 1e-4:
        raise ValueError(
            f"Intensities range from {low:.4g} to {high:.4g}, not over [0, 1]; scale the image "
            "first, for example with ScaleIntensityRanged(b_min=0, b_max=1, clip=True)."
        )


def warn_if_unchanged(
    method: str, eps: float, *, delta: torch.Tensor, bound: torch.Tensor, levels: float | None
) -> None:
    """Issue a :class:`NothingChangedWarning` if a perturbation does not change its file.

    Args:
        method, eps: name and eps of the protector.
        delta, bound: perturbation and its limit in [0, 1] units.
        levels: see :func:`round_down`.
    """
    largest = max(abs(float(value)) for value in torch.aminmax(delta))
    if largest > (0 if levels is None else 0.5 / levels):
        return
    if levels is not None and not bound.any():
        reason = f"every bound is below one gray level of its file, {1 / levels:.4g}; raise eps, now {eps:.4g}"
    else:
        reason = f"the noise is at most {largest:.4g}, too little for this file; raise eps or check the method"
    # Name the caller of the protector, above torch.no_grad's wrapper and the protector itself.
    warnings.warn(f"{method} changed nothing: {reason}.", NothingChangedWarning, stacklevel=4)
