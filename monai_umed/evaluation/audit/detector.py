"""Measure how well a linear detector tells protected from clean files by the spectrum of the image alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import mannwhitneyu

MIN_CASES = 10
FOLDS = 5
BANDS = {2: 12, 3: 6}  # per axis, by the number of axes: 144 and 216 features
RIDGE = 0.1  # fraction of a standardized feature's variance
POWER_FLOOR = 1e-9  # of intensities in [0, 1], squared; rounding to 8 bits leaves 1e-6


def _bands(length: int, count: int) -> torch.Tensor:
    """Return the band of every frequency of an axis, from 0 for constant to ``count - 1`` for alternating."""
    waves = torch.arange(length)
    waves = torch.minimum(waves, length - waves)
    # Use whole numbers, since a rounding error at the edge of a band could leave it without any frequency.
    return (2 * count * waves // length).clamp_(max=count - 1)


def spectrum(image: torch.Tensor) -> torch.Tensor:
    """Compute the log power of an image ``(C, *spatial)`` in [0, 1] in frequency bands, float64 ``(bands,)``.

    The mean of each channel is removed and a Hann window fades out the borders. The power spectrum, averaged over
    channels and both signs of a frequency, is averaged over 12 x 12 bands of horizontal and vertical frequency
    (6 x 6 x 6 for volumes, per axis at most half the smallest side).
    """
    size = tuple(image.shape[1:])
    axes = tuple(range(1, image.ndim))
    count = min(BANDS[len(size)], min(size) // 2)
    values = image.double()
    values = values - values.mean(axes, keepdim=True)
    index = torch.zeros((), dtype=torch.int64)
    for axis, length in zip(axes, size, strict=True):
        shape = [-1 if other == axis else 1 for other in range(image.ndim)]
        values = values * torch.hann_window(length, dtype=torch.float64).view(shape)
        index = index * count + _bands(length, count).view(shape[1:])
    power = torch.fft.fftn(values, dim=axes).abs().square().mean(0) / values[0].numel()
    flat, cells = index.flatten(), count ** len(size)
    total = torch.zeros(cells, dtype=torch.float64).index_add_(0, flat, power.flatten())
    return (total / torch.bincount(flat, minlength=cells) + POWER_FLOOR).log()


def _direction(clean: np.ndarray, protected: np.ndarray) -> np.ndarray:
    """Compute Fisher's linear discriminant with a ridge, in units of the features: protected files score higher."""
    spread = np.concatenate([clean, protected]).std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1)  # smaller variation is rounding and must not be amplified
    first, second = clean / scale, protected / scale
    centered = np.concatenate([first - first.mean(axis=0), second - second.mean(axis=0)])
    scatter = centered.T @ centered / len(centered)
    difference = second.mean(axis=0) - first.mean(axis=0)
    return np.linalg.solve(scatter + RIDGE * np.eye(len(scatter)), difference) / scale


def area_under_curve(negative: np.ndarray, positive: np.ndarray) -> float:
    """Return the fraction of pairs in which the positive scores higher (Mann-Whitney's U); a tie counts one half."""
    return float(mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative)))


def _pairs(clean: Sequence[dict], protected: Sequence[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Return features of the cases in both sets, ``(cases, bands)`` each, sorted by id."""
    images = [{item["id"]: item["image"] for item in items} for items in (clean, protected)]
    ids = sorted(images[0].keys() & images[1].keys())
    if len(ids) < MIN_CASES:
        raise ValueError(
            f"{len(ids)} cases are in both sets, of {len(clean)} clean and {len(protected)} protected ones; the "
            f"detector needs at least {MIN_CASES} with equal ids."
        )
    shapes = sorted({tuple(image[id].shape) for image in images for id in ids})
    if len(shapes) > 1:
        raise ValueError(f"Images have {len(shapes)} shapes, {shapes[0]} and others; bring them to one grid.")
    if len(shapes[0]) - 1 not in BANDS or min(shapes[0][1:]) < 4:
        raise ValueError(f"Images have shape {shapes[0]}; (C, *spatial) with 2 or 3 axes of at least 4 is needed.")
    first, second = (torch.stack([spectrum(image[id]) for id in ids]).numpy() for image in images)
    return first, second


def detector_auc(clean: Sequence[dict], protected: Sequence[dict], seed: int = 0) -> float:
    """Compute the area under the ROC curve of a linear detector of protected files.

    The detector is a linear discriminant on :func:`spectrum`, which sees neither the mask nor the clean original of a
    file. In five-fold cross-validation over cases, both files of a case are in the same fold, and the result is the
    mean AUC of the folds, so that scores of different detectors are never compared.

    A value near 0.5 means that this simple detector fails, not that none could succeed.

    Args:
        clean: items with ``id`` and ``image`` ``(C, *spatial)`` in [0, 1], all on one grid.
        protected: their protected versions under the same ids, in any order; cases in one set only are left out.
        seed: seed of the folds.

    Returns:
        AUC in [0, 1]: 0.5, or by chance somewhat less, for guessing, exactly 0.5 for identical sets, 1 for no error.

    Raises:
        ValueError: If fewer than ten cases are in both sets, or the images differ in shape.
    """
    first, second = _pairs(clean, protected)
    order = np.random.default_rng(seed).permutation(len(first))
    results = []
    for fold in range(FOLDS):
        held_out, rest = order[fold::FOLDS], np.setdiff1d(order, order[fold::FOLDS])
        direction = _direction(first[rest], second[rest])
        results.append(area_under_curve(first[held_out] @ direction, second[held_out] @ direction))
    return float(np.mean(results))
