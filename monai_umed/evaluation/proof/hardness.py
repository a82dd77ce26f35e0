"""How hard each case is, so that what a model owes to the case is not taken for what it owes to having seen it.

The correction never sees which cases were published: it may be as clumsy as it likes without making a p-value wrong.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from ...data.case import DatasetError

FEATURES = ("log area", "log area squared", "contrast", "mean", "sd", "compactness", "structures' brightness")
_RIDGE = 1e-2  # of standardized features and as many cases: enough against features that say the same
_RING = 3  # pixels on either side of the contour


def features_of(image: np.ndarray, label: np.ndarray) -> tuple[float, ...]:
    """What of an image and its label tells how hard it is, see :data:`FEATURES`.

    Args:
        image: intensities in [0, 1], ``(C, *spatial)``.
        label: class numbers, ``(1, *spatial)``.
    """
    gray, inside = np.nan_to_num(image.mean(0, dtype=np.float64)), label[0] > 0
    inner = inside & ~binary_erosion(inside, iterations=_RING)
    outer = binary_dilation(inside, iterations=_RING) & ~inside
    area = np.log(inside.mean())
    edge = (inside & ~binary_erosion(inside)).sum()
    contrast = gray[inner].mean() - gray[outer].mean() if outer.any() else 0.0
    compactness = np.log(edge / inside.sum() ** (1 - 1 / inside.ndim))
    return tuple(
        round(float(value), 6)
        for value in (area, area**2, contrast, gray.mean(), gray.std(), compactness, gray[inside].mean())
    )


def read_hardness(path: str | Path, ids: Sequence[str]) -> dict[str, float]:
    """Read the Dice that models of the owner reach on each case without having been trained on it.

    Args:
        path: CSV file with two columns, the case's name and its Dice; a first line ``case,dice`` is a heading.
        ids: the cases that are needed; others are ignored.

    Raises:
        DatasetError: If the file cannot be read, holds something else than Dice, or lacks a case.
    """
    path = Path(path)
    try:
        lines = [line for line in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if line]
        found = {name.strip(): float(value) for name, value in lines if (name, value) != ("case", "dice")}
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(str(path), [f"no table of Dice ({error}); write lines such as scan_01,0.83"]) from error
    offenders = [
        f"{id}: its Dice is {found[id]:g}, must be 0 to 1" for id in ids if id in found and not 0 <= found[id] <= 1
    ]
    offenders += [
        f"{id}: has no line; score all cases, each by a model that has not seen it" for id in ids if id not in found
    ]
    if offenders:
        raise DatasetError(str(path), offenders)
    return found


def correct(scores: np.ndarray, features: np.ndarray) -> np.ndarray:
    """What is left of scores after a ridge regression on features.

    Args:
        scores: one per case, NaN where there is none.
        features: one row per case.

    Returns:
        Residuals of the same shape, NaN where there was no score.
    """
    known = np.isfinite(scores)
    if known.sum() <= features.shape[1] + 2:
        return scores - (scores[known].mean() if known.any() else 0)
    table = features[known]
    spread = table.std(0)
    table = (table[:, spread > 1e-9] - table[:, spread > 1e-9].mean(0)) / spread[spread > 1e-9]
    centered = scores[known] - scores[known].mean()
    gram = table.T @ table + _RIDGE * len(table) * np.eye(table.shape[1])
    residuals = np.full(scores.shape, np.nan)
    residuals[known] = centered - table @ np.linalg.solve(gram, table.T @ centered)
    return residuals
