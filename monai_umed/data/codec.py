"""Read and write images and labels so that a file comes back bit by bit, except for the perturbation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from monai_umed.data import nifti, raster, tiff
from monai_umed.data.atomic import write_atomically
from monai_umed.data.stored import CodecError, Decoded, StoredImage
from monai_umed.data.suffixes import LOSSY, SUPPORTED, output_name, split_name

WINDOW_PERCENTILES = (0.5, 99.5)
"""Percentiles of the volume that map to 0 and 1 for NIfTI and for 16-bit files, whose full range is mostly empty."""

_DECODERS: dict[str, Callable[[Path], Decoded]] = {
    ".png": raster.decode_png,
    ".jpg": raster.decode_jpeg,
    ".jpeg": raster.decode_jpeg,
    ".bmp": raster.decode_bmp,
    ".tif": tiff.decode_tiff,
    ".tiff": tiff.decode_tiff,
    ".nii": nifti.decode_nifti,
    ".nii.gz": nifti.decode_nifti,
}


def read_image(path: str | Path, window: tuple[float, float] | None = None) -> StoredImage:
    """Read an image in stored units.

    Args:
        path: file of one of the `SUPPORTED` endings.
        window: displayed values (HU in CT) that map to 0 and 1. Default: the full range for 8-bit 2D files, the
            `WINDOW_PERCENTILES` of the values for 16-bit files and NIfTI.

    Returns:
        The image. Its ``window`` is in stored units, the file's slope already applied.

    Raises:
        CodecError: unknown ending, damaged file, or a kind of pixels that cannot be written back without loss.
        ValueError: ``window`` is not two different finite numbers.
    """
    path = Path(path)
    decoded = _decode(path)
    if decoded.array.dtype.itemsize > 4 and decoded.array.dtype.kind in "iu":
        raise CodecError(path.name, f"voxels of type {decoded.array.dtype}", "save it as int16 or float32")
    if window is None:
        stored_window = _default_window(decoded)
    else:
        low, high = ((value - decoded.intercept) / decoded.slope for value in window)
        stored_window = (float(low), float(high))
    return StoredImage(
        array=decoded.array,
        window=stored_window,
        spacing=decoded.spacing,
        has_alpha=decoded.has_alpha,
        format=decoded.format,
        header=decoded.header,
    )


def read_label(path: str | Path) -> np.ndarray:
    """Read a label map.

    Args:
        path: gray file of 1, 8 or 16 bits, RGB file with equal channels, or NIfTI file with whole numbers.

    Returns:
        Integer array ``(1, *spatial)`` with the file's values; 1-bit files give 0 and 1. Alpha is dropped.

    Raises:
        CodecError: unknown ending, damaged file, channels that differ, or values that are no whole numbers.
    """
    path = Path(path)
    decoded = _decode(path)
    values = decoded.array[:-1] if decoded.has_alpha else decoded.array
    if len(values) > 1 and (values != values[:1]).any():
        raise CodecError(path.name, "the color channels of the mask differ", "save the class numbers as 8-bit gray")
    values = values[:1]
    if values.dtype.kind != "f" and (decoded.slope, decoded.intercept) == (1.0, 0.0):
        return values
    real = values * decoded.slope + decoded.intercept
    whole = np.rint(real)
    # The range check comes first: NaN and values beyond int32 must not reach the cast.
    if not (np.abs(real) < 2**31).all() or not (real == whole).all():
        raise CodecError(path.name, "the mask holds values that are no whole numbers", "save it as an integer type")
    return whole.astype(np.int32)


def write_image(path: str | Path, array: np.ndarray, source: StoredImage, compress_level: int = 1) -> None:
    """Write an image in the format of its source: same bit depth, mode, metadata; all at once or not at all.

    JPEG sources are written as PNG, see `output_name`.

    Args:
        path: target; its folder must exist.
        array: ``(C, *spatial)`` stored values, same shape and dtype as ``source.array``.
        source: image that was read with `read_image`.
        compress_level: 0 to 9 for PNG, TIFF and ``.nii.gz``. Noise hardly compresses: on 8-bit ultrasound with a
            perturbation of 8/255, level 1 takes 10 ms and 205 kB an image, level 4 to 9 take 15 ms and 188 kB.

    Raises:
        CodecError: lossy target, other format than the source, or other shape or dtype than the source.
        OSError: the folder is missing or read-only, or the disk is full; nothing is left behind.
    """
    path = Path(path)
    suffix = split_name(path.name)[1]
    if suffix in LOSSY:
        reason = f"{suffix} compression would erase the perturbation"
        raise CodecError(path.name, reason, f"write to {output_name(path)}")
    if array.shape != source.array.shape or array.dtype != source.array.dtype:
        reason = f"array is {array.dtype} {array.shape}, its source is {source.array.dtype} {source.array.shape}"
        raise CodecError(path.name, reason, "pass the array that add_delta returned for this source")
    write_atomically(path, _encode(path.name, suffix, array, source, compress_level))


def _encode(name: str, suffix: str, array: np.ndarray, source: StoredImage, compress_level: int) -> bytes:
    if suffix == ".png" and source.format in ("png", "jpeg"):
        return raster.encode_png(array, source.header, compress_level)
    if suffix == ".bmp" and source.format == "bmp":
        return raster.encode_bmp(array, source.header, compress_level)
    if suffix in (".tif", ".tiff") and source.format == "tiff":
        return tiff.encode_tiff(array, source.header, compress_level)
    if suffix in (".nii", ".nii.gz") and source.format == "nifti":
        return nifti.encode_nifti(array, source.header, compress_level, compressed=suffix == ".nii.gz")
    raise CodecError(
        name, f"a {source.format} image cannot be written as {suffix or 'a file without ending'}", "keep its ending"
    )


def _decode(path: Path) -> Decoded:
    suffix = split_name(path.name)[1]
    decoder = _DECODERS.get(suffix)
    if decoder is None:
        raise CodecError(path.name, f"unknown file ending {suffix!r}", f"convert it to one of {', '.join(SUPPORTED)}")
    with _codec_errors(path):
        decoded = decoder(path)
    if decoded.array.size == 0:
        reason = f"it holds no pixels, its shape is {decoded.array.shape[1:]}"
        raise CodecError(path.name, reason, "fetch or export it again")
    return decoded


@contextmanager
def _codec_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into a `CodecError`."""
    try:
        yield
    except CodecError:
        raise
    except FileNotFoundError as error:
        raise CodecError(path.name, "the file does not exist", "check the path") from error
    except Exception as error:  # five decoders raise a dozen unrelated types on damaged files
        detail = str(error).strip().splitlines()
        reason = f"cannot be read ({type(error).__name__}: {detail[-1] if detail else 'no details'})"
        raise CodecError(
            path.name, reason, "the file is damaged or not what its ending says: fetch it again"
        ) from error


def _default_window(decoded: Decoded) -> tuple[float, float]:
    array = decoded.array
    if array.dtype == np.uint8 and decoded.format != "nifti":
        return (0.0, 1.0) if decoded.bilevel else (0.0, 255.0)
    color = array[:-1] if decoded.has_alpha else array
    finite = color[np.isfinite(color)] if color.dtype.kind == "f" else color.ravel()
    if finite.size == 0:
        return 0.0, 1.0
    # The methods pick values that occur in the file, so that the window's ends are whole levels.
    low = float(np.percentile(finite, WINDOW_PERCENTILES[0], method="lower"))
    high = float(np.percentile(finite, WINDOW_PERCENTILES[1], method="higher"))
    if low == high:  # nearly all background
        low, high = float(finite.min()), float(finite.max())
    if low == high:  # constant: any window will do
        high = low + 1.0
    return (low, high) if decoded.slope > 0 else (high, low)
