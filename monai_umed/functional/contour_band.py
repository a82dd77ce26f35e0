"""The contour band of a label map: the pixels within a few pixels of a boundary between two classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .box import grown, nonzero_box

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


def _extremum(values: torch.Tensor, width: int, axis: int, largest: bool) -> torch.Tensor:
    """Compute a sliding maximum or minimum over ``2 * width + 1`` entries of one axis, fewer at the border."""
    choose = torch.maximum if largest else torch.minimum
    size = values.shape[axis]
    reach = min(width, size - 1)
    result = values
    covered = 0  # `result` holds the extremum over [i, i + covered]; doubling takes log2(width) passes, not width
    while covered < reach:
        step = min(covered + 1, reach - covered)
        longer = result.clone()
        head = longer.narrow(axis, 0, size - step)
        choose(head, result.narrow(axis, step, size - step), out=head)
        result, covered = longer, covered + step
    if reach == 0:
        return result
    # Join [i, i + reach] with [i - reach, i], which is the same extremum `reach` entries earlier. The first `reach`
    # windows are cut at the border, so they take the growing prefix instead.
    both = result.clone()
    tail = both.narrow(axis, reach, size - reach)
    choose(tail, result.narrow(axis, 0, size - reach), out=tail)
    prefix = values.narrow(axis, 0, reach)
    prefix = (prefix.cummax(axis) if largest else prefix.cummin(axis)).values
    head = both.narrow(axis, 0, reach)
    choose(head, prefix, out=head)
    return both


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
    differs = label != label.flatten()[:1]
    if not differs.any():
        return whole
    # Farther from the pixels that differ from the first one there is but one class.
    box = grown(nonzero_box(differs, len(widths)), widths)
    near = (*[slice(None)] * (label.ndim - len(box)), *box)
    label = label[near]
    values = label.to(torch.uint8) if label.dtype == torch.bool else label
    if values.dtype != torch.uint8 and values.numel() and values.min() >= 0 and values.max() <= 255:
        values = values.to(torch.uint8)  # the passes below are limited by memory bandwidth, so use one byte per pixel
    largest = smallest = values
    # Of a binary label, a pixel of the foreground is the largest itself, and one of the background the smallest.
    is_binary = values.dtype == torch.uint8 and bool(values.max() <= 1)
    for axis, width in zip(range(-len(widths), 0), widths, strict=True):
        if not (is_binary and side == "inner"):
            largest = _extremum(largest, width, axis, largest=True)
        if not (is_binary and side == "outer"):
            smallest = _extremum(smallest, width, axis, largest=False)
    band = largest != smallest
    if side == "inner":
        band &= label > 0
    elif side == "outer":
        band &= label == 0
    whole[near] = band
    return whole
