"""Compare single functions with those of other packages that do the same, or nearly so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import ndimage
from skimage.feature import local_binary_pattern
from torch import nn
from torch.nn import functional as F

from ..functional.contour_band import contour_band
from ..functional.local_binary_pattern import lbp_code
from ..networks import CentralDifferenceConv
from .timing import Row, Wanted, alternate, speed_up, time_share

BAND_WIDTH = 2  # px to each side of the contour: a box of 5 px


def check_equal(what: str, ours: np.ndarray, reference: np.ndarray) -> None:
    """Refuse to compare the speed of two functions that give different results."""
    different = int((ours != reference).sum())
    if different:
        raise RuntimeError(
            f"{what}: {different} of {ours.size} pixels differ from the reference, where 0 may; its speed means "
            "nothing. Compare the versions of scipy and scikit-image with those of the last good figures."
        )


def blobs(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Smooth blob masks, uint8 0 or 1: an ``(H, W)`` or ``(D, H, W)`` image of noise above its mean."""
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return (ndimage.gaussian_filter(noise, min(shape) / 12) > 0).astype(np.uint8)


def compare_band(masks: np.ndarray, what: str, repeats: int) -> list[Row]:
    """Contour band of ``(B, *spatial)`` binary masks against SciPy's binary and gray morphology."""
    widths = (BAND_WIDTH,) * (masks.ndim - 1)
    size = tuple(2 * width + 1 for width in widths)
    box = np.ones(size, dtype=bool)
    label, flags = torch.from_numpy(masks), masks.astype(bool)

    def binary() -> np.ndarray:
        # border_value: neither dilation nor erosion may take the border of the image for a contour
        return np.stack(
            [ndimage.binary_dilation(f, box) & ~ndimage.binary_erosion(f, box, border_value=1) for f in flags]
        )

    def gray() -> np.ndarray:
        return np.stack([ndimage.maximum_filter(m, size) != ndimage.minimum_filter(m, size) for m in masks])

    band = contour_band(label, widths).numpy()
    check_equal(f"{what}, binary", band, binary())
    check_equal(f"{what}, max/min", band, gray())
    ours, by_binary, by_gray = alternate([lambda: contour_band(label, widths), binary, gray], repeats)
    return [
        speed_up(what, "SciPy binary dilation, erosion", ours, by_binary, least=10),
        speed_up(what, "SciPy maximum, minimum filter", ours, by_gray),
    ]


def compare_lbp(images: np.ndarray, what: str, repeats: int) -> Row:
    """LBP codes of ``(B, H, W)`` uint8 images against scikit-image."""
    tensor = torch.from_numpy(images)

    def reference() -> np.ndarray:
        return np.stack([local_binary_pattern(image, P=8, R=1) for image in images])

    interior = (slice(None), slice(1, -1), slice(1, -1))
    check_equal(what, lbp_code(tensor).numpy()[interior], reference()[interior])
    ours, other = alternate([lambda: lbp_code(tensor), reference], repeats)
    return speed_up(what, "scikit-image", ours, other, least=5)


def compare_convolution(shape: tuple[int, int, int, int], repeats: int) -> list[Row]:
    """Forward and backward pass of the folded convolution on ``(B, C, H, W)`` against a plain one and Eq. 3's two."""
    channels = shape[1]
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(shape, generator=draw).requires_grad_()
    gradient = torch.randn(shape, generator=draw)
    folded = CentralDifferenceConv(2, channels, channels)
    plain = nn.Conv2d(channels, channels, 3, padding=1)

    def by_the_letter(x: torch.Tensor) -> torch.Tensor:
        total = folded.difference.sum(dim=(2, 3), keepdim=True)
        differences = F.conv2d(x, folded.difference, padding=1) - F.conv2d(x, total)
        return F.conv2d(x, folded.vanilla, folded.bias, padding=1) + differences

    def step(function: Callable[[torch.Tensor], torch.Tensor], layer: nn.Module) -> Callable[[], object]:
        inputs = [image, *layer.parameters()]
        return lambda: torch.autograd.grad(function(image), inputs, gradient)

    torch.testing.assert_close(folded(image), by_the_letter(image), rtol=1e-4, atol=1e-4)  # float32 sums of 9 C terms
    steps = [step(folded, folded), step(plain, plain), step(by_the_letter, folded)]
    ours, by_plain, by_two = alternate(steps, repeats)
    what = f"central-difference conv {' x '.join(map(str, shape))}, forward + backward"
    return [
        time_share(what, "nn.Conv2d", ours, by_plain, most=1.1),
        speed_up(what, "Eq. 3 as two convolutions", ours, by_two),
    ]


def compare_functions(
    wanted: Wanted, batch: int = 16, side: int = 224, volume: int = 128, conv: int = 112
) -> list[Row]:
    """All of them; sides in pixels."""
    repeats = wanted.repeats
    masks = np.stack([blobs((side, side), seed) for seed in range(batch)])
    noise = np.random.default_rng(0).integers(0, 256, (batch, side, side), dtype=np.uint8)
    smooth = np.rint(ndimage.gaussian_filter(noise.astype(np.float32), (0, 5, 5))).astype(np.uint8)
    size = f"{batch} x {side} x {side}"
    return [
        *compare_band(masks, f"contour band {size}", repeats),
        *compare_band(blobs((volume,) * 3)[None], f"contour band {volume}^3", repeats),
        compare_lbp(noise, f"LBP codes {size}, noise", repeats),
        compare_lbp(smooth, f"LBP codes {size}, smooth", repeats),
        *compare_convolution((batch, 32, conv, conv), repeats),
    ]
