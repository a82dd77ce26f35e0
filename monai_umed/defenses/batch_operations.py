"""MONAI's random dictionary transforms on whole batches: they draw for every case, all cases change at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from monai.networks.layers.convutils import gaussian_1d
from monai.transforms import (
    RandAdjustContrastd,
    RandCoarseDropoutd,
    RandFlipd,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandSimulateLowResolutiond,
    RandZoomd,
)
from monai.utils import convert_to_tensor
from monai.utils.enums import CommonKeys as Keys
from torch.nn import functional as F

Pair = tuple[torch.Tensor, torch.Tensor]


@singledispatch
def augment_batch(transform: Any, image: torch.Tensor, label: torch.Tensor) -> Pair:
    """Apply a dictionary transform to a batch as to one case after the other, with the same random numbers.

    A transform without an operation on batches, such as MONAI's rotation, sees one case at a time.

    Args:
        transform: of ``image`` and ``label``; random ones have the state that they go on from.
        image: ``(B, C, *spatial)``, floating point; may be changed in place.
        label: class numbers ``(B, 1, *spatial)``, floating point; may be changed in place.
    """
    cases = [transform({Keys.IMAGE: one, Keys.LABEL: classes}) for one, classes in zip(image, label, strict=True)]
    first, second = (
        torch.stack([convert_to_tensor(case[key], track_meta=False) for case in cases])
        for key in (Keys.IMAGE, Keys.LABEL)
    )
    return first, second


def draw(
    transform: Any, image: torch.Tensor, read: Callable[[torch.Tensor], Any], *, always: bool = False
) -> tuple[list[int], list[Any]]:
    """The cases that a transform draws, and what it draws for each; some draw for the others as ``always``, too."""
    cases, drawn = [], []
    for index, one in enumerate(image):
        transform.randomize(None)
        numbers = read(one) if always or transform._do_transform else None
        if transform._do_transform:
            cases.append(index)
            drawn.append(numbers)
    return cases, drawn


def _column(numbers: Any, image: torch.Tensor) -> torch.Tensor:
    """One number per case, or per case and channel, beside an image."""
    values = torch.as_tensor(np.asarray(numbers), dtype=image.dtype, device=image.device)
    return values.reshape(len(values), -1, *[1] * (image.ndim - 2))


def _take(image: torch.Tensor, axis: int, index: torch.Tensor) -> torch.Tensor:
    """Positions ``(B, length)`` along an axis of ``(B, C, *spatial)``."""
    shape = [1] * image.ndim
    shape[0], shape[axis] = index.shape
    sizes = list(image.shape)
    sizes[axis] = index.shape[1]
    return image.gather(axis, index.reshape(shape).expand(sizes))


def _between(image: torch.Tensor, axis: int, index: Pair, weight: torch.Tensor) -> torch.Tensor:
    """Linear interpolation along an axis: between two positions each, ``(B, length)``, by the weight of the second."""
    shape = [1] * image.ndim
    shape[0], shape[axis] = weight.shape
    first, second = (_take(image, axis, each) for each in index)
    return torch.lerp(first, second, weight.reshape(shape))


def _source(position: torch.Tensor, scale: torch.Tensor, length: torch.Tensor | int) -> tuple[Pair, torch.Tensor]:
    """Between which two positions of ``length`` a resized one lies, as PyTorch's linear interpolation counts."""
    place = ((position + 0.5) * scale - 0.5).clamp(min=0)
    last = torch.as_tensor(length, device=place.device) - 1
    low = torch.minimum(place.floor(), last)
    return (low.long(), torch.minimum(low + 1, last).long()), place - low


def _nearest(position: torch.Tensor, scale: torch.Tensor, length: int) -> torch.Tensor:
    return ((position + 0.5) * scale).floor().clamp(0, length - 1).long()


