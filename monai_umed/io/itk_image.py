"""NRRD (``.nrrd``) and MetaImage (``.mha``) files: keep the text header byte by byte, replace only the voxels.

SimpleITK interprets the header but does not write the file: its writers add keys, reorder fields, convert the
coordinate system to LPS and cut MetaImage values at their first space.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .itk_limits import check_meta_header, check_nrrd_header, meta_flags
from .source import Source, named
from .stored import CodecError, Decoded

if TYPE_CHECKING:
    import SimpleITK

# By SimpleITK's words for them.
_DTYPES = {
    **{f"{8 * size}-bit signed integer": f"i{size}" for size in (1, 2, 4, 8)},
    **{f"{8 * size}-bit unsigned integer": f"u{size}" for size in (1, 2, 4, 8)},
    **{f"{8 * size}-bit float": f"f{size}" for size in (4, 8)},
}
_NRRD_COMPRESSED = {"raw": False, "gzip": True, "gz": True}
_NRRD_BYTE_ORDERS = {"little": "<", "big": ">"}
_CURE = "save it again as an .nrrd file with raw or gzip encoding"
# ITK takes spaces before a name of MetaImage and a colon for the sign, but no other case of its letters.
_META_FIELD = rb"(?m)^[ \t]*(\w+)[ \t]*[=:][ \t]*(.*?)\s*$"
_META_END = re.compile(rb"(?m)^[ \t]*ElementDataFile[ \t]*[=:][ \t]*(.*?)\r?\n")
_COMPRESSED_SIZE = re.compile(rb"(?m)^([ \t]*CompressedDataSize[ \t]*[=:][ \t]*)\d+")
# MetaImage's names of origin and direction, old ones included.
_META_PLACE = {"Offset", "Position", "Origin", "TransformMatrix", "Rotation", "Orientation"}
# Bytes in which a header must end, so that a damaged file is not searched to its end.
_MAX_HEADER = 1 << 20


@dataclass(frozen=True)
class ItkHeader:
    """What is needed to write an NRRD or MetaImage file again.

    Attributes:
        text: all bytes before the voxels.
        dtype: voxel type in the file's byte order.
        compressed: whether voxels are compressed, by gzip (NRRD) or zlib (MetaImage).
    """

    text: bytes
    dtype: np.dtype
    compressed: bool


def decode_nrrd(source: Source) -> Decoded:
    """Decode an NRRD file of one channel with header and voxels in one file.

    Args:
        source: ``.nrrd`` file with raw or gzip encoding.

    Returns:
        Array ``(1, i, j, k)`` (or ``(1, i, j)``), ``i`` fastest in the file, in native byte order; spacing in mm.

    Raises:
        CodecError: If the file is damaged, has several channels or an unsupported voxel type or encoding, or its voxels
            are in another file.
    """
    content = source.read_bytes()
    end = re.search(rb"\r?\n\r?\n", content[:_MAX_HEADER])
    if not content.startswith(b"NRRD") or end is None:
        raise CodecError(source.name, "no NRRD header", "fetch or export it again")
    text, payload = content[: end.end()], content[end.end() :]
    check_nrrd_header(source.name, text)
    fields = {key.lower(): value for key, value in _fields(text, rb"(?m)^([^:#\r\n]+): (.*?)\r?$").items()}
    if fields.keys() & {"data file", "datafile"}:
        raise CodecError(source.name, "header and voxels are in two files", "save it as one .nrrd file")
    if skipped := fields.keys() & {"line skip", "lineskip", "byte skip", "byteskip"}:
        raise CodecError(source.name, f"its voxels begin after a {sorted(skipped)[0]}", _CURE)
    encoding = fields.get("encoding", "").lower()
    if encoding not in _NRRD_COMPRESSED:
        raise CodecError(source.name, f"voxels in the encoding {encoding!r}", _CURE)
    order = _NRRD_BYTE_ORDERS.get(fields.get("endian", "little").lower())
    if order is None:
        raise CodecError(source.name, f"byte order {fields['endian']!r}, must be little or big", _CURE)
    if compressed := _NRRD_COMPRESSED[encoding]:
        payload = _unpack(source.name, gzip.decompress, payload)
    return _decoded(
        source,
        "NrrdImageIO",
        kind="nrrd",
        text=text,
        payload=payload,
        order=order,
        compressed=compressed,
        is_placed="space directions" in fields,
    )


def encode_nrrd(array: np.ndarray, header: ItkHeader, compress_level: int) -> bytes:
    """Encode an NRRD file with the header of its source.

    Args:
        array: ``(1, *spatial)`` stored values.
        header: from `decode_nrrd`.
        compress_level: 0 to 9, used if the source was compressed; there is no time stamp, so that equal volumes give
            equal files.

    Returns:
        The whole file. With equal voxels, it equals an uncompressed source; a compressed source may have other
        compressed bytes.
    """
    voxels = _voxels(array, header)
    return header.text + (gzip.compress(voxels, compress_level, mtime=0) if header.compressed else voxels)


def decode_mha(source: Source) -> Decoded:
    """Decode a MetaImage file of one channel with header and voxels in one file.

    Args:
        source: ``.mha`` file, with or without compression.

    Returns:
        Array ``(1, i, j, k)`` (or ``(1, i, j)``), ``i`` fastest in the file, in native byte order; spacing in mm.
        An ``ElementToIntensityFunction`` is not applied, as in ITK.

    Raises:
        CodecError: If the file is damaged, has several channels or an unsupported voxel type, or its voxels are text or
            in another file.
    """
    content = source.read_bytes()
    end = _META_END.search(content[:_MAX_HEADER])
    if end is None:
        raise CodecError(source.name, "no MetaImage header", "fetch or export it again")
    if end[1] != b"LOCAL":
        raise CodecError(source.name, "header and voxels are in two files", "save it as one .mha file")
    text, payload = content[: end.end()], content[end.end() :]
    check_meta_header(source.name, text)
    fields = _fields(text, _META_FIELD)
    flags = meta_flags(source.name, fields)
    if not flags.get("BinaryData", True) or "HeaderSize" in fields:
        raise CodecError(source.name, "voxels as text or after a header of their own", "save it again with SimpleITK")
    swapped = flags.get("BinaryDataByteOrderMSB", flags.get("ElementByteOrderMSB", False))
    if compressed := flags.get("CompressedData", False):
        packed, payload = len(payload), _unpack(source.name, zlib.decompress, payload)
        size = fields.get("CompressedDataSize", "missing")
        if size != str(packed):  # ITK believes it, and takes what it cannot unpack for voxels
            reason = f"CompressedDataSize is {size[:20]}, and {packed} bytes follow"
            raise CodecError(source.name, reason, f"write CompressedDataSize = {packed} into its header")
    is_placed = not _META_PLACE.isdisjoint(fields)
    return _decoded(
        source,
        "MetaImageIO",
        kind="mha",
        text=text,
        payload=payload,
        order=">" if swapped else "<",
        compressed=compressed,
        is_placed=is_placed,
    )


def encode_mha(array: np.ndarray, header: ItkHeader, compress_level: int) -> bytes:
    """Encode a MetaImage file with the header of its source.

    Args:
        array: ``(1, *spatial)`` stored values.
        header: from `decode_mha`.
        compress_level: 0 to 9, used if the source was compressed.

    Returns:
        The whole file. With equal voxels, it equals an uncompressed source; a compressed source may have other
        compressed bytes and another ``CompressedDataSize``.
    """
    voxels = _voxels(array, header)
    if not header.compressed:
        return header.text + voxels
    packed = zlib.compress(voxels, compress_level)
    return _COMPRESSED_SIZE.sub(rb"\g<1>%d" % len(packed), header.text) + packed


def _fields(text: bytes, pattern: bytes) -> dict[str, str]:
    """Return the fields of a text header."""
    pairs = re.findall(pattern, text)
    return {key.decode(errors="replace").strip(): value.decode(errors="replace").strip() for key, value in pairs}


def _unpack(name: str, unpack: Callable[[bytes], bytes], payload: bytes) -> bytes:
    try:
        return unpack(payload)
    except (EOFError, OSError, zlib.error) as error:
        raise CodecError(name, f"compressed voxels are damaged ({error})", "fetch or export it again") from error


def _decoded(
    source: Source,
    image_io: str,
    *,
    kind: str,
    text: bytes,
    payload: bytes,
    order: str,
    compressed: bool,
    is_placed: bool,
) -> Decoded:
    import SimpleITK  # few files need it, and it takes a while to load

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(image_io)
    with named(source) as path:
        reader.SetFileName(path)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            reason = f"header cannot be understood ({str(error).strip().splitlines()[-1]})"
            raise CodecError(source.name, reason, "fetch or export it again") from error
    ndim = reader.GetDimension()
    if reader.GetNumberOfComponents() != 1:
        cure = "store each channel as a file of its own"
        raise CodecError(source.name, f"{reader.GetNumberOfComponents()} values per voxel", cure)
    if ndim not in (2, 3):
        raise CodecError(
            source.name, f"shape {reader.GetSize()}, must have 2 or 3 axes", "store each volume on its own"
        )
    kind_of_voxel = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    if kind_of_voxel not in _DTYPES:
        raise CodecError(source.name, f"voxels of type {kind_of_voxel}", "save it as int16 or float32")
    dtype = np.dtype(order + _DTYPES[kind_of_voxel])
    shape = tuple(int(side) for side in reader.GetSize())
    expected = int(np.prod(shape)) * dtype.itemsize
    if len(payload) != expected:
        reason = f"{len(payload)} bytes of voxels, its header announces {expected}"
        raise CodecError(source.name, reason, "fetch or export it again")
    voxels = np.frombuffer(payload, dtype).reshape(shape, order="F")
    affine = _affine(reader)
    return Decoded(
        array=np.array(voxels, dtype=dtype.newbyteorder("="), order="C")[None],
        format=kind,
        header=ItkHeader(text, dtype, compressed),
        spacing=tuple(float(size) for size in reader.GetSpacing()),
        affine=affine if ndim == 3 else None,
        grid=affine if is_placed else None,
    )


def _affine(reader: SimpleITK.ImageFileReader) -> np.ndarray:
    ndim = reader.GetDimension()
    affine = np.eye(ndim + 1)
    affine[:ndim, :ndim] = np.reshape(reader.GetDirection(), (ndim, ndim)) * reader.GetSpacing()
    affine[:ndim, ndim] = reader.GetOrigin()
    return affine


def _voxels(array: np.ndarray, header: ItkHeader) -> bytes:
    return array[0].astype(header.dtype).tobytes(order="F")
