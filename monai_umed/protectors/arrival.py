"""How much of a perturbation arrives in its file, so that nothing is called protected which is not."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from warnings import catch_warnings, simplefilter

import torch
from torch.nn import functional as F

from ..data.working_grid import fitting_grid, say_sides
from ..io.quantize import SLAB_VALUES
from .base import Protector
from .perturbation import NothingChangedWarning, Perturbation

LEAST_FRACTION = 0.5
"""Share of its perturbation that must arrive in a protected image."""


def root_mean_square(values: torch.Tensor) -> float:
    """Root of the mean square of all values, piece by piece of the first spatial axis: volumes fill the memory."""
    rows = max(1, SLAB_VALUES * values.shape[1] // values.numel())
    norms = (float(torch.linalg.vector_norm(piece, dtype=torch.float32)) for piece in values.split(rows, dim=1))
    return sqrt(sum(norm**2 for norm in norms) / values.numel())


def check_arrival(
    protector: Protector,
    image: torch.Tensor,
    label: torch.Tensor,
    *,
    perturbation: Perturbation,
    change: float,
    spacing: Sequence[float] | None = None,
    levels: float | None = None,
    case_id: str | None = None,
) -> float:
    """Refuse a protected image in which less than half of the perturbation is left.

    The share that arrives is the root mean square of what changed over that of what was to change. A single pixel does
    not move it, and noise that is weaker than its limit by nature, as of most methods, does not lower it. What was to
    change is the perturbation itself, before it is rounded to grey levels and kept from values outside of the window.
    If the image is smaller than the protector's working grid, the way from the grid takes some already: there it is
    what the protector makes of the same image with its pixels repeated until it is no longer smaller, both in units of
    their bounds.

    Args:
        protector: what made the perturbation.
        image: see :meth:`monai_umed.protectors.Protector.__call__`, as the next one and the last three.
        label: class of every pixel.
        perturbation: what the protector gave for it.
        change: root mean square of what changed in the file, over all pixels and channels, in [0, 1] units.
        spacing: size of a pixel.
        levels: stored grey levels per unit.
        case_id: which case it is.

    Returns:
        Root mean square of what was to change, in [0, 1] units; 0 for a control that changes nothing.

    Raises:
        ValueError: If no pixel may change, or less than :data:`LEAST_FRACTION` arrives.
    """
    if protector.changes_nothing:
        return 0.0
    delta, bound = perturbation
    limit = root_mean_square(bound)
    if limit == 0:
        raise ValueError(_explain_limit(protector.eps, levels))
    made = root_mean_square(delta)
    enlarged = _enlarged_sides(protector, image)
    if enlarged is not None:
        made = max(made, limit * _strength(protector, image, label, sides=enlarged, spacing=spacing, case_id=case_id))
    if made == 0:
        raise ValueError(f"{type(protector).__name__} made no noise for it; fit anew, or take another method")
    if lost := say_lost(change, made):
        cause = _explain_loss(levels) if enlarged is None else _explain_grid(protector, image, enlarged)
        raise ValueError(f"{lost}: {cause}")
    return made


def say_lost(change: float, made: float) -> str | None:
    """Say what is wrong with an image in which less than :data:`LEAST_FRACTION` of its perturbation is left.

    Args:
        change: root mean square of what changed in the file, over all pixels and channels.
        made: the same of what was to change, in the same units; 0 if nothing was.

    Returns:
        The reason; None if enough is left.
    """
    # Figures of another computer may differ in their last digits.
    if change >= LEAST_FRACTION * made * (1 - 1e-6):
        return None
    return f"{change / made:.0%} of the perturbation arrives, must be at least {LEAST_FRACTION:.0%}"


def _enlarged_sides(protector: Protector, image: torch.Tensor) -> tuple[int, ...] | None:
    """Spatial shape of an image after its smaller axes have grown to the working grid; None if there are none."""
    if protector.grid is None:
        return None
    sides = tuple(image.shape[1:])
    grid = list(protector.grid)
    if len(grid) < len(sides) and protector.slice_axis is not None:
        grid.insert(protector.slice_axis, 0)
    enlarged = tuple(max(pair) for pair in zip(sides, grid, strict=True))
    return None if enlarged == sides else enlarged


def _strength(
    protector: Protector,
    image: torch.Tensor,
    label: torch.Tensor,
    *,
    sides: tuple[int, ...],
    spacing: Sequence[float] | None,
    case_id: str | None,
) -> float:
    """Noise for an enlarged image in units of its bound, as root mean squares."""
    larger, classes = (F.interpolate(array[None].to(torch.float32), size=sides)[0] for array in (image, label))
    finer = spacing and [size * old / new for size, old, new in zip(spacing, image.shape[1:], sides, strict=True)]
    with catch_warnings():
        simplefilter("ignore", NothingChangedWarning)  # of the image itself it was said already
        delta, bound = protector(larger, classes.to(label.dtype), finer, None, case_id)
    return root_mean_square(delta) / (root_mean_square(bound) or 1)


def _explain_limit(eps: float, levels: float | None) -> str:
    if levels is None or eps * levels >= 1:
        return "nothing may change, every bound is below one grey level; raise eps, or choose another bound"
    return (
        f"nothing may change: eps {eps:.4g} of its window is {eps * levels:.2g} grey levels, must be at least 1; raise "
        f"eps to {1 / levels:.4g}, or widen the window"
    )


def _explain_loss(levels: float | None) -> str:
    if levels is None:
        return "most of the structure lies at or beyond the ends of the window; choose a wider window"
    return (
        "the rest is lost to whole grey levels, or to values outside of the window, which stay as they are; raise eps, "
        "or choose a window that holds the structure"
    )


def _explain_grid(protector: Protector, image: torch.Tensor, enlarged: tuple[int, ...]) -> str:
    grid = protector.grid or ()
    axes = [axis for axis in range(image.ndim - 1) if len(grid) == image.ndim - 1 or axis != protector.slice_axis]
    sides = [image.shape[axis + 1] for axis in axes]
    fitting = fitting_grid(sides) if len(sides) == 2 else None  # the grid of resampled volumes is the fit's own
    refit = "" if fitting is None else f", or fit to such images with the working grid {','.join(map(str, fitting))}"
    needed = say_sides([enlarged[axis] for axis in axes])
    return (
        f"{say_sides(sides)} pixels are less than the working grid of {say_sides(grid)}, whose pattern is averaged "
        f"away; enlarge the image and its mask to {needed}{refit}"
    )
