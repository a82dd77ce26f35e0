"""An image as its file stores it, and the intensity window that maps stored values to [0, 1]."""

from dataclasses import dataclass
from typing import Any

import numpy as np


class CodecError(ValueError):
    """A file cannot be read or written without loss. The message names the file, the reason and the cure."""

    def __init__(self, name: str, reason: str, cure: str) -> None:
        super().__init__(f"{name}: {reason}; {cure}")
        self.name = name
        self.reason = reason
        self.cure = cure


@dataclass(frozen=True, eq=False)
class Decoded:
    """The result of a file format's decoder.

    Attributes:
        array: stored values ``(C, *spatial)`` in native byte order; ``C`` includes alpha.
        format: ``"png"``, ``"jpeg"``, ``"bmp"``, ``"tiff"``, ``"nifti"``, ``"nifti_pair"`` (two files), ``"nrrd"``,
            ``"mha"``, ``"dicom"`` or ``"dicom_series"`` (a folder).
        header: everything that the format's encoder needs to write the file again; opaque to all others.
        spacing: size of a pixel or voxel along each spatial axis in the file's unit (mm for NIfTI), if stored.
        has_alpha: whether the last channel is an alpha channel.
        bilevel: whether the file has one bit per pixel, so that ``array`` contains 0 and 1.
        slope, intercept: stored value x ``slope`` + ``intercept`` is the displayed value (HU in CT).
        intensity_window: stored values that the file itself displays as black and white, if it says so.
        value_range: smallest and largest value that may be perturbed or written, if narrower than the dtype.
        affine: for volumes of formats with positions, 4 x 4 matrix from voxel ``(i, j, k, 1)`` to mm toward the
            patient's left, posterior and superior (LPS).
        grid: like ``affine`` if the file itself gives it, None if a reader fills in a default: for a NIfTI file with
            neither sform nor qform code, or an NRRD file without space directions. Also for planes: 4 x 4 in space
            (NIfTI, ``k`` is 0), or 3 x 3 for files with two coordinates (2D NRRD and MetaImage).
    """

    array: np.ndarray
    format: str
    header: Any = None
    spacing: tuple[float, ...] | None = None
    has_alpha: bool = False
    bilevel: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    intensity_window: tuple[float, float] | None = None
    value_range: tuple[int, int] | None = None
    affine: np.ndarray | None = None
    grid: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image in stored units, with its intensity window.

    Attributes:
        array: stored values ``(C, *spatial)``: ``(C, H, W)`` in 2D, ``(1, i, j, k)`` for NIfTI. ``C`` is 1 or 3, plus 1
            if ``has_alpha``.
        intensity_window: stored values that map to 0 and 1. The first exceeds the second if the slope is negative.
        spacing, format, header, value_range, affine, grid: see `Decoded`.
        has_alpha: whether the last channel is alpha, which is never perturbed.

    Raises:
        ValueError: If the window does not consist of two different finite numbers.
    """

    array: np.ndarray
    intensity_window: tuple[float, float]
    spacing: tuple[float, ...] | None = None
    has_alpha: bool = False
    format: str = "png"
    header: Any = None
    value_range: tuple[int, int] | None = None
    affine: np.ndarray | None = None
    grid: np.ndarray | None = None

    def __post_init__(self) -> None:
        low, high = self.intensity_window
        if not (np.isfinite(low) and np.isfinite(high)) or low == high:
            raise ValueError(
                f"intensity window {self.intensity_window} must be two different finite numbers; pass (low, high)"
            )

    @property
    def color(self) -> np.ndarray:
        """The channels that may be perturbed, in stored units: a view ``(1 or 3, *spatial)`` without alpha."""
        return self.array[:-1] if self.has_alpha else self.array

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape, without channels."""
        return tuple(self.array.shape[1:])

    @property
    def width(self) -> float:
        """Width of the window in stored units, one unit of delta; negative if the file's slope is negative."""
        return float(self.intensity_window[1]) - float(self.intensity_window[0])

    @property
    def levels(self) -> float | None:
        """Stored gray levels in the window, such as 255 for 8-bit files; None for floating-point files."""
        return abs(self.width) if np.issubdtype(self.array.dtype, np.integer) else None

    def scaled(self) -> np.ndarray:
        """Return the image in window units without alpha: float32 ``(1 or 3, *spatial)`` in [0, 1], NaN as 0."""
        color = self.color
        # float32 is exact for 8 and 16 bits; wider types need float64 until the large offset is removed.
        float_type: type[np.floating[Any]] = np.float32 if color.dtype.itemsize <= 2 else np.float64
        values = color.astype(float_type)
        values -= self.intensity_window[0]
        values /= self.width
        np.clip(values, 0.0, 1.0, out=values)
        if color.dtype.kind == "f":
            values[np.isnan(values)] = 0.0
        return values.astype(np.float32, copy=False)
