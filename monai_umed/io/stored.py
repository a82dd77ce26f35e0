"""An image as its file stores it, and the intensity window that maps stored values to [0, 1]."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

IntensityWindow: TypeAlias = tuple[float, float] | tuple[tuple[float, float], ...]
"""Values that map to 0 and 1: of a whole image, or of each of its channels."""


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


def windows_of(intensity_window: IntensityWindow, channels: int) -> tuple[tuple[float, float], ...]:
    """Return the window of each channel.

    Raises:
        ValueError: If there are more or fewer windows than channels.
    """
    several = tuple(pair for pair in intensity_window if isinstance(pair, tuple))
    if not several:
        low, high = (float(end) for end in intensity_window if not isinstance(end, tuple))
        return ((low, high),) * channels
    if len(several) != channels:
        raise ValueError(f"{len(several)} intensity windows for {channels} channel(s); give one, or one per channel")
    return several


_PIECE = 2**21  # values that are scaled at a time


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image in stored units, with its intensity window or those of its channels.

    Attributes:
        array: stored values ``(C, *spatial)``: ``(C, H, W)`` in 2D, ``(C, i, j, k)`` for NIfTI. ``C`` is 1 or 3, plus 1
            if ``has_alpha``, or the number of channels in a NIfTI file or in several files. If their types differ, it
            has a type for the values of all of them.
        intensity_window: stored values that map to 0 and 1, for all channels or for each. The first exceeds the second
            if the slope is negative.
        spacing, format, header, value_range, affine, grid: see `Decoded`; those of the first of several files.
        has_alpha: whether the last channel is alpha, which is never perturbed.
        channels: the images of its files, if each channel has its own file.

    Raises:
        ValueError: If a window does not consist of two different finite numbers, or if there are more or fewer windows
            than channels.
    """

    array: np.ndarray
    intensity_window: IntensityWindow
    spacing: tuple[float, ...] | None = None
    has_alpha: bool = False
    format: str = "png"
    header: Any = None
    value_range: tuple[int, int] | None = None
    affine: np.ndarray | None = None
    grid: np.ndarray | None = None
    channels: tuple["StoredImage", ...] = ()

    def __post_init__(self) -> None:
        for window in windows_of(self.intensity_window, len(self.color)):
            if not np.isfinite(window).all() or window[0] == window[1]:
                raise ValueError(f"intensity window {window} must be two different finite numbers; pass (low, high)")

    def each(self) -> tuple["StoredImage", ...]:
        """Return the images of one window each: this one, or its channels if each has its own window."""
        if self.channels or not isinstance(self.intensity_window[0], tuple):
            return self.channels or (self,)
        windows = windows_of(self.intensity_window, len(self.color))
        return tuple(
            replace(self, array=self.array[index : index + 1], intensity_window=window, has_alpha=False)
            for index, window in enumerate(windows)
        )

    def in_window(self, intensity_window: IntensityWindow) -> "StoredImage":
        """Return the same values in another window, or in other windows."""
        windows = windows_of(intensity_window, len(self.color))
        channels = (channel.in_window(window) for channel, window in zip(self.channels, windows, strict=False))
        return replace(self, intensity_window=intensity_window, channels=tuple(channels))

    def with_values(self, array: np.ndarray) -> "StoredImage":
        """Return the same image with other stored values, an array of the same shape and dtype."""
        channels = (
            channel.with_values(array[index : index + 1].astype(channel.array.dtype, copy=False))
            for index, channel in enumerate(self.channels)
        )
        return replace(self, array=array, channels=tuple(channels))

    @property
    def color(self) -> np.ndarray:
        """The channels that may be perturbed, in stored units: a view ``(C, *spatial)`` without alpha."""
        return self.array[:-1] if self.has_alpha else self.array

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape, without channels."""
        return tuple(self.array.shape[1:])

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the window of an image that has one for all channels, see :meth:`each`."""
        low, high = self.intensity_window
        if isinstance(low, tuple) or isinstance(high, tuple):
            raise ValueError("each channel has its own intensity window; take them one by one")
        return float(low), float(high)

    @property
    def dtype(self) -> str | tuple[str, ...]:
        """NumPy name of the stored type, or of the type of each channel if their files differ in it."""
        names = tuple(str(image.array.dtype) for image in self.each())
        return names if len(set(names)) > 1 else names[0]

    @property
    def width(self) -> float:
        """Width of the window in stored units, one unit of delta; negative if the file's slope is negative."""
        low, high = self.ends
        return high - low

    @property
    def levels(self) -> float | None:
        """Stored gray levels in the window, such as 255 for 8-bit files.

        None for floating-point files, and for channels that differ in it.
        """
        if len(images := self.each()) > 1:
            levels = {image.levels for image in images}
            return levels.pop() if len(levels) == 1 else None
        return abs(images[0].width) if np.issubdtype(images[0].array.dtype, np.integer) else None

    def scaled(self) -> np.ndarray:
        """Return the image in window units without alpha: float32 ``(C, *spatial)`` in [0, 1], NaN as 0."""
        if len(images := self.each()) > 1:
            return np.concatenate([image.scaled() for image in images])
        color = self.color
        # float32 is exact for 8 and 16 bits; wider types need float64 until the large offset is removed.
        float_type: type[np.floating[Any]] = np.float32 if color.dtype.itemsize <= 2 else np.float64
        values = color.astype(float_type)
        low, high = self.ends
        if low:  # most images begin at 0
            values -= low
        values /= high - low
        np.clip(values, 0.0, 1.0, out=values)
        if color.dtype.kind == "f":
            values[np.isnan(values)] = 0.0
        return values.astype(np.float32, copy=False)

    def scaled_within(self, box: Sequence[slice]) -> np.ndarray:
        """Return the same with 0 outside of a box, one slice per spatial axis; most of that takes no memory."""
        if all(part == slice(None) for part in box):
            return self.scaled()
        values = np.zeros(self.color.shape, np.float32)  # the system gives no page before it is written
        images = self.each()
        start, stop, _ = box[0].indices(self.shape[0])
        rows = max(1, _PIECE * self.shape[0] // values.size)
        for part, image in zip(np.split(values, len(images)), images, strict=True):
            for first in range(start, stop, rows):
                piece = (slice(None), slice(first, min(first + rows, stop)), *box[1:])
                part[piece] = replace(image, array=image.color[piece], has_alpha=False).scaled()
        return values
