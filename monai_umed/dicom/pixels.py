"""Decode the pixels of a DICOM file in stored units, and find which of their values may be perturbed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.pixels import get_decoder

from ..io.stored import CodecError, StoredImage
from .elements import AGAIN, DicomFile

_CURE = "export it as uncompressed gray of 8 to 16 bits or RGB of 8 bits"
_PLUGINS = [
    (uid.JPEGLSTransferSyntaxes, "pip install pyjpegls"),
    (uid.JPEG2000TransferSyntaxes, "pip install pylibjpeg pylibjpeg-openjpeg"),
    (uid.JPEGTransferSyntaxes, "pip install pylibjpeg pylibjpeg-libjpeg"),
]
# By default, pydicom clears the bits above the stored ones, so that an overlay in them would be lost silently.
_DECODING: Any = {"correct_unused_bits": False}


def read_pixels(name: str, dataset: Any) -> np.ndarray:
    """Return the stored values; compressed color becomes RGB, and the elements that describe it change accordingly."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        _check_layout(name, dataset)
        return get_decoder(syntax).as_array(dataset, **_DECODING)[0]
    cure = next((cure for syntaxes, cure in _PLUGINS if syntax in syntaxes), "decompress it with gdcmconv --raw")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise CodecError(name, f"compressed with {syntax.name}, which is not supported", cure) from error
    if not decoder.is_available:
        raise CodecError(name, f"no decoder for {syntax.name} is installed", cure)
    try:
        pixels, layout = decoder.as_array(dataset, **_DECODING)
    except RuntimeError as error:
        reason = f"pixels in {syntax.name} cannot be decoded ({str(error).splitlines()[-1].strip()})"
        raise CodecError(name, reason, f"{AGAIN}, or {cure}") from error
    dataset.PhotometricInterpretation = str(layout["photometric_interpretation"])
    if dataset.SamplesPerPixel > 1:
        dataset.PlanarConfiguration = 0
    _check_layout(name, dataset)
    return pixels


def bit_range(dataset: Any) -> tuple[int, int]:
    """Return the smallest and largest value that the stored bits can represent."""
    levels = 1 << dataset.BitsStored
    return (-levels // 2, levels // 2 - 1) if dataset.PixelRepresentation else (0, levels - 1)


def allowed_limits(files: Sequence[DicomFile], values: np.ndarray) -> tuple[int, int]:
    """Return the smallest and largest value that may be perturbed or written, see `decode_dicom`.

    Args:
        files: files of one pixel layout.
        values: all their stored values.
    """
    low, high = bit_range(files[0].dataset)
    for first, last in sorted({padding for file in files if (padding := _padding(file.dataset)) is not None}):
        if first > high or last < low:
            continue
        if np.count_nonzero(values < first) > np.count_nonzero(values > last):
            high = first - 1
        else:
            low = last + 1
    return low, high


def check_limits(name: str, array: np.ndarray, source: StoredImage) -> None:
    """Raise `CodecError` if values outside ``source.value_range`` have changed or are new."""
    info = np.iinfo(array.dtype)
    low, high = source.value_range or (info.min, info.max)
    if (low, high) == (info.min, info.max):
        return
    before = source.array
    beyond = (array < low) | (array > high) | (before < low) | (before > high)
    if count := int((beyond & (array != before)).sum()):
        reason = f"{count} changed values are padding or outside {low} to {high}"
        raise CodecError(name, reason, "keep perturbation and window within the image's limits")


def _check_layout(name: str, dataset: Any) -> None:
    kind, samples = dataset.PhotometricInterpretation, dataset.SamplesPerPixel
    if (kind, samples) not in (("MONOCHROME1", 1), ("MONOCHROME2", 1), ("RGB", 3)):
        raise CodecError(name, f"pixels of the kind {kind} with {samples} values", _CURE)
    allocated, stored, high = dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit
    if allocated not in (8, 16) or not 1 <= stored <= allocated or high != stored - 1:
        raise CodecError(name, f"{stored} bits in {allocated}, the highest is bit {high}", _CURE)
    if samples == 3 and (allocated, stored, dataset.PixelRepresentation) != (8, 8, 0):
        raise CodecError(name, f"RGB of {stored} bits", _CURE)
    if samples == 3 and int(dataset.get("NumberOfFrames") or 1) > 1:
        raise CodecError(name, f"{dataset.NumberOfFrames} frames in color", "store each frame as a file of its own")


def _padding(dataset: Any) -> tuple[int, int] | None:
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return None
    last = dataset.get("PixelPaddingRangeLimit")
    # Some scanners store -2000 as the unsigned 63536.
    kind = np.int16 if dataset.PixelRepresentation else np.uint16
    ends = sorted(int(np.array(end).astype(kind)) for end in (first, first if last is None else last))
    return ends[0], ends[1]
