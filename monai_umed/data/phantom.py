"""The embedded default dataset: synthetic scans that protectors and networks treat like real ones. No real data inside.

Median (10..90 %) of 300 phantoms against 647 images of BUSI, real breast ultrasound of twice the size; gray in [0, 1]:
- sd of image minus 3x3 mean at 128 px: .027 (.024-.031) against .029 (.022-.037), in the lesion .023 against .028;
- mean of the lesion's surround minus mean of the lesion: .182 (.135-.227) against .188 (.069-.360);
- neighbors of a lesion pixel that differ by more than 2/255: .77 (.72-.80) against .61, at half size .71 (.50-.80);
- correlation of neighboring pixels, lateral / axial: .93 / .73 against .97 / .85, at half size .96 / .79.
The contrast varies less than in BUSI, because networks find very dark lesions whatever is done to the training images.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from scipy.special import expit

from .phantom_volume import VOLUME_SPACING, make_volume, standardize

Array = npt.NDArray[np.float64]
Case = tuple[npt.NDArray[np.uint8 | np.int16], npt.NDArray[np.uint8]]

# By spatial_dims, part of every dataset's record: raise it whenever make_phantom draws something else, so that no old
# cache is reused.
VERSIONS = {2: 1, 3: 2}
# spatial_dims -> (image folder, label folder, file suffix), in the layout usual for each kind of file.
LAYOUTS = {2: ("images", "masks", ".png"), 3: ("imagesTr", "labelsTr", ".nii.gz")}


def make_phantom(seed: int, index: int, spatial_dims: int = 2) -> Case:
    """One synthetic scan and its label; the same arguments give the same arrays in every process.

    Args:
        seed, index: non-negative numbers of the dataset and of the case within it.
        spatial_dims: 2 for a breast-ultrasound-like image with one lesion, 3 for a CT-like volume with one organ.

    Returns:
        `(image, label)` of equal shape. 2D: `(H, W)` with H in 200..280 and W in 220..320, uint8 gray values 0..255.
        3D: `(48, 64, 48)`, int16 in Hounsfield units, voxels of 1 x 1 x 1.5 mm. Label: uint8, 0 or 1; the lesion
        covers 3..15 % of the image, the organ 10..20 % of the volume.

    Raises:
        ValueError: If `spatial_dims` is neither 2 nor 3, or `seed` or `index` is negative.
    """
    if spatial_dims not in LAYOUTS or seed < 0 or index < 0:
        raise ValueError(f"spatial_dims ({spatial_dims}) must be 2 or 3, seed ({seed}) and index ({index}) >= 0")
    rng = np.random.default_rng([seed, index])
    return _ultrasound(rng) if spatial_dims == 2 else make_volume(rng)


def write_phantom(
    folder: str | os.PathLike[str],
    *,
    spatial_dims: int = 2,
    num_train: int | None = None,
    num_test: int | None = None,
    seed: int = 0,
) -> Path:
    """Write a dataset as ordinary files, or reuse the folder if it already holds exactly this dataset.

    2D: `images/NAME.png` and `masks/NAME.png` (8 bit, mask 0 or 255). 3D: `imagesTr/NAME.nii.gz` (int16) and
    `labelsTr/NAME.nii.gz` (uint8). Beside them `split.json` `{"train": [NAME, ...], "test": [...]}` and `phantom.json`
    with the parameters. The folder appears under its name only when it is complete.

    Args:
        folder: where to write, and what is returned; missing parents are created.
        spatial_dims, seed: 2 or 3; non-negative number of the dataset.
        num_train, num_test: numbers of training cases (at least 1) and test cases (at least 0), by default 224 and 56
            images, or 120 and 30 volumes.

    Raises:
        ValueError: If a parameter is out of range.
        FileExistsError: If the folder holds anything else, also a phantom with other parameters.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> len(mu.find_cases(data, "train"))
        4
    """
    num_train, num_test = _counts(spatial_dims, num_train, num_test)
    if spatial_dims not in LAYOUTS or num_train < 1 or num_test < 0 or seed < 0:
        limits = f"num_train ({num_train}) >= 1, num_test ({num_test}) >= 0, seed ({seed}) >= 0"
        raise ValueError(f"spatial_dims ({spatial_dims}) must be 2 or 3, {limits}; pass values in these limits")
    folder = Path(folder)
    record = {"version": VERSIONS[spatial_dims], "spatial_dims": spatial_dims}
    record |= {"num_train": num_train, "num_test": num_test, "seed": seed}
    if _holds(folder, record):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A sibling is on the same file system, so the final rename is one step: an interrupted run never looks finished.
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        unfinished = Path(temporary) / folder.name
        _write_cases(unfinished, record)
        try:
            unfinished.rename(folder)
        except OSError:
            if not _holds(folder, record):  # it may be finished by another process meanwhile
                raise
    return folder


def _counts(spatial_dims: int, num_train: int | None, num_test: int | None) -> tuple[int, int]:
    """Training and test cases; a volume takes as long to train on as many images."""
    train, test = (120, 30) if spatial_dims == 3 else (224, 56)
    return train if num_train is None else num_train, test if num_test is None else num_test


def phantom_dir(
    spatial_dims: int = 2, *, num_train: int | None = None, num_test: int | None = None, seed: int = 0
) -> Path:
    """The dataset in the cache, written on first use; arguments and errors as in `write_phantom`.

    The cache is the folder in the environment variable `MONAI_UMED_CACHE`, otherwise `~/.cache/monai_umed`.

    Example:
        >>> mu.phantom_dir(num_train=2, num_test=1).name
        'phantom2d_v1_train2_test1_seed0'
    """
    cache = Path(os.environ.get("MONAI_UMED_CACHE") or Path.home() / ".cache/monai_umed")
    num_train, num_test = _counts(spatial_dims, num_train, num_test)
    version = VERSIONS.get(spatial_dims)  # other dimensions are refused where all parameters are
    name = f"phantom{spatial_dims}d_v{version}_train{num_train}_test{num_test}_seed{seed}"
    return write_phantom(cache / name, spatial_dims=spatial_dims, num_train=num_train, num_test=num_test, seed=seed)


def _holds(folder: Path, record: dict[str, int]) -> bool:
    """Whether the folder holds this dataset; False if nothing is there, an error if something else is."""
    if not folder.exists():
        return False
    marker = folder / "phantom.json"
    found = json.loads(marker.read_text()) if marker.is_file() else "no finished phantom"
    if found != record:
        raise FileExistsError(f"{folder} holds {found}, not {record}; pass another folder or delete this one")
    return True


def _write_cases(folder: Path, record: dict[str, int]) -> None:
    spatial_dims = record["spatial_dims"]
    image_folder, label_folder, suffix = LAYOUTS[spatial_dims]
    (folder / image_folder).mkdir(parents=True)
    (folder / label_folder).mkdir()
    names = [f"phantom_{index:04d}" for index in range(record["num_train"] + record["num_test"])]

    def write(index: int) -> None:
        image, label = make_phantom(record["seed"], index, spatial_dims)
        _save(folder / image_folder / f"{names[index]}{suffix}", image)
        # Viewers show a mask of 0 and 1 as black.
        _save(folder / label_folder / f"{names[index]}{suffix}", label * np.uint8(255 if spatial_dims == 2 else 1))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(len(names))))  # each case has random numbers of its own
    split = {"train": names[: record["num_train"]], "test": names[record["num_train"] :]}
    (folder / "split.json").write_text(json.dumps(split, indent=1))
    (folder / "phantom.json").write_text(json.dumps(record, indent=1))


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    if array.ndim == 2:
        return Image.fromarray(array).save(path)
    volume = nib.Nifti1Image(array, np.diag([*VOLUME_SPACING, 1.0]))
    volume.header.set_xyzt_units("mm")
    volume.to_filename(path)


def _ultrasound(rng: np.random.Generator) -> Case:
    """Everything is added up in log-compressed gray values [0, 1], where real speckle has the same sd everywhere."""
    shape = int(rng.integers(200, 281)), int(rng.integers(220, 321))
    gray = _tissue(rng, shape)
    _add_distractors(rng, gray)
    radius, size = _lesion_radius(rng, shape)
    inside = expit((1 - radius) * size / rng.uniform(1.0, 4.0))  # a margin of so many px
    surround = gray[(radius > 1) & (radius < 1.5)].mean()
    texture = 0.04 * _smooth_noise(rng, shape, (12, 12)) + 0.3 * (gray - surround)
    gray += inside * (surround - rng.uniform(0.17, 0.27) + texture - gray)
    # Behind a lesion: nothing, an acoustic shadow (often) or the enhancement of a fluid-filled one.
    behind = ndimage.gaussian_filter(np.maximum.accumulate(inside, axis=0) - inside, (2, 5))
    gray += behind * rng.choice([0.0, -1.0, -1.0, 0.6]) * rng.uniform(0.03, 0.12)
    gray -= 0.02 + rng.uniform(0.02, 0.22) * (np.arange(shape[0])[:, None] / shape[0]) ** rng.uniform(1.0, 2.5)
    gray += rng.uniform(0.04, 0.064) * _speckle(rng, shape)
    return np.rint(255 * np.clip(gray, 0, 1)).astype(np.uint8), (radius <= 1).astype(np.uint8)


def _tissue(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Skin, fat, glandular tissue and muscle below each other, each with its own brightness and fibers, all bent."""
    height, width = shape
    depth = np.arange(height)[:, None] / height
    fiber_length = rng.uniform(7, 14)  # px
    lines = ndimage.gaussian_filter(rng.standard_normal(shape), (1.3, fiber_length), truncate=3)
    fibers = np.maximum(lines / lines.std() - 0.6, 0)
    gray = np.full(shape, rng.uniform(0.62, 0.75))
    # Top edge (share of the depth), its waviness, mean gray and fiber strength of fat, gland and muscle.
    for edge, wave, level, strength in (
        (rng.uniform(0.02, 0.05), 0.004, rng.uniform(0.36, 0.46), 0.11),
        (rng.uniform(0.18, 0.38), 0.03, rng.uniform(0.46, 0.60), 0.10),
        (rng.uniform(0.60, 0.85), 0.03, rng.uniform(0.36, 0.50), 0.15),
    ):
        below = (depth - edge - wave * _smooth_noise(rng, (1, width), (1, 5))) * height  # px
        gray += np.clip(below / 3 + 0.5, 0, 1) * (level + strength * fibers - gray)
        gray += rng.uniform(0.05, 0.15) * np.exp(-((below / 2) ** 2))  # the fascia between two layers is bright
    gray += rng.uniform(0.03, 0.05) * _smooth_noise(rng, shape, (7, 5))
    bend = height * rng.uniform(0.01, 0.035) * _smooth_noise(rng, shape, (3, 4)) * np.minimum(depth / 0.1, 1)
    rows, columns = np.indices(shape)
    return ndimage.map_coordinates(gray, [rows + bend, columns], order=1, mode="nearest")


