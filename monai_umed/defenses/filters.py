"""Fixed filters of training and test images, and training on another grid."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..functional.filters import adjust_contrast, gaussian_blur, grayscale, halve, jpeg, median, posterize
from .base import Defense

STRIDE = 32  # the deepest networks in use halve the grid five times


def _check(name: str, value: object, valid: bool, limit: str) -> None:
    if not valid:
        raise ValueError(f"{name} is {value!r}; it must be {limit}.")


@dataclass(frozen=True)
class GaussianBlur(Defense):
    """Gaussian blur, 3 x 3 in UMed's test of robustness (Lin et al. 2024, Table 3).

    Public code of other papers has a sigma of 0.1, for which the 3 x 3 kernel is the identity, with all weight except
    1e-21 on the center. For 0.8, the weight of the center is 0.27 in 2D.

    Args:
        sigma: standard deviation in pixels of the exploiter's grid.
        kernel: width of the kernel in pixels, odd.
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
    """Median filter, ``size`` pixels a side, an odd number of at least 3."""

    size: int = 3

    def __post_init__(self) -> None:
        _check("size", self.size, self.size >= 3 and self.size % 2 == 1, "odd and at least 3")

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return median(image, self.size)


@dataclass(frozen=True)
class Jpeg(Defense):
    """JPEG of a ``quality`` from 1 to 100 on the exploiter's grid (Liu et al. 2023, "Image Shortcut Squeezing")."""

    quality: int

    def __post_init__(self) -> None:
        _check("quality", self.quality, self.quality in range(1, 101), "a whole number from 1 to 100")

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return jpeg(image, self.quality)


@dataclass(frozen=True)
class BitDepth(Defense):
    """Fewer gray levels, 1 to 16 ``bits`` per channel; black stays 0 and white stays 1."""

    bits: int

    def __post_init__(self) -> None:
        _check("bits", self.bits, self.bits in range(1, 17), "a whole number from 1 to 16")

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return posterize(image, self.bits)


@dataclass(frozen=True)
class Grayscale(Defense):
    """Colors replaced by luma, see :func:`grayscale`; images without three channels do not change."""

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return grayscale(image)


@dataclass(frozen=True)
class Half(Defense):
    """Half the size and back, see :func:`halve`, so that networks still see the same grid."""

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return halve(image)


@dataclass(frozen=True)
class Contrast(Defense):
    """Fixed gamma and contrast, see :func:`adjust_contrast`.

    Args:
        gamma: exponent; below 1 brightens.
        contrast: factor of the distance from the image's mean.
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
    """Training and testing on another grid, given by either ``factor`` or ``size``; warns if it does not change.

    Args:
        factor: factor of every side, which is rounded to the nearest multiple of 32 (at least 32, halves up) that all
            networks accept: 128 becomes 192 with 1.5 and 64 with 0.5.
        size: the grid itself, multiples of 32, as many numbers as the grid has axes.
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
