"""An image as its file stores it, and the intensity window that maps stored values to [0, 1]."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

IntensityWindow: TypeAlias = tuple[float, float] | tuple[tuple[float, float], ...]
"""Values that map to 0 and 1: of a whole image, or of each of its channels."""


class CodecError(ValueError):
    """A file cannot be read or written without loss; the message names the file, the reason and the cure."""

    def __init__(self, name: str, reason: str, cure: str) -> None:
        super().__init__(f"{name}: {reason}; {cure}")
        self.name = name
        self.reason = reason
        self.cure = cure


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a file format's decoder returns.

    Attributes:
        array: ``(C, *spatial)`` stored values in native byte order, ``C`` includes alpha.
        format: ``"png"``, ``"jpeg"``, ``"bmp"``, ``"tiff"``, ``"nifti"``, ``"nifti_pair"`` (two files), ``"nrrd"``,
            ``"mha"``, ``"dicom"`` or ``"dicom_series"`` (a folder).
        header: everything the format's encoder needs to write the file again, opaque to all others.
        spacing: size of one pixel or voxel per spatial axis in the file's unit (mm for NIfTI), if stored.
        has_alpha: the last channel is an alpha channel.
        bilevel: the file has one bit per pixel; ``array`` holds 0 and 1.
        slope: stored value x ``slope`` + ``intercept`` is the file's displayed value (HU in CT).
        intercept: see ``slope``.
        intensity_window: stored values that the file itself shows as black and white, if it says so.
        limits: smallest and largest value that may be perturbed or written, if narrower than the dtype.
        affine: 4 x 4, voxel ``(i, j, k, 1)`` to mm toward the patient's left, posterior and superior (LPS), for volumes
            of formats that tell.
        grid: as ``affine`` where the file itself says so, None where a reader fills in its own: a NIfTI file with
            neither sform nor qform code, an NRRD file without space directions. Also for planes: 4 x 4 of a plane in
            space (NIfTI, ``k`` is 0), 3 x 3 where files know two coordinates (2D NRRD and MetaImage).
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
    limits: tuple[int, int] | None = None
    affine: np.ndarray | None = None
    grid: np.ndarray | None = None


def windows_of(intensity_window: IntensityWindow, channels: int) -> tuple[tuple[float, float], ...]:
    """The window of each channel.

    Raises:
        ValueError: there are more or fewer windows than channels.
    """
    several = tuple(pair for pair in intensity_window if isinstance(pair, tuple))
    if not several:
        low, high = (float(end) for end in intensity_window if not isinstance(end, tuple))
        return ((low, high),) * channels
    if len(several) != channels:
        raise ValueError(f"{len(several)} intensity windows for {channels} channel(s); give one, or one per channel")
    return several


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image in stored units, as its file or files hold it.

    Attributes:
        array: ``(C, *spatial)`` stored values and dtype; 2D is ``(C, H, W)`` row-major, NIfTI ``(C, i, j, k)``.
            ``C`` is 1 or 3, plus 1 if ``has_alpha``, or what a NIfTI file or the files of several channels hold. Of
            files with different types it has a type that holds the values of all of them.
        intensity_window: stored values that map to 0 and 1, of all channels or of each. The first exceeds the second if
            the file's slope is negative.
        spacing: size of one pixel or voxel per spatial axis, if the file stores it.
        has_alpha: the last channel is alpha; it is kept as it is and never perturbed.
        format: file format the image came from, see `Decoded`.
        header: what the format's encoder needs to write the file again, opaque to all others.
        limits: smallest and largest value that may be perturbed or written, if narrower than the dtype.
        affine: 4 x 4, voxel ``(i, j, k, 1)`` to mm toward the patient's left, posterior and superior (LPS), for volumes
            of formats that tell.
        grid: as ``affine`` where the file itself says so, also for planes, see `Decoded`.
        channels: the images of its files, if each channel has one; format, header and limits are those of the first.

    Raises:
        ValueError: a window that is none, or more or fewer windows than channels.
    """

    array: np.ndarray
    intensity_window: IntensityWindow
    spacing: tuple[float, ...] | None = None
    has_alpha: bool = False
    format: str = "png"
    header: Any = None
    limits: tuple[int, int] | None = None
    affine: np.ndarray | None = None
    grid: np.ndarray | None = None
    channels: tuple["StoredImage", ...] = ()

    def __post_init__(self) -> None:
        for window in windows_of(self.intensity_window, len(self.color)):
            if not np.isfinite(window).all() or window[0] == window[1]:
                raise ValueError(f"intensity window {window} must be two different finite numbers; pass (low, high)")

    def each(self) -> tuple["StoredImage", ...]:
        """Images of one window: this one, or its channels if each has a window of its own."""
        if self.channels or not isinstance(self.intensity_window[0], tuple):
            return self.channels or (self,)
        windows = windows_of(self.intensity_window, len(self.color))
        return tuple(
            replace(self, array=self.array[index : index + 1], intensity_window=window, has_alpha=False)
            for index, window in enumerate(windows)
        )

    def in_window(self, intensity_window: IntensityWindow) -> "StoredImage":
        """The same values in another window, or other windows."""
        windows = windows_of(intensity_window, len(self.color))
        channels = (channel.in_window(window) for channel, window in zip(self.channels, windows, strict=False))
        return replace(self, intensity_window=intensity_window, channels=tuple(channels))

    def with_values(self, array: np.ndarray) -> "StoredImage":
        """The same image with other stored values, in an array of the same shape and dtype."""
        channels = (
            channel.with_values(array[index : index + 1].astype(channel.array.dtype, copy=False))
            for index, channel in enumerate(self.channels)
        )
        return replace(self, array=array, channels=tuple(channels))

    @property
    def color(self) -> np.ndarray:
        """The channels that may be perturbed, ``(C, *spatial)``: a view without alpha, in stored units."""
        return self.array[:-1] if self.has_alpha else self.array

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape, without channels."""
        return tuple(self.array.shape[1:])

    @property
    def ends(self) -> tuple[float, float]:
        """The window of an image that has one for all channels, see :meth:`each`."""
        low, high = self.intensity_window
        if isinstance(low, tuple) or isinstance(high, tuple):
            raise ValueError("each channel has an intensity window of its own; take them one by one")
        return float(low), float(high)

    @property
    def dtype(self) -> str | tuple[str, ...]:
        """NumPy name of the stored type, or that of each channel if their files have different ones."""
        names = tuple(str(image.array.dtype) for image in self.each())
        return names if len(set(names)) > 1 else names[0]

    @property
    def width(self) -> float:
        """Window width in stored units: one unit of delta. Negative if the file's slope is negative."""
        low, high = self.ends
        return high - low

    @property
    def levels(self) -> float | None:
        """Stored gray levels per unit of the window, 255 for 8-bit files.

        None for files of real numbers, and for channels that differ in it.
        """
        if len(images := self.each()) > 1:
            levels = {image.levels for image in images}
            return levels.pop() if len(levels) == 1 else None
        return abs(images[0].width) if np.issubdtype(images[0].array.dtype, np.integer) else None

    def scaled(self) -> np.ndarray:
        """Image in window units.

        Returns:
            float32 array ``(C, *spatial)`` in [0, 1], clipped to the window, without alpha; NaN becomes 0.
        """
        if len(images := self.each()) > 1:
            return np.concatenate([image.scaled() for image in images])
        color = self.color
        # float32 is exact for 8 and 16 bits; wider types need float64 until the large offset is removed.
        float_type: type[np.floating[Any]] = np.float32 if color.dtype.itemsize <= 2 else np.float64
        values = color.astype(float_type)
        values -= self.ends[0]
        values /= self.width
        np.clip(values, 0.0, 1.0, out=values)
        if color.dtype.kind == "f":
            values[np.isnan(values)] = 0.0
        return values.astype(np.float32, copy=False)
