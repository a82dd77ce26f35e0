"""Image filters that exploiters apply."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from .resampling import resize

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def gaussian_blur(image: torch.Tensor, sigma: float, kernel: int = 3) -> torch.Tensor:
    """Blur every channel with a normalized Gaussian kernel.

    Args:
        image: ``(C, *spatial)`` in [0, 1]; its border is padded with the outermost pixels.
        sigma: standard deviation in pixels.
        kernel: width of the kernel in pixels, odd.
    """
    reach = kernel // 2
    weights = torch.exp(-((torch.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    weights = (weights / weights.sum()).to(image)
    dims = image.ndim - 1
    convolve = F.conv2d if dims == 2 else F.conv3d
    blurred = F.pad(image[:, None], [reach] * (2 * dims), mode="replicate")
    for axis in range(dims):
        shape = [kernel if other == axis else 1 for other in range(dims)]
        blurred = convolve(blurred, weights.reshape(1, 1, *shape))
    return blurred[:, 0].clamp(0, 1)


def median(image: torch.Tensor, size: int = 3) -> torch.Tensor:
    """Apply a median filter, ``size`` pixels a side, to an image as in :func:`gaussian_blur`, on the CPU."""
    window = (1, *[size] * (image.ndim - 1))
    return torch.from_numpy(ndimage.median_filter(image.numpy(), size=window, mode="nearest"))


def _through_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def jpeg(image: torch.Tensor, quality: int) -> torch.Tensor:
    """Round to 8 bits, compress as JPEG and decompress again.

    Args:
        image: ``(C, H, W)`` or ``(C, H, W, D)`` in [0, 1]. Three channels are compressed as one RGB picture, with
            Pillow's default chroma subsampling; otherwise each channel is a gray picture. Volumes are compressed
            slice by slice along their last axis.
        quality: Pillow's JPEG quality, 1 to 100.
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
    """Quantize [0, 1] into ``2**bits`` equal intervals, whose levels are spaced evenly from 0 to 1."""
    levels = 2**bits
    return (image * levels).floor().clamp(max=levels - 1) / (levels - 1)


def grayscale(image: torch.Tensor) -> torch.Tensor:
    """Replace all channels of an RGB image by its luma; return an image without three channels unchanged."""
    if len(image) != 3:
        return image
    luma = torch.tensordot(image.new_tensor(LUMA), image, dims=1).clamp(0, 1)
    return luma.repeat(3, *[1] * luma.ndim)


def middle_channel(image: torch.Tensor) -> torch.Tensor:
    """Replace all channels of ``(C, *spatial)`` by the middle one, which in RGB is green."""
    return image[len(image) // 2].repeat(len(image), *[1] * (image.ndim - 1))


def gray_world(image: torch.Tensor) -> torch.Tensor:
    """Scale every channel of ``(C, *spatial)`` to the mean of all, clipped to [0, 1]; black stays black."""
    means = image.flatten(1).mean(1)
    factors = torch.where(means > 0, means.mean() / means, 1.0)
    return (image * factors.reshape(-1, *[1] * (image.ndim - 1))).clamp(0, 1)


def standardize_channels(image: torch.Tensor) -> torch.Tensor:
    """Shift and scale every channel of ``(C, *spatial)`` to mean 0.5 and standard deviation 1/6, clipped to [0, 1].

    This keeps values within three standard deviations. A constant channel does not change.
    """
    flat = image.flatten(1)
    mean, deviation = (value.reshape(-1, *[1] * (image.ndim - 1)) for value in (flat.mean(1), flat.std(1)))
    return torch.where(deviation > 1e-6, 0.5 + (image - mean) / (6 * deviation), image).clamp(0, 1)


def rotate_hue(image: torch.Tensor, angle: float) -> torch.Tensor:
    """Rotate the colors of ``(3, *spatial)`` about the axis of grays, without clipping; return other images unchanged.

    Args:
        image: intensities in [0, 1].
        angle: angle in radians; a third of a turn makes red green, green blue and blue red.
    """
    if len(image) != 3:
        return image
    axis = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    turn = math.cos(angle) * (torch.eye(3) - axis) + axis + math.sin(angle) * cross
    return torch.tensordot(turn.to(image), image, dims=1)


def halve(image: torch.Tensor) -> torch.Tensor:
    """Downsample to half the size, rounded up, by area, and upsample to the original size by linear interpolation."""
    size = tuple(image.shape[1:])
    smaller = resize(image[None], [(length + 1) // 2 for length in size])
    return resize(smaller, size)[0].clamp(0, 1)


def adjust_contrast(image: torch.Tensor, gamma: float, contrast: float) -> torch.Tensor:
    """Compute ``image**gamma``, scale its distance from its mean over all channels by ``contrast``, clip to [0, 1]."""
    bent = image**gamma
    mean = bent.mean()
    return (mean + contrast * (bent - mean)).clamp(0, 1)
