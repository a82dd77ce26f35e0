"""The volumes of the embedded default dataset: contrast-enhanced CT of something like an upper abdomen.

Contrast and noise are those of the ultrasound images in `monai_umed.data.phantom`, relative to the window of 0.5 to
99.5 %, which is some 440 HU wide. Median (10..90 %) of 100 volumes:
- sd of the volume minus its 3x3x3 mean: .031 (.026-.038), in the organ .025 (.019-.032);
- mean of the organ minus mean of its surround: .169 (.118-.212);
- Dice of the best threshold for all volumes, smoothed: .65, as vessels and bowel may be as bright as the organ;
- Dice of the place where organs are most often: .49.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit

Array = npt.NDArray[np.float64]

VOLUME_SHAPE, VOLUME_SPACING = (48, 64, 48), (1.0, 1.0, 1.5)  # voxels, mm


def make_volume(rng: np.random.Generator) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """An organ in uneven soft tissue, among fat, a bone and tubes.

    Returns:
        `(image, label)` of shape `VOLUME_SHAPE`: int16 in HU; uint8, 0 or 1, of which 10..20 % are 1.
    """
    extent = np.multiply(VOLUME_SHAPE, VOLUME_SPACING)  # mm, as all lengths here
    grid = np.indices(VOLUME_SHAPE) * np.reshape(VOLUME_SPACING, (3, 1, 1, 1))
    grid += [rng.uniform(1.5, 3) * _smooth_volume(rng, (2, 2, 2)) for _ in range(3)]  # nothing in a body is straight
    soft = rng.uniform(25, 55)
    hounsfield = soft + rng.uniform(10, 18) * _smooth_volume(rng, (5, 6, 6))
    fat = _smooth_volume(rng, (3, 4, 4))
    fat = expit(8 * (fat - np.quantile(fat, rng.uniform(0.75, 0.92))))
    hounsfield += fat * (rng.uniform(-115, -90) - hounsfield)
    for _ in range(rng.integers(3, 7)):
        tube = expit(2 * (rng.uniform(3, 7) - _line_distance(rng, grid, extent)))
        hounsfield += tube * (soft + rng.uniform(30, 130) - hounsfield)
    # At the back, as the spine. Its values and those of fat keep the window as wide as that of real scans.
    bone = _ellipsoid_distance(rng, grid, extent, (0.2, 0.04, 0.2), (0.8, 0.12, 0.8)) <= rng.uniform(9, 13)
    hounsfield[bone] = rng.uniform(250, 400)
    # Not always in the middle: a network that learns the place cannot be misled by any perturbation.
    organ = _ellipsoid_distance(rng, grid, extent, (0.25, 0.25, 0.25), (0.75, 0.75, 0.75))
    organ = np.where(bone, np.inf, organ * np.exp(0.09 * _smooth_volume(rng, (3, 4, 3))))
    edge = np.quantile(organ, rng.uniform(0.10, 0.20))
    texture = rng.uniform(4, 12) * _smooth_volume(rng, rng.integers(5, 13, 3).tolist())
    inside = expit((edge - organ) * rng.uniform(1, 3))
    hounsfield += inside * (soft + rng.uniform(65, 100) + texture - hounsfield)
    blur, grain = (rng.uniform(low, 0.8) / np.array(VOLUME_SPACING) for low in (0.4, 0.5))
    noise = standardize(ndimage.gaussian_filter(rng.standard_normal(VOLUME_SHAPE), grain, truncate=3))
    volume = ndimage.gaussian_filter(hounsfield, blur, truncate=3) + rng.uniform(7, 15) * noise
    return np.rint(volume).astype(np.int16), (organ <= edge).astype(np.uint8)


def _ellipsoid_distance(
    rng: np.random.Generator, grid: Array, extent: Array, low: tuple[float, ...], high: tuple[float, ...]
) -> Array:
    """Distance in mm, stretched along the axes, from a point that lies between two shares of the extent."""
    center, axes = extent * rng.uniform(low, high), rng.uniform(0.75, 1.3, 3)
    return np.sqrt(sum(((g - c) / a) ** 2 for g, c, a in zip(grid, center, axes, strict=True)))


def _line_distance(rng: np.random.Generator, grid: Array, extent: Array) -> Array:
    """Distance in mm from a line anywhere."""
    start, direction = extent * rng.random(3), rng.standard_normal(3)
    offset = [g - s for g, s in zip(grid, start, strict=True)]
    along = sum(o * d for o, d in zip(offset, direction / np.linalg.norm(direction), strict=True))
    return np.sqrt(np.maximum(sum(o**2 for o in offset) - along**2, 0))  # rounding may leave less than 0


def _smooth_volume(rng: np.random.Generator, bumps: Sequence[int]) -> Array:
    """Noise with about as many independent bumps along each axis as told; mean 0, sd 1.

    Axis by axis, which takes a hundredth of the time of `ndimage.map_coordinates` in 3D.
    """
    values = rng.standard_normal([n + 3 for n in bumps])
    for size, count in zip(VOLUME_SHAPE, values.shape, strict=True):
        weights = ndimage.zoom(np.eye(count), (size / count, 1), order=3, mode="nearest")
        values = np.einsum("i...,ni->...n", values, weights)
    return standardize(values)


def standardize(noise: Array) -> Array:
    """Noise shifted and scaled to mean 0 and sd 1."""
    return (noise - noise.mean()) / noise.std()
