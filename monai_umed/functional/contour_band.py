"""The contour band of a label map: the pixels within a few pixels of a boundary between two classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .box import grown, nonzero_box
from .comparison import above

SIDES = ("both", "inner", "outer")


def half_widths(
    radius: float, spatial_dims: int, unit: str = "pixel", spacing: Sequence[float] | None = None
) -> tuple[int, ...]:
    """Convert the radius of a band into a half-width in pixels for every spatial axis.

    Args:
        radius: distance from the boundary that the band covers, in ``unit``; positive, and a whole number of pixels.
        spatial_dims: number of spatial axes, 2 or 3.
        unit: ``"pixel"`` or ``"mm"``.
        spacing: size of a pixel along each axis in mm, required for ``unit="mm"``.

    Returns:
        One half-width per axis. In mm, an axis whose spacing is more than twice the radius gets 0: a band of 2 mm
        does not reach into a neighboring slice 5 mm away.

    Raises:
        ValueError: If the radius is not positive or not whole in pixels, if the unit is unknown, if the spacing is
            missing or has another length, or if the band would be empty along every axis.
    """
    if unit not in ("pixel", "mm"):
        raise ValueError(f"unit is {unit!r}; use 'pixel' or 'mm'.")
    if not radius > 0:
        raise ValueError(f"The contour band's radius is {radius}; it must be positive.")
    if unit == "pixel":
        if radius != int(radius):
            raise ValueError(f"A radius in pixels must be a whole number, got {radius}; use unit='mm' for others.")
        return (int(radius),) * spatial_dims
    if spacing is None or len(spacing) != spatial_dims:
        raise ValueError(
            f"A radius in mm needs the spacing of {spatial_dims} axes, got {spacing}; "
            "pass an image that carries its affine, or use unit='pixel'."
        )
    widths = tuple(int(radius / float(size) + 0.5) for size in spacing)
    if not any(widths):
        raise ValueError(
            f"A band of {radius} mm is thinner than half a pixel on every axis (spacing {tuple(spacing)} mm); "
            f"use a radius of at least {min(spacing) / 2:.3g} mm."
        )
    return widths


def _extremum(values: torch.Tensor, widths: Sequence[int], largest: bool) -> torch.Tensor:
    """Compute the largest or smallest value of the box around each entry; beyond the border there is none."""
    choose = torch.maximum if largest else torch.minimum
    leading, sides = values.shape[: -len(widths)], values.shape[-len(widths) :]
    reaches = [min(width, side - 1) for width, side in zip(widths, sides, strict=True)]
    # What is never chosen lies around the values, so that each window is whole.
    neutral = (values.min() if largest else values.max()).item()
    around = (*leading, *(side + 2 * reach for side, reach in zip(sides, reaches, strict=True)))
    result = values.new_full(around, neutral)
    inner = [slice(reach, reach + side) for side, reach in zip(sides, reaches, strict=True)]
    result[(*[slice(None)] * len(leading), *inner)] = values
    for axis, reach in zip(range(-len(widths), 0), reaches, strict=True):
        covered = 1  # `result` holds the extremum of as many entries; doubling takes log2 of a window's passes
        while covered < 2 * reach + 1:
            step = min(covered, 2 * reach + 1 - covered)
            count = result.shape[axis] - step
            result = choose(result.narrow(axis, 0, count), result.narrow(axis, step, count))
            covered += step
    return result


def _differing(label: torch.Tensor, spatial_dims: int) -> tuple[slice, ...]:
    """The smallest box that holds every pixel of another class than the first one; empty ones if there is none."""
    if label.dtype == torch.bfloat16 or not label.numel():  # unknown to NumPy, which compares faster than PyTorch
        return nonzero_box(label != label.flatten()[:1], spatial_dims)
    classes = label.detach().cpu().numpy()
    return nonzero_box(classes, spatial_dims, other=np.broadcast_to(classes.flat[:1], classes.shape))


def contour_band(label: torch.Tensor, widths: Sequence[int], side: str = "both") -> torch.Tensor:
    """Compute dilation minus erosion of all classes (UMed's contour region :math:`y_c`, Lin et al. 2024, Eq. 4).

    A pixel belongs to the band if the box around it contains more than one class. For a binary mask this is exactly
    dilation minus erosion with a box of ones; for several classes it is the union of their bands. The border of the
    image is no boundary.

    Args:
        label: class numbers, shape ``(..., *spatial)``, of any integer, boolean or integer-valued float type.
        widths: half-width of the box along each of the last ``len(widths)`` axes, see :func:`half_widths`.
        side: ``"both"``, ``"inner"`` (foreground pixels only) or ``"outer"`` (background pixels only).

    Returns:
        A boolean tensor of the label's shape and on its device.

    Raises:
        ValueError: If ``side`` is unknown or there are more widths than axes.
    """
    if side not in SIDES:
        raise ValueError(f"side is {side!r}; use one of {', '.join(SIDES)}.")
    if len(widths) > label.ndim:
        raise ValueError(f"{len(widths)} half-widths were given for a label of shape {tuple(label.shape)}.")
    if label.dtype in (torch.uint16, torch.uint32, torch.uint64):  # PyTorch has no minimum or comparison for these
        label = label.to(torch.int64)
    whole = torch.zeros_like(label, dtype=torch.bool)
    # Farther from the pixels that differ from the first one there is but one class.
    box = _differing(label, len(widths))
    if any(part.start == part.stop for part in box):
        return whole
    box = grown(box, widths)
    near = (*[slice(None)] * (label.ndim - len(box)), *box)
    label = label[near]
    values = label.to(torch.uint8) if label.dtype == torch.bool else label
    if values.dtype != torch.uint8 and values.numel() and values.min() >= 0 and values.max() <= 255:
        values = values.to(torch.uint8)  # the passes below are limited by memory bandwidth, so use one byte per pixel
    largest = smallest = values
    # Of a binary label, a pixel of the foreground is the largest itself, and one of the background the smallest.
    is_binary = values.dtype == torch.uint8 and bool(values.max() <= 1)
    if not (is_binary and side == "inner"):
        largest = _extremum(values, widths, largest=True)
    if not (is_binary and side == "outer"):
        smallest = _extremum(values, widths, largest=False)
    band = largest != smallest
    if side == "inner":
        band &= above(label, 0)
    elif side == "outer":
        band &= label == 0
    whole[near] = band
    return whole