@augment_batch.register
def _(transform: RandZoomd, image: torch.Tensor, label: torch.Tensor) -> Pair:
    def factor(one: torch.Tensor) -> Any:
        transform.rand_zoom.randomize(one)
        return transform.rand_zoom._zoom

    cases, drawn = draw(transform, image, factor, always=True)
    if not cases:
        return image, label
    zoomed, classes = image[cases], label[cases]
    for axis, side in enumerate(image.shape[2:]):
        length = torch.tensor([int(side * float(each[axis])) for each in drawn], device=image.device)[:, None]
        shift = torch.where(length > side, length // 2 - side // 2, -((side - length) // 2))
        position = torch.arange(side, device=image.device) + shift
        inside = ((position >= 0) & (position < length)).to(image)
        scale = side / length.to(image.dtype)
        zoomed = _between(zoomed, axis + 2, *_source(position, scale, side))
        classes = _take(classes, axis + 2, _nearest(position, scale, side))
        shape = [len(cases), 1, *[1] * (image.ndim - 2)]
        shape[axis + 2] = side
        zoomed, classes = zoomed * inside.reshape(shape), classes * inside.to(label).reshape(shape)
    image[cases], label[cases] = zoomed, classes
    return image, label


@augment_batch.register
def _(transform: RandSimulateLowResolutiond, image: torch.Tensor, label: torch.Tensor) -> Pair:
    def factor(one: torch.Tensor) -> float:
        transform.sim_lowres_tfm.randomize()
        return float(transform.sim_lowres_tfm.zoom_factor)

    cases, drawn = draw(transform, image, factor)
    if not cases:
        return image, label
    coarse = image[cases]
    for axis, side in enumerate(image.shape[2:]):
        length = torch.tensor([max(1, round(side * each)) for each in drawn], device=image.device)[:, None]
        scale = side / length.to(image.dtype)
        index, weight = _source(torch.arange(side, device=image.device), 1 / scale, length)
        first, second = (_nearest(each, scale, side) for each in index)
        coarse = _between(coarse, axis + 2, (first, second), weight)
    image[cases] = coarse
    return image, label


@augment_batch.register
def _(transform: RandGaussianSmoothd, image: torch.Tensor, label: torch.Tensor) -> Pair:
    def widths(one: torch.Tensor) -> list[float]:
        smooth = transform.rand_smooth
        smooth.randomize(None)
        return [smooth.x, smooth.y, smooth.z][: one.ndim - 1]

    cases, drawn = draw(transform, image, widths)
    if not cases:
        return image, label
    count, channels, dims = len(cases), image.shape[1], image.ndim - 2
    convolve = F.conv2d if dims == 2 else F.conv3d
    smooth = image[cases].reshape(1, count * channels, *image.shape[2:])
    for axis in range(dims):
        kernels = [gaussian_1d(torch.tensor(each[axis])) for each in drawn]
        reach = max(len(kernel) for kernel in kernels) // 2
        padded = torch.stack([F.pad(kernel, [reach - len(kernel) // 2] * 2) for kernel in kernels]).to(image)
        shape = [count * channels, 1, *[1] * dims]
        shape[axis + 2] = 2 * reach + 1
        padding = [reach if other == axis else 0 for other in range(dims)]
        weight = padded.repeat_interleave(channels, 0).reshape(shape)
        smooth = convolve(smooth, weight, padding=padding, groups=count * channels)
    image[cases] = smooth.reshape(count, channels, *image.shape[2:])
    return image, label


def _draw_factors(
    transform: RandScaleIntensityd | RandScaleIntensityFixedMeand, image: torch.Tensor
) -> tuple[list[int], list[Any]]:
    def factor(one: torch.Tensor) -> Any:
        transform.scaler.randomize(one)
        return transform.scaler.factor

    return draw(transform, image, factor)


@augment_batch.register
def _(transform: RandScaleIntensityd, image: torch.Tensor, label: torch.Tensor) -> Pair:
    cases, drawn = _draw_factors(transform, image)
    if cases:
        image[cases] *= 1 + _column(drawn, image)
    return image, label


@augment_batch.register
def _(transform: RandScaleIntensityFixedMeand, image: torch.Tensor, label: torch.Tensor) -> Pair:
    cases, drawn = _draw_factors(transform, image)
    if cases:
        chosen, factors = image[cases], _column(drawn, image)
        axes = tuple(range(2 if transform.scaler.channel_wise else 1, image.ndim))
        mean = chosen.mean(axes, keepdim=True)
        scaled = (chosen - mean) * (1 + factors) + mean
        if transform.scaler.preserve_range:
            scaled = torch.clamp(scaled, chosen.amin(axes, keepdim=True), chosen.amax(axes, keepdim=True))
        image[cases] = scaled
    return image, label


@augment_batch.register
def _(transform: RandAdjustContrastd, image: torch.Tensor, label: torch.Tensor) -> Pair:
    def gamma(one: torch.Tensor) -> Any:
        transform.adjuster.randomize(None)
        return transform.adjuster.gamma_value

    cases, drawn = draw(transform, image, gamma)
    if not cases:
        return image, label
    settings = transform.adjuster.adjust_contrast
    sign = -1 if settings.invert_image else 1
    chosen, axes = sign * image[cases], tuple(range(1, image.ndim))
    low = chosen.amin(axes, keepdim=True)
    span = chosen.amax(axes, keepdim=True) - low
    changed = ((chosen - low) / (span + 1e-7)) ** _column(drawn, image) * span + low
    if settings.retain_stats:
        changed = changed - changed.mean(axes, keepdim=True)
        changed = changed / (changed.std(axes, keepdim=True) + 1e-8)
        changed = chosen.std(axes, keepdim=True) * changed + chosen.mean(axes, keepdim=True)
    image[cases] = sign * changed
    return image, label


@augment_batch.register
def _(transform: RandFlipd, image: torch.Tensor, label: torch.Tensor) -> Pair:
    cases, _ = draw(transform, image, lambda one: None)
    if cases:
        flipped: Any = transform.flipper.spatial_axis
        axis = 2 + flipped
        image[cases], label[cases] = image[cases].flip(axis), label[cases].flip(axis)
    return image, label


@augment_batch.register
def _(transform: RandCoarseDropoutd, image: torch.Tensor, label: torch.Tensor) -> Pair:
    def hole(one: torch.Tensor) -> Any:
        transform.dropper.randomize(one.shape[1:])
        return transform.dropper.hole_coords

    cases, drawn = draw(transform, image, hole)
    value: Any = transform.dropper.fill_value
    for case, boxes in zip(cases, drawn, strict=True):
        for box in boxes:
            image[case][box] = value
    return image, label
