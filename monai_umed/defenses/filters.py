"""Fixed filters, applied to training and test images alike, and training on another grid."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from ..protectors import resize
from .base import Defense

STRIDE = 32  # the deepest networks in use halve the grid five times
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def _check(name: str, value: object, valid: bool, limit: str) -> None:
    if not valid:
        raise ValueError(f"{name} is {value!r}; it must be {limit}.")


def gaussian_blur(image: torch.Tensor, sigma: float, kernel: int = 3) -> torch.Tensor:
    """Blur every channel with a Gaussian that is cut off at ``kernel`` pixels a side and sums to one.

    Args:
        image: ``(C, *spatial)`` in [0, 1]; beyond its border it goes on with its outermost pixels.
        sigma: in pixels.
        kernel: odd.
    """
    axes = tuple(range(1, image.ndim))
    blurred = ndimage.gaussian_filter(image.numpy(), sigma, mode="nearest", radius=kernel // 2, axes=axes)
    return torch.from_numpy(blurred).clamp_(0, 1)


def median(image: torch.Tensor, size: int = 3) -> torch.Tensor:
    """Median over ``size`` pixels a side, border and arguments as in :func:`gaussian_blur`."""
    window = (1, *[size] * (image.ndim - 1))
    return torch.from_numpy(ndimage.median_filter(image.numpy(), size=window, mode="nearest"))


def _through_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def jpeg(image: torch.Tensor, quality: int) -> torch.Tensor:
    """Round to 8 bits, write as JPEG and read again.

    Args:
        image: ``(C, H, W)`` or ``(C, H, W, D)`` in [0, 1]. Three channels are one RGB picture, with Pillow's usual
            subsampling of the colors; any other number are as many gray pictures. Volumes go slice by slice along
            their last axis.
        quality: Pillow's, 1 to 100.
    """
    if len(image) not in (1, 3):
        return torch.cat([jpeg(channel, quality) for channel in image.split(1)])
    levels = (image * 255).round().to(torch.uint8)
    pictures = levels.reshape(*levels.shape[:3], -1).permute(3, 1, 2, 0).numpy()
    if len(image) == 1:
        pictures = pictures[..., 0]
    decoded = torch.from_numpy(np.stack([_through_jpeg(picture, quality) for picture in pictures]))
    return decoded.reshape(*decoded.shape[:3], -1).permute(3, 1, 2, 0).reshape(image.shape).contiguous() / 255


def posterize(image: torch.Tensor, bits: int) -> torch.Tensor:
    """Cut [0, 1] into ``2**bits`` equal intervals, and spread their numbers evenly from 0 to 1."""
    levels = 2**bits
    return (image * levels).floor().clamp_(max=levels - 1) / (levels - 1)


def grayscale(image: torch.Tensor) -> torch.Tensor:
    """Luma in all three channels; an image with another number of channels has no colors and stays as it is."""
    if len(image) != 3:
        return image
    luma = torch.tensordot(image.new_tensor(LUMA), image, dims=1).clamp_(0, 1)
    return luma.repeat(3, *[1] * luma.ndim)


def halve(image: torch.Tensor) -> torch.Tensor:
    """Half the size by area, rounded up for odd sides, and back to the size of before linearly."""
    size = tuple(image.shape[1:])
    smaller = resize(image[None], [(length + 1) // 2 for length in size])
    return resize(smaller, size)[0].clamp(0, 1)


def adjust_contrast(image: torch.Tensor, gamma: float, contrast: float) -> torch.Tensor:
    """``image**gamma``, then its distance from its mean over all channels times ``contrast``, clipped to [0, 1]."""
    bent = image**gamma
    mean = bent.mean()
    return (mean + contrast * (bent - mean)).clamp_(0, 1)


@dataclass(frozen=True)
class GaussianBlur(Defense):
    """Gaussian blur, 3 x 3 in UMed's test of robustness (Lin et al. 2024, Table 3).

    Public code of other papers blurs with sigma 0.1, where the 3 x 3 kernel is the identity: all weight but 1e-21
    of it is on the center. At 0.8 the center weighs 0.27 in 2D.

    Args:
        sigma: in pixels of the exploiter's grid.
        kernel: pixels a side, odd.

    Raises:
        ValueError: if an argument is out of range.
    """

    sigma: float = 0.8
    kernel: int = 3

    def __post_init__(self) -> None:
        _check("sigma", self.sigma, 0 < self.sigma < math.inf, "a positive number of pixels, for example 0.8")
        _check("kernel", self.kernel, self.kernel >= 3 and self.kernel % 2 == 1, "odd and at least 3")

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return gaussian_blur(image, self.sigma, self.kernel)


@dataclass(frozen=True)
class Median(Defense):
    """Median filter.

    Args:
        size: pixels a side, odd.

    Raises:
        ValueError: if ``size`` is even or below 3.
    """

    size: int = 3

    def __post_init__(self) -> None:
        _check("size", self.size, self.size >= 3 and self.size % 2 == 1, "odd and at least 3")

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return median(image, self.size)


@dataclass(frozen=True)
class Jpeg(Defense):
    """JPEG at the exploiter's grid, see :func:`jpeg`; the cure of Liu et al. 2023 ("Image Shortcut Squeezing").

    Args:
        quality: 1 to 100.

    Raises:
        ValueError: if ``quality`` is out of range.
    """

    quality: int

    def __post_init__(self) -> None:
        _check("quality", self.quality, self.quality in range(1, 101), "a whole number from 1 to 100")

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return jpeg(image, self.quality)


@dataclass(frozen=True)
class BitDepth(Defense):
    """Fewer gray levels, see :func:`posterize`: black stays 0 and white stays 1.

    Args:
        bits: per channel, 1 to 16.

    Raises:
        ValueError: if ``bits`` is out of range.
    """

    bits: int

    def __post_init__(self) -> None:
        _check("bits", self.bits, self.bits in range(1, 17), "a whole number from 1 to 16")

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return posterize(image, self.bits)


@dataclass(frozen=True)
class Grayscale(Defense):
    """Colors replaced by luma, see :func:`grayscale`; without effect on images of one channel."""

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return grayscale(image)


@dataclass(frozen=True)
class Half(Defense):
    """Half the size and back, see :func:`halve`; networks still see the grid they would see without it."""

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return halve(image)


@dataclass(frozen=True)
class Contrast(Defense):
    """Fixed gamma and contrast, see :func:`adjust_contrast`.

    Args:
        gamma: exponent; below 1 brightens.
        contrast: factor of the distance from the image's mean.

    Raises:
        ValueError: if an argument is not positive.
    """

    gamma: float = 0.7
    contrast: float = 1.25

    def __post_init__(self) -> None:
        _check("gamma", self.gamma, 0 < self.gamma < math.inf, "positive, for example 0.7")
        _check("contrast", self.contrast, 0 < self.contrast < math.inf, "positive, for example 1.25")

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return adjust_contrast(image, self.gamma, self.contrast)


@dataclass(frozen=True)
class TrainingSize(Defense):
    """Trains and tests on another grid; give ``factor`` or ``size``. Warns if that leaves the grid as it is.

    Args:
        factor: of every side, which is then rounded to the nearest multiple of 32 (at least 32), the halves up, so
            that all networks accept it: 128 becomes 192 with 1.5 and 64 with 0.5.
        size: the grid itself, multiples of 32.

    Raises:
        ValueError: if both or none are given, one is out of range, or ``size`` has another number of axes than the
            grid that it replaces.
    """

    factor: float | None = None
    size: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.size is None):
            raise ValueError(f"factor is {self.factor} and size is {self.size}; give one of them and not the other.")
        if self.factor is not None:
            _check("factor", self.factor, 0 < self.factor < math.inf, "positive, for example 1.5")
        if self.size is not None:
            multiples = all(side > 0 and side % STRIDE == 0 for side in self.size)
            _check("size", self.size, multiples, f"of positive multiples of {STRIDE}, which all networks accept")

    def grid(self, size: Sequence[int]) -> tuple[int, ...]:
        if self.size is not None and len(self.size) != len(size):
            raise ValueError(f"size is {self.size}, but the grid has {len(size)} axes; give one number for each axis.")
        new = self.size if self.factor is None else tuple(_scaled(side, self.factor) for side in size)
        assert new is not None
        if new == tuple(size):
            warnings.warn(f"{self} leaves the grid {new} as it is; use a factor further from 1.", stacklevel=2)
        return new


def _scaled(side: int, factor: float) -> int:
    return max(STRIDE, STRIDE * math.floor(side * factor / STRIDE + 0.5))
