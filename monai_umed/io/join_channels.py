"""Join images of one channel each to one image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .grids import GRID_TOLERANCE, describe_grid, grid_corners
from .stored import CodecError, StoredImage

_CURE = "resample it to the first channel (SimpleITK.Resample(image, first)), and its label if need be"


def join_channels(images: Mapping[str, StoredImage]) -> StoredImage:
    """Join channels that have their own files; each keeps its type, scale, header and window.

    Args:
        images: channels in their order, by the names of their files.

    Returns:
        The image, with spacing, place and format of the first channel.

    Raises:
        CodecError: If a file has several channels or transparency, or another shape or place than the first.
    """
    channels = tuple(images.values())
    first, first_name = channels[0], next(iter(images))
    for name, image in images.items():
        if len(image.array) != 1:
            reason = f"it has {len(image.array)} channels, with transparency, and is one of {len(images)} of its image"
            raise CodecError(name, reason, "save each channel as gray, without transparency, in a file of its own")
        if image.shape != first.shape:
            raise CodecError(name, f"its shape is {image.shape}, that of {first_name} is {first.shape}", _CURE)
        if not _same_place(image, first):
            places = [describe_grid(one.grid, one.shape) for one in (image, first) if one.grid is not None]
            raise CodecError(name, f"it lies elsewhere than {first_name} (mm, LPS; {'; '.join(places)})", _CURE)
    array = np.concatenate([image.array for image in channels])
    return StoredImage(
        array,
        intensity_window=tuple(image.ends for image in channels),
        spacing=first.spacing,
        format=first.format,
        header=first.header,
        value_range=first.value_range,
        affine=first.affine,
        grid=first.grid,
        channels=channels,
    )


def _same_place(image: StoredImage, first: StoredImage) -> bool:
    """Whether all corners are at the same place; images without a grid are not compared."""
    if image.grid is None or first.grid is None or image.grid.shape != first.grid.shape:
        return True
    ndim = len(first.grid) - 1
    corners = grid_corners((*first.shape, 1, 1, 1)[:ndim])
    moved = np.linalg.solve(first.grid, image.grid @ corners)
    return bool(np.abs(moved - corners).max() <= GRID_TOLERANCE)
