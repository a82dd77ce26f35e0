"""Windows of native voxels: how a volume becomes training material of one size, and how it is put together again."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional as F

Box = tuple[slice, ...]


def choose_boxes(label: torch.Tensor, roi_size: Sequence[int], count: int, id: str) -> list[Box]:
    """Boxes of at most ``roi_size`` to cut out of an image, the same ones every time.

    Args:
        label: class numbers ``(1, *spatial)``.
        roi_size: window, one number per spatial axis.
        count: how many boxes, if the image is larger than the window along any axis; else one holds all of it.
        id: name of the case, from which the places are drawn.

    Returns:
        One slice per spatial axis for each box. Every second box, the first one included, has a voxel of the
        foreground in its middle, if there is any, as far as the border permits; the others lie anywhere.
    """
    spatial = tuple(label.shape[1:])
    lengths = [min(window, side) for window, side in zip(roi_size, spatial, strict=True)]
    if lengths == list(spatial):
        return [tuple(slice(0, side) for side in spatial)]
    generator = torch.Generator().manual_seed(zlib.crc32(id.encode()))
    foreground = torch.nonzero(label[0])
    boxes = []
    for number in range(count):
        if number % 2 == 0 and len(foreground):
            middle = foreground[int(torch.randint(len(foreground), (1,), generator=generator))].tolist()
        else:
            middle = [int(torch.randint(side, (1,), generator=generator)) for side in spatial]
        starts = [
            min(max(0, center - length // 2), side - length)
            for center, length, side in zip(middle, lengths, spatial, strict=True)
        ]
        boxes.append(tuple(slice(start, start + length) for start, length in zip(starts, lengths, strict=True)))
    return boxes


def pad_to(array: torch.Tensor, roi_size: Sequence[int]) -> torch.Tensor:
    """Surround ``(C, *spatial)`` evenly with zeros up to ``roi_size``, as MONAI's sliding windows do."""
    missing = [max(0, window - side) for window, side in zip(roi_size, array.shape[1:], strict=True)]
    padding = [pad for total in reversed(missing) for pad in (total // 2, total - total // 2)]
    return F.pad(array, padding)


def tile(array: torch.Tensor, roi_size: Sequence[int]) -> torch.Tensor:
    """The windows that hold all of ``(C, *spatial)``, side by side around its middle, with zeros beyond its border.

    Returns:
        ``(windows, C, *size)``; one window if the array is not larger than it. :func:`untile` puts them together again.
    """
    counts = [-(-side // window) for side, window in zip(array.shape[1:], roi_size, strict=True)]
    padded = pad_to(array, [count * window for count, window in zip(counts, roi_size, strict=True)])
    for axis, window in enumerate(roi_size, start=1):
        padded = padded.unfold(axis, window, window)  # counts take the place of sides, windows are added at the end
    return padded.movedim(0, len(counts)).flatten(0, len(counts) - 1)


def untile(windows: torch.Tensor, spatial: Sequence[int]) -> torch.Tensor:
    """An array of size ``spatial`` from the windows that :func:`tile` made of it, ``(C, *spatial)``."""
    roi_size, dims = windows.shape[2:], len(spatial)
    counts = [-(-side // window) for side, window in zip(spatial, roi_size, strict=True)]
    # (n1, .., nd, C, s1, .., sd) to (C, n1, s1, .., nd, sd)
    order = [dims, *(axis for k in range(dims) for axis in (k, dims + 1 + k))]
    sides = [count * window for count, window in zip(counts, roi_size, strict=True)]
    padded = windows.reshape(*counts, *windows.shape[1:]).permute(order).reshape(-1, *sides)
    starts = [(side - old) // 2 for side, old in zip(sides, spatial, strict=True)]
    return padded[(slice(None), *(slice(start, start + old) for start, old in zip(starts, spatial, strict=True)))]


def choose_slices(label: torch.Tensor, axis: int, count: int, background: bool = False) -> Iterator[int]:
    """Positions of slices to train on, the same ones every time.

    Args:
        label: class numbers ``(1, *spatial)`` with some foreground.
        axis: spatial axis across which slices are taken.
        count: how many slices with foreground at most, evenly spread over all of them.
        background: whether to add slices without foreground in the same way, for networks that are to know them.
    """
    others = tuple(other for other in range(label.ndim) if other != axis + 1)
    found = torch.nonzero(torch.amax(label > 0, dim=others)).flatten().tolist()
    yield from _evenly(found, count)
    if background:
        yield from _evenly(sorted(set(range(label.shape[axis + 1])) - set(found)), count)


def _evenly(positions: Sequence[int], count: int) -> Iterator[int]:
    number = min(count, len(positions))
    return (positions[(2 * k + 1) * len(positions) // (2 * number)] for k in range(number))
