"""Measure how protection changes radiomics features of the region: first-order statistics and texture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import numpy as np
from scipy.stats import kurtosis, skew
from skimage.feature import graycomatrix, graycoprops

LEVELS = 32
ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
FLOOR = 1e-3
"""Smallest divisor of a change, since features closer to 0 would make any change look huge."""


def _levels(values: np.ndarray) -> np.ndarray:
    """Return gray levels 0 to 31 by fixed bins over [0, 1], which are the same for both versions of an image."""
    return np.minimum((values * LEVELS).astype(np.int64), LEVELS - 1)


def _entropy(values: np.ndarray) -> float:
    fraction = np.bincount(_levels(values)) / len(values)
    fraction = fraction[fraction > 0]
    return float(np.abs((fraction * np.log2(fraction)).sum()))  # abs, since a single level gives -0.0


def _moment(function: Callable[[np.ndarray], float], of_constant: float, values: np.ndarray) -> float:
    # NumPy's mean of equal numbers may have a rounding error, and skewness and kurtosis would divide its powers.
    return of_constant if values.min() == values.max() else float(function(values))


FIRST_ORDER: dict[str, Callable[[np.ndarray], float]] = {
    "mean": np.mean,
    "standard deviation": np.std,
    "skewness": partial(_moment, skew, 0.0),
    "kurtosis": partial(_moment, partial(kurtosis, fisher=False), 3.0),
    "10th percentile": partial(np.percentile, q=10),
    "90th percentile": partial(np.percentile, q=90),
    "energy": lambda values: np.square(values).sum(),
    "entropy": _entropy,
}
"""Functions of the region's intensities ``(N,)``, float64.

Definitions and names of the Image Biomarker Standardisation Initiative (IBSI, Zwanenburg et al. 2020): intensity-based
statistics Q4LE (mean), KE2A (skewness), QG58 and 8DWT (percentiles), N8CA (energy, the sum of squares), and TLU2
(entropy, in bits, of the 32 gray levels). Kurtosis is IPH6 plus 3, so that it is not divided by numbers near 0; the
standard deviation is the square root of the variance ECT3. Constant regions have skewness 0 and kurtosis 3.
"""

TEXTURE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "GLCM contrast": partial(graycoprops, prop="contrast"),
    "GLCM dissimilarity": partial(graycoprops, prop="dissimilarity"),
    "GLCM homogeneity": partial(graycoprops, prop="homogeneity"),
    "GLCM angular second moment": partial(graycoprops, prop="ASM"),
    "GLCM correlation": partial(graycoprops, prop="correlation"),
}
"""Functions of co-occurrence matrices ``(32, 32, 1, directions)``, one value a direction.

IBSI's ACUI (contrast), 8S9J (dissimilarity), WF0Z (homogeneity, there inverse difference moment), 8ZQL (angular second
moment) and NI2N (correlation).
"""


def cooccurrence(levels: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Count how often two gray levels are neighbors within the region, for each direction that has neighbors.

    The matrices are symmetric, for a distance of 1 pixel. In 3D, they are summed over slices along the last axis, which
    is IBSI's "2.5D, direction-merged" (JJUI).

    Args:
        levels: ``(H, W)`` or ``(H, W, D)``, 0 to 31.
        region: boolean, same shape.

    Returns:
        Counts ``(32, 32, 1, directions)``, for 0 to 4 directions: 0, 45, 90, 135 degrees.
    """
    marked = np.where(region, levels, LEVELS).astype(np.uint8)  # one more level for what is outside
    slices = marked.reshape(*marked.shape[:2], -1)
    counts = np.zeros((LEVELS, LEVELS, 1, len(ANGLES)))
    for index in range(slices.shape[-1]):
        found = graycomatrix(slices[..., index], [1], ANGLES, levels=LEVELS + 1, symmetric=True)
        counts += found[:LEVELS, :LEVELS]
    return counts[..., counts.sum(axis=(0, 1, 2)) > 0]


def radiomics_features(image: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Compute features of the region, after averaging channels; texture is averaged over directions.

    For entropy and texture, intensities are put into 32 bins of equal width over [0, 1]. Spacing is ignored: neighbors
    are adjacent pixels.

    Args:
        image: ``(C, *spatial)`` in [0, 1], 2D or 3D, at native size.
        label: ``(1, *spatial)``; the region is where it is above 0.

    Returns:
        Values by the names of :data:`FIRST_ORDER` and :data:`TEXTURE`. Texture is left out if no two pixels of the
        region are neighbors.

    Raises:
        ValueError: If shapes do not fit, the region is empty, or intensities are not in [0, 1].
    """
    if image.ndim not in (3, 4) or label.shape != (1, *image.shape[1:]):
        raise ValueError(
            f"The image has shape {image.shape}, the label {label.shape}; (C, *spatial) and (1, *spatial) with 2 or 3 "
            "axes are needed."
        )
    region = label[0] > 0
    if not region.any():
        raise ValueError("The label is empty; radiomics needs a region with at least one pixel.")
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in region.nonzero())
    region, gray = region[box], image[(slice(None), *box)].mean(axis=0, dtype=np.float64)
    values = gray[region]
    if not (values.min() >= 0 and values.max() <= 1):  # also true of NaN
        raise ValueError(
            f"Intensities of the region range from {values.min():g} to {values.max():g}, not over [0, 1]; scale the "
            "image first."
        )
    features = {name: float(function(values)) for name, function in FIRST_ORDER.items()}
    matrices = cooccurrence(_levels(np.where(region, gray, 0)), region)
    if matrices.shape[-1] > 0:
        features |= {name: float(function(matrices).mean()) for name, function in TEXTURE.items()}
    return features


def radiomics_change(clean_image: np.ndarray, protected_image: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Compute the relative change of every feature by name, ``|protected - clean| / max(|clean|, 0.001)``.

    Args:
        clean_image: see :func:`radiomics_features`.
        protected_image: image of the same shape.
        label: see :func:`radiomics_features`.

    Raises:
        ValueError: If the images differ in shape, or for the reasons of :func:`radiomics_features`.
    """
    if clean_image.shape != protected_image.shape:
        raise ValueError(
            f"The clean image has shape {clean_image.shape}, the protected one {protected_image.shape}; they must be "
            "versions of one image."
        )
    clean, protected = (radiomics_features(image, label) for image in (clean_image, protected_image))
    return {name: abs(protected[name] - value) / max(abs(value), FLOOR) for name, value in clean.items()}


def summarize_changes(changes: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of every feature's change over the cases that have it.

    Args:
        changes: one dictionary per case, from :func:`radiomics_change`.

    Raises:
        ValueError: If there are no cases.
    """
    if len(changes) == 0:
        raise ValueError("There are no cases; at least one is needed for a median.")
    names = [name for name in (*FIRST_ORDER, *TEXTURE) if any(name in change for change in changes)]
    return {name: median(change[name] for change in changes if name in change) for name in names}