def _add_distractors(rng: np.random.Generator, gray: Array) -> None:
    """Dark things that are no lesion: small round ducts and the shadows of a badly coupled probe."""
    height, width = gray.shape
    rows, columns = np.indices(gray.shape)
    for _ in range(rng.integers(0, 3)):
        center = rng.uniform(0.1, 0.95) * height, rng.random() * width
        distance = np.hypot(rows - center[0], (columns - center[1]) / rng.uniform(1.0, 1.8))
        gray -= rng.uniform(0.1, 0.25) * expit(2 * (rng.uniform(0.015, 0.04) * height - distance))
    for _ in range(rng.integers(0, 3)):
        across = (columns / width - rng.random()) / rng.uniform(0.03, 0.09)
        gray -= rng.uniform(0.03, 0.11) * np.exp(-(across**2)) * np.clip(3 * rows / height - 0.3, 0, 1)


def _lesion_radius(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, float]:
    """Distance from the lesion's center in units of its own radius in that direction, and its mean radius in px."""
    area = np.exp(rng.uniform(np.log(0.03), np.log(0.15)))  # small ones are the usual ones
    size = float(np.sqrt(area * np.prod(shape) / np.pi))
    flat = np.sqrt(rng.uniform(0.5, 1.1))
    half = size * flat, size / flat
    center = [h + rng.random() * (n - 2 * h) for h, n in zip(half, shape, strict=True)]  # px
    y, x = (axis - c for axis, c in zip(np.indices(shape), center, strict=True))
    tilt = rng.uniform(-0.6, 0.6)  # rad
    y, x = y * np.cos(tilt) - x * np.sin(tilt), y * np.sin(tilt) + x * np.cos(tilt)
    angle, roughness = np.arctan2(y, x), rng.uniform(0.05, 0.22)
    wobble = np.zeros(shape)
    for k in range(2, 8):
        wobble += roughness / (k - 1) * rng.standard_normal() * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    radius = np.hypot(y / flat, x * flat) * np.exp(-wobble)
    return radius / np.quantile(radius, area), size  # the area is exact, also when the border cuts the lesion


def _speckle(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Log-compressed Rayleigh speckle of two averaged looks, as wide as the point-spread function; mean 0, sd 1."""
    spread = rng.uniform(1.1, 1.4), rng.uniform(2.0, 2.7)  # px, axial finer than lateral
    power = np.zeros(shape)
    for _ in range(4):  # real and imaginary part of each look
        power += ndimage.gaussian_filter(rng.standard_normal(shape), spread, truncate=3) ** 2
    return standardize(np.log(power))


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], bumps: tuple[int, ...]) -> Array:
    """Noise with about as many independent bumps along each axis as told; mean 0, sd 1."""
    coarse = rng.standard_normal([n + 3 for n in bumps])
    axes = [np.linspace(1, b + 1, n) for b, n in zip(bumps, shape, strict=True)]
    return standardize(ndimage.map_coordinates(coarse, np.meshgrid(*axes, indexing="ij"), order=3, mode="nearest"))
