"""Local binary patterns (LBP), and the texture bound per pixel that UMed derives from them."""

from __future__ import annotations

import math
from itertools import combinations, product

import torch

from .comparison import above
from .filters import LUMA

MODES = ("activity", "code")


def luma(image: torch.Tensor) -> torch.Tensor:
    """Reduce ``(C, *spatial)`` to one channel: BT.601 luma for three channels, the mean for any other number."""
    if image.shape[0] == 1:
        return image
    if image.shape[0] == 3:
        weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)
        return torch.tensordot(weights, image, dims=1)[None]
    return image.mean(dim=0, keepdim=True)


def _fractions(size: int, offset: float, device: torch.device) -> torch.Tensor:
    """Return the weight of the farther sample at every position of an axis, rounded as ``position + offset`` is."""
    position = torch.arange(1, size - 1, dtype=torch.float64, device=device) + offset
    return position - position.floor()


def lbp_code(image: torch.Tensor) -> torch.Tensor:
    """Compute LBP codes of 2D images from 8 samples on a circle of radius 1.

    Bit ``p`` is set if the sample at the angle ``2 pi p / 8``, counter-clockwise from the right, is at least as bright
    as the center. All pixels but the outermost equal ``skimage.feature.local_binary_pattern(image, P=8, R=1,
    method="default")`` bit for bit: diagonal samples are interpolated with the same weights in the same order of
    operations, because rounding decides the code in flat areas.

    Args:
        image: intensities, shape ``(..., H, W)``, of any real type.

    Returns:
        ``uint8`` codes of the same shape. The outermost pixels have the code of the nearest interior pixel.

    Raises:
        ValueError: If the image has fewer than 3 x 3 pixels.
    """
    height, width = image.shape[-2:]
    if min(height, width) < 3:
        raise ValueError(f"LBP codes need an image of at least 3 x 3 pixels, got {height} x {width}.")
    values = image.to(torch.float64).reshape(-1, height, width)
    offset = round(math.sqrt(0.5), 5)  # scikit-image rounds the sample positions to five decimals
    up, down = (_fractions(height, sign * offset, image.device)[:, None] for sign in (-1, 1))
    left, right = (_fractions(width, sign * offset, image.device) for sign in (-1, 1))
    codes = torch.empty(values.shape, dtype=torch.uint8, device=image.device)
    for code, plane in zip(codes, values, strict=True):  # a single image fits into the processor's cache
        center = plane[1:-1, 1:-1]
        to_right = (plane[:, 1:-1] * (1 - right)).add_(plane[:, 2:] * right)
        to_left = (plane[:, :-2] * (1 - left)).add_(plane[:, 1:-1] * left)
        samples = (
            plane[1:-1, 2:],
            (to_right[:-2] * (1 - up)).add_(to_right[1:-1] * up),
            plane[:-2, 1:-1],
            (to_left[:-2] * (1 - up)).add_(to_left[1:-1] * up),
            plane[1:-1, :-2],
            (to_left[1:-1] * (1 - down)).add_(to_left[2:] * down),
            plane[2:, 1:-1],
            (to_right[1:-1] * (1 - down)).add_(to_right[2:] * down),
        )
        interior = torch.zeros(center.shape, dtype=torch.uint8, device=image.device)
        for bit, sample in enumerate(samples):
            interior.add_((sample >= center).view(torch.uint8), alpha=1 << bit)
        code[1:-1, 1:-1] = interior
    codes[:, 0], codes[:, -1] = codes[:, 1], codes[:, -2]
    codes[:, :, 0], codes[:, :, -1] = codes[:, :, 1], codes[:, :, -2]
    return codes.reshape(image.shape)


def _half_neighborhood(spatial_dims: int) -> list[tuple[int, ...]]:
    """Return one of each pair of opposite neighbors: 4 of 8 in a plane, 9 of the 18 in three orthogonal planes."""
    steps = (step for step in product((-1, 0, 1), repeat=spatial_dims) if 0 < sum(map(abs, step)) <= 2)
    return [step for step in steps if step > (0,) * spatial_dims]


def _overlap(size: int, step: int) -> tuple[slice, slice]:
    """Return slices of the pixels that have a neighbor ``step`` further along an axis, and of those neighbors."""
    return slice(max(0, -step), size - max(0, step)), slice(max(0, step), size - max(0, -step))


def texture_activity(image: torch.Tensor, threshold: float = 1.5 / 255) -> torch.Tensor:
    """Return the fraction of each pixel's neighbors that differ from it by more than ``threshold``.

    The raw LBP code is a label, not a strength: a perfectly flat patch has the code 255, hence the largest budget
    exactly where a change is most visible. This measure is 0 there.

    In 2D, the neighbors are the 8 around a pixel. In 3D, they are the 18 in the three orthogonal planes through the
    voxel, as in LBP-TOP. Neighbors outside the image are not counted.

    Args:
        image: intensities in [0, 1] of one channel, shape ``(H, W)`` or ``(D, H, W)``.
        threshold: difference, in units of the [0, 1] window, that counts as texture. The default lies between one
            and two of 255 gray levels, so that rounding never decides.

    Returns:
        A ``float32`` tensor in [0, 1] of the same shape.
    """
    differing = torch.zeros(image.shape, dtype=torch.uint8, device=image.device)
    existing = torch.zeros(image.shape, dtype=torch.uint8, device=image.device)
    for step in _half_neighborhood(image.ndim):
        here, there = zip(*(_overlap(size, s) for size, s in zip(image.shape, step, strict=True)), strict=True)
        differs = above((image[there] - image[here]).abs_(), threshold).view(torch.uint8)
        for region in (here, there):
            differing[region] += differs
            existing[region] += 1
    return differing.to(torch.float32).div_(existing.clamp_(min=1))


def lbp_bound(image: torch.Tensor, mode: str = "activity", threshold: float = 1.5 / 255) -> torch.Tensor:
    """Compute the texture strength :math:`x_t` of every pixel (UMed, Lin et al. 2024, Eq. 5).

    Args:
        image: intensities in [0, 1], shape ``(C, *spatial)`` with 2 or 3 spatial axes; reduced to one channel by
            :func:`luma`.
        mode: ``"activity"`` for :func:`texture_activity`, or ``"code"`` for the LBP code divided by 255, the literal
            reading of the paper, averaged in 3D over the three orthogonal planes through each voxel.
        threshold: see :func:`texture_activity`; ignored by ``"code"``.

    Returns:
        A ``float32`` tensor in [0, 1] of shape ``(1, *spatial)``.

    Raises:
        ValueError: If the mode is unknown or the image has neither 2 nor 3 spatial axes.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}; use one of {', '.join(MODES)}.")
    if image.ndim not in (3, 4):
        raise ValueError(f"Expected an image of shape (C, H, W) or (C, D, H, W), got {tuple(image.shape)}.")
    gray = luma(image)[0]
    if mode == "activity":
        return texture_activity(gray, threshold)[None]
    planes = list(combinations(range(gray.ndim), 2))
    total = torch.zeros(gray.shape, dtype=torch.float32, device=gray.device)
    for plane in planes:
        last = [axis for axis in range(gray.ndim) if axis not in plane] + list(plane)
        codes = lbp_code(gray.permute(last))
        total += codes.permute([last.index(axis) for axis in range(gray.ndim)]).to(torch.float32)
    return (total / (255 * len(planes)))[None]
