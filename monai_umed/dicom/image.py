"""DICOM files of one or several frames: replace the pixels, keep all elements except those of a derived image."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom import uid
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from ..io.source import Source
from ..io.stored import CodecError, Decoded, StoredImage
from .derived import mark_derived, update_extremes
from .elements import AGAIN, DicomFile, dicom_errors, read_elements
from .geometry import frames_geometry
from .pixels import allowed_limits, bit_range, check_limits, read_pixels
from .scale import display_window, displayed_scale

_NOT_IMAGES = {
    uid.RTStructureSetStorage: (
        "it has contours (RTSTRUCT) instead of pixels",
        "convert them to a label map on the image's grid (.nii.gz, .nrrd), for example with 3D Slicer",
    ),
    uid.SegmentationStorage: ("it is a segmentation (DICOM SEG), no image", "use it as the label of its series"),
    uid.MediaStorageDirectoryStorage: ("it is a list of files (DICOMDIR)", "move it away"),
}


@dataclass(frozen=True, eq=False)
class DicomHeader:
    """What is needed to write a DICOM file again.

    Attributes:
        name, content: see `DicomFile`.
        order: numbers of the stored frames in the order of the array's slices; None for the order of the file.
    """

    name: str
    content: bytes
    order: tuple[int, ...] | None = None


def decode_dicom(source: Source) -> Decoded:
    """Decode a DICOM image of one or several frames.

    ``MONOCHROME1`` files show small values bright. They get a negative slope: displayed values are those of the
    ``MONOCHROME2`` file that looks the same, ``(lowest + highest of the stored bits - value) * Rescale Slope +
    Intercept``. Thus 0 is black and 1 is white in the window of every image of a dataset.

    ``intensity_window`` is the full range for 8 bits, else the file's first linear window if any value is within it,
    else None: then use percentiles of the values within ``value_range``, since padding is not part of the image.

    ``value_range`` protects padding (Pixel Padding Value to Range Limit): no padding value may change or appear. It is
    the side of the padding, below or above, on which most of the image's values are.

    Args:
        source: DICOM file, uncompressed or in any compression, also lossy, for which pydicom has a decoder.

    Returns:
        uint8, int8, uint16 or int16 array ``(1 or 3, H, W)``, or ``(1, i, j, k)`` for several frames, with ``i`` along
        the columns, ``j`` along the rows and ``k`` along the frames, in their stored order unless their positions
        are an evenly spaced stack in another one. ``spacing`` is in mm; ``affine`` is None for single frames and for
        frames without positions, ``grid`` for any frames without a position.

    Raises:
        CodecError: If the file is damaged, signed, big endian, or not an image; has a palette, uncompressed YBR, or
            color of several frames or of more than 8 bits; uses bits above the stored ones; maps values by a table or
            per frame; has frames that are not an evenly spaced stack; or needs a decoder that is not installed.
    """
    file = read_file(source)
    slope, intercept = displayed_scale(file)
    with dicom_errors(source.name):
        geometry = frames_geometry(file)
        value_range = allowed_limits([file], file.pixels)
        intensity_window = display_window([file], file.pixels)
    pixels = file.pixels if geometry.order is None else file.pixels[list(geometry.order)]
    if file.dataset.SamplesPerPixel == 3:
        array = np.moveaxis(pixels, -1, 0)
    else:
        array = (pixels.T if pixels.ndim == 3 else pixels)[None]
    return Decoded(
        array=np.array(array, order="C"),
        format="dicom",
        header=DicomHeader(source.name, file.content, geometry.order),
        spacing=geometry.spacing,
        slope=slope,
        intercept=intercept,
        intensity_window=intensity_window,
        value_range=value_range,
        affine=geometry.affine,
        grid=geometry.grid,
    )


def encode_dicom(array: np.ndarray, source: StoredImage) -> bytes:
    """Encode a DICOM file with the elements of its source, except those that `monai_umed.dicom.derived` lists.

    Args:
        array: stored values, shape and dtype as ``source.array``.
        source: image with the header from `decode_dicom`.

    Raises:
        CodecError: If a changed value is or becomes padding, or needs more than the stored bits.
    """
    header = source.header
    check_limits(header.name, array, source)
    if array.ndim == 4:
        frames = array[0].T
        stored = frames if header.order is None else frames[np.argsort(header.order)]
        return encode_file(stored, header.content)
    return encode_file(array[0] if len(array) == 1 else np.moveaxis(array, 0, -1), header.content)


def read_file(source: Source) -> DicomFile:
    """Read and check one image file; errors are those of `decode_dicom`."""
    with dicom_errors(source.name):
        dataset = read_elements(source)
        _check_kind(source.name, dataset)
        pixels = read_pixels(source.name, dataset)
        announced = (
            max(int(dataset.get("NumberOfFrames") or 1), 1) * dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
        )
        if pixels.size != announced:
            raise CodecError(source.name, f"{pixels.size} values, its header announces {announced}", AGAIN)
        low, high = bit_range(dataset)
        if pixels.min() < low or pixels.max() > high:
            reason = (
                f"values {pixels.min()} to {pixels.max()}, its {dataset.BitsStored} stored bits hold {low} to {high}"
            )
            raise CodecError(source.name, reason, "remove overlays from the unused bits, or correct Bits Stored")
        for keyword in ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if keyword in dataset:
                del dataset[keyword]
        content = _transcode(source.name, dataset)
        # Encode a few pixels, to learn whether all elements can be written before anything is computed.
        encode_file(pixels[:1], content)
        return DicomFile(source.name, dataset, pixels, content)


def encode_file(pixels: np.ndarray, content: bytes, *series_entropy: str) -> bytes:
    """Encode one file.

    Args:
        pixels: ``([frames,] rows, columns)`` or ``(rows, columns, 3)``.
        content: from `DicomFile`.
        series_entropy: texts that the new Series Instance UID depends on besides the old one.
    """
    dataset: Any = pydicom.dcmread(io.BytesIO(content))
    ordered = np.moveaxis(pixels, -1, 0) if dataset.get("PlanarConfiguration") == 1 else pixels
    payload = ordered.astype(ordered.dtype.newbyteorder("<"), copy=False).tobytes()
    mark_derived(dataset, hashlib.sha256(payload).hexdigest(), series_entropy)
    update_extremes(dataset, int(pixels.min()), int(pixels.max()))
    dataset.PixelData = payload + b"\0" * (len(payload) % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    return _to_bytes(dataset)


def _check_kind(name: str, dataset: Any) -> None:
    if problem := _NOT_IMAGES.get(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")):
        raise CodecError(name, *problem)
    if "PixelData" not in dataset:
        raise CodecError(name, "no integer pixels, or the file ends before them", AGAIN)
    if not dataset.file_meta.TransferSyntaxUID.is_little_endian:
        raise CodecError(name, "big endian (retired from the standard)", "convert it with dcmconv +te")
    if "DigitalSignaturesSequence" in dataset:
        raise CodecError(name, "digitally signed, which other pixels would break", "remove its signatures")


def _transcode(name: str, dataset: Any) -> bytes:
    """Encode the file as Explicit VR Little Endian."""
    if dataset.original_encoding[0]:  # implicit: text is decoded and encoded again, otherwise bytes are copied
        texts = (str(element.value) for element in dataset.iterall() if element.VR in CUSTOMIZABLE_CHARSET_VR)
        if any("\N{REPLACEMENT CHARACTER}" in text for text in texts):
            raise CodecError(name, "text that is not in its character set", "correct Specific Character Set")
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return _to_bytes(dataset)


def _to_bytes(dataset: Any) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
