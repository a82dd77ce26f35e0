"""Find test images that also occur, or nearly occur, in the training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from monai.networks.layers.factories import Pool
from torch.nn import functional as F

THRESHOLD = 0.7
SIDE = {2: 64, 3: 32}  # side of the reduced grid by the number of axes; memory grows with the third power in 3D
NEIGHBORHOOD = 5  # pixels of that grid
FLOOR = 0.5  # fraction of the whole image's contrast that keeps the noise of flat neighborhoods small
SHIFT = 1  # pixels of that grid, in every direction


@dataclass(frozen=True)
class Leak:
    """A test image that occurs, or nearly occurs, in the training set.

    Attributes:
        test_id: id of the test image.
        train_id: id of the most similar training image.
        correlation: correlation of their local contrast, at most 1.
    """

    test_id: str
    train_id: str
    correlation: float


def local_contrast(images: torch.Tensor) -> torch.Tensor:
    """Compute details relative to the contrast around them, which differ between images of the same anatomy.

    Images are reduced by area to at most 64 pixels a side (32 voxels for volumes). Every pixel becomes its difference
    from the mean of its 5 x 5 neighborhood, divided by the root mean square of such differences there plus half of that
    of the whole image. The result does not depend on the brightness and contrast of the whole image.

    Args:
        images: ``(N, 1, *spatial)``, float, 2D or 3D.

    Returns:
        ``(N, 1, *reduced)``; zeros for an image without structure.
    """
    dims = images.ndim - 2
    reduced = tuple(min(SIDE[dims], size) for size in images.shape[2:])
    gray = Pool[Pool.ADAPTIVEAVG, dims](reduced)(images)
    mean = Pool[Pool.AVG, dims](NEIGHBORHOOD, stride=1, padding=NEIGHBORHOOD // 2, count_include_pad=False)
    detail = gray - mean(gray)
    overall = detail.square().flatten(1).mean(1).sqrt().view(-1, *[1] * (dims + 1))
    # What rounding leaves of a flat image is no structure.
    detail = torch.where(overall > 1e-5, detail, 0.0)
    return detail / (mean(detail.square()).sqrt() + FLOOR * overall + 1e-12)


def _unit(windows: torch.Tensor) -> torch.Tensor:
    flat = windows.flatten(1)
    return F.normalize(flat - flat.mean(1, keepdim=True), eps=1e-6)


def _window(images: torch.Tensor, starts: Sequence[int]) -> torch.Tensor:
    """Crop ``2 * SHIFT`` pixels of every axis, beginning at ``starts``, and return unit vectors."""
    for axis, start in enumerate(starts, start=2):
        images = images.narrow(axis, start, images.shape[axis] - 2 * SHIFT)
    return _unit(images)


def correlate(test: torch.Tensor, train: torch.Tensor) -> torch.Tensor:
    """Correlate the local contrast of images, at the best of all shifts by up to one pixel of the reduced grid.

    Args:
        test: ``(N, 1, *spatial)``, float, 2D or 3D.
        train: ``(M, 1, *spatial)``, same grid.

    Returns:
        Correlations ``(N, M)`` in [-1, 1].
    """
    first, second = local_contrast(test), local_contrast(train)
    dims = first.ndim - 2
    center = _window(second, [SHIFT] * dims).T
    best = torch.full((len(first), len(second)), -1.0)
    for starts in product(range(2 * SHIFT + 1), repeat=dims):  # one matrix product each
        torch.maximum(best, _window(first, starts) @ center, out=best)
    return best.clamp_(max=1)


def _stack(items: Sequence[dict], name: str) -> torch.Tensor:
    if len(items) == 0:
        raise ValueError(f"{name} has no items; at least one is needed to look for leaks.")
    shapes = sorted({tuple(item["image"].shape[1:]) for item in items})
    if len(shapes) > 1:
        raise ValueError(f"Images of {name} have {len(shapes)} sizes, {shapes[0]} and others; bring them to one grid.")
    smallest = 2 * SHIFT + 2
    if len(shapes[0]) not in SIDE or min(shapes[0]) < smallest:
        raise ValueError(
            f"Images of {name} have size {shapes[0]}; 2 or 3 axes of at least {smallest} pixels are needed."
        )
    return torch.stack([item["image"].to(torch.float32).mean(0, keepdim=True) for item in items])


def find_leaks(train: Sequence[dict], test: Sequence[dict], threshold: float = THRESHOLD) -> list[Leak]:
    """Find test images that are in the training set by comparing the images, never their names.

    The threshold was measured on 128 x 128 grids, with the training side of each dataset against its test side. The
    most similar images that are not copies reach 0.53 in chest X-rays (Montgomery and Shenzhen), 0.54 in Kvasir-SEG
    and, as volumes, 0.57 in hippocampus MRI; within the training side of the X-rays, two pairs reach 0.67. A copy keeps
    at least 0.95 after this tool's perturbation of 4/255, after JPEG at quality 75 and after resizing to half the size
    and back; 0.86 after JPEG at quality 30, 0.80 after cropping 1 % on each side, 0.78 after Gaussian noise of 0.03.
    Two frames of one ultrasound scan, frequent in BUSI, reach 0.3 to 0.9: some of them are found.

    It does not find flipped and rotated copies, crops of 2 % or more on each side, and other images of one patient. On
    grids below 64 pixels, different images look more similar, up to 0.85 at 32, so that a report may be no leak.

    Args:
        train: items with ``id`` and ``image`` ``(C, *spatial)``, all on one grid.
        test: items on the same grid; the number of channels may differ.
        threshold: smallest correlation of the local contrast at which images count as the same, in (0, 1].

    Returns:
        One leak per test image that has one, with the most similar training image; the highest correlation first.

    Raises:
        ValueError: If there are no items, the grids differ, or the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it must be above 0 and at most 1.")
    images, others = _stack(test, "test"), _stack(train, "train")
    if images.shape[2:] != others.shape[2:]:
        raise ValueError(
            f"Test images have size {tuple(images.shape[2:])}, training images {tuple(others.shape[2:])}; "
            "bring them to one grid."
        )
    correlations, nearest = correlate(images, others).max(dim=1)
    leaks = [
        Leak(item["id"], train[index]["id"], correlation)
        for item, index, correlation in zip(test, nearest.tolist(), correlations.tolist(), strict=True)
        if correlation >= threshold
    ]
    return sorted(leaks, key=lambda leak: (-leak.correlation, leak.test_id))
