"""NIfTI files (``.nii``, ``.nii.gz``, ``.hdr`` with ``.img``): keep header and extensions byte by byte."""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from isal import igzip

from .grids import NIFTI_CURE, filled_grid
from .source import Source
from .stored import CodecError, Decoded

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

_SILENT = logging.Logger(__name__, logging.CRITICAL + 1)  # what nibabel would mend is kept, or refused by name
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from NIfTI's RAS
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
_BLOCK = 32  # voxels along the last axis whose order is changed at a time: as many as a line of the cache has
_PAIR_MAGIC = ((344, b"ni1\0"), (4, b"ni2\0\r\n\x1a\n"))  # position and value


@dataclass(frozen=True)
class NiftiHeader:
    """What is needed to write a NIfTI file or pair again.

    Attributes:
        prefix: all bytes before the voxels in their file: header and extensions, or nothing in most pairs.
        suffix: all bytes after the voxels.
        dtype: voxel type in the file's byte order.
        file: the whole header file of a pair.
    """

    prefix: bytes
    suffix: bytes
    dtype: np.dtype
    file: bytes = b""


def decode_nifti(source: Source) -> Decoded:
    """Decode a NIfTI-1 or NIfTI-2 file, without applying its slope.

    Args:
        source: ``.nii`` or ``.nii.gz`` file; a fourth axis holds channels, as in the Medical Segmentation Decathlon.

    Returns:
        Array ``(C, i, j, k)`` (or ``(1, i, j)``) in nibabel's axis order, with the stored dtype in native byte order.

    Raises:
        CodecError: If there are five axes, if voxels are complex, colors or of size 0, or if the file ends early,
            begins its voxels inside of the header, or has an invalid qform.
        Exception: If gzip or nibabel cannot read the file.
    """
    content = source.read_bytes()
    if content.startswith(_GZIP_MAGIC):
        content = igzip.decompress(content)
    header = _parse(content)
    is_single = header["magic"].item().startswith(b"n+")
    if is_single and header.get_data_offset() < header.sizeof_hdr:
        where = f"its voxels begin at byte {header.get_data_offset():g} (vox_offset), inside of its header"
        # Readers disagree here: some read the header as voxels, some begin right after it, four bytes too early.
        usual = f"{header.single_vox_offset}, where voxels begin in files without extensions"
        cure = f"export it again, or set it to {usual}"
        raise CodecError(source.name, where, cure)
    if not is_single:
        cure = "give it the endings .hdr and .img, or save it as one .nii.gz file"
        raise CodecError(source.name, "header and voxels are in two files", cure)
    return _decode(source.name, "nifti", header=header, content=content)


def decode_pair(name: str, parts: Mapping[str, Source]) -> Decoded:
    """Decode a pair of NIfTI-1 or NIfTI-2 files like `decode_nifti`.

    Args:
        name: name of the pair, for errors.
        parts: both files by their suffixes ``.hdr`` and ``.img``.

    Raises:
        CodecError: If it is an Analyze pair, or for the reasons of `decode_nifti`.
        Exception: If nibabel cannot read the header.
    """
    content = parts[".hdr"].read_bytes()
    if not any(content.startswith(magic, position) for position, magic in _PAIR_MAGIC):
        reason = "its .hdr file has neither magic of a NIfTI pair (ni1, ni2); Analyze files do not tell left from right"
        raise CodecError(name, reason, "convert it to one .nii.gz file, and check its orientation")
    return _decode(
        name, "nifti_pair", header=_parse(content, pair=True), content=parts[".img"].read_bytes(), file=content
    )


def _parse(content: bytes, *, pair: bool = False) -> Nifti1Header:
    # Loads SciPy and pydicom, which commands that refuse, and other files, do without.
    from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
    from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader

    first, second = (Nifti1PairHeader, Nifti2PairHeader) if pair else (Nifti1Header, Nifti2Header)
    is_second = second.may_contain_header(content[: second.sizeof_hdr])
    header = (second if is_second else first).from_fileobj(io.BytesIO(content), check=False)
    header.check_fix(logger=_SILENT)
    return header


def _decode(name: str, format_: str, *, header: Nifti1Header, content: bytes, file: bytes = b"") -> Decoded:
    """Decode the voxels in ``content``; ``file`` is the header's file if that is another one."""
    shape = tuple(int(side) for side in header.get_data_shape())
    spatial, channels = _spatial_shape(name, shape)
    _check_sizes(name, type(header)((file or content)[: header.sizeof_hdr], check=False), spatial)
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise CodecError(name, f"voxels of type {dtype}", "save it as int16 or float32")
    begin = int(header.get_data_offset())
    end = begin + int(np.prod(shape)) * dtype.itemsize
    if begin < 0:
        raise CodecError(name, f"voxels that begin at byte {begin}, must be >= 0", "fetch or export it again")
    if len(content) < end:
        raise CodecError(name, f"the file ends after {len(content)} of {end} bytes", "fetch or export it again")
    values = np.frombuffer(content, dtype, offset=begin, count=int(np.prod(shape)))
    voxels = np.moveaxis(values.reshape((*spatial, channels), order="F"), -1, 0)
    array = np.empty(voxels.shape, dtype.newbyteorder("="))
    for block in _blocks(spatial[-1]):
        array[..., block] = voxels[..., block]
    slope, intercept = header.get_slope_inter()
    affine = _LPS @ _best_affine(name, header)
    is_placed = bool(header["sform_code"] > 0 or header["qform_code"] > 0)
    return Decoded(
        array=array,
        format=format_,
        header=NiftiHeader(prefix=content[:begin], suffix=content[end:], dtype=dtype, file=file),
        spacing=tuple(float(size) for size in header.get_zooms()[: len(spatial)]),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        affine=affine if len(spatial) == 3 else None,
        grid=filled_grid(affine, spatial) if is_placed else None,
    )


def _best_affine(name: str, header: Nifti1Header) -> np.ndarray:
    try:
        return header.get_best_affine()
    except ValueError as error:
        numbers = [float(header[f"quatern_{letter}"]) for letter in "bcd"]
        reason = f"its qform is not a rotation: the quaternion {numbers} is longer than 1"
        cure = "load and save it with SimpleITK, which takes the nearest rotation, and check its orientation"
        raise CodecError(name, reason, cure) from error


def encode_nifti(array: np.ndarray, header: NiftiHeader, compress_level: int, compressed: bool) -> bytes:
    """Encode a NIfTI file with the header and extensions of its source.

    Args:
        array: ``(C, *spatial)`` stored values.
        header: from `decode_nifti`.
        compress_level: 0 to 9, used if ``compressed``.
        compressed: write gzip (``.nii.gz``), without a time stamp, so that equal volumes give equal files.
    """
    # Piece by piece, because copies of a large volume would fill the memory.
    blocks = (channel[..., block] for channel in array for block in _blocks(array.shape[-1]))
    voxels = (block.astype(header.dtype, copy=False).tobytes(order="F") for block in blocks)
    if not compressed:
        return b"".join((header.prefix, *voxels, header.suffix))
    gzip = zlib.compressobj(compress_level, zlib.DEFLATED, _GZIP)
    packed = [gzip.compress(piece) for pieces in ((header.prefix,), voxels, (header.suffix,)) for piece in pieces]
    return b"".join((*packed, gzip.flush()))


def _blocks(side: int) -> Iterator[slice]:
    return (slice(first, first + _BLOCK) for first in range(0, side, _BLOCK))


def encode_pair(array: np.ndarray, header: NiftiHeader) -> dict[str, bytes]:
    """Encode a NIfTI pair, with an unchanged header file, by the suffixes ``.hdr`` and ``.img``.

    Args:
        array: ``(C, *spatial)`` stored values.
        header: from `decode_pair`.
    """
    return {".hdr": header.file, ".img": encode_nifti(array, header, 0, compressed=False)}


def _spatial_shape(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the spatial shape, and the number of channels along a fourth axis."""
    axes = shape
    while len(axes) > 3 and axes[-1] == 1:
        axes = axes[:-1]
    if len(axes) not in (2, 3, 4):
        raise CodecError(name, f"shape {shape}, must have 2 to 4 axes", "store each channel as a file of its own")
    if min(axes) < 0:
        raise CodecError(name, f"shape {shape}, must not be negative", "fetch or export it again")
    return axes[:3], axes[3] if len(axes) == 4 else 1


def _check_sizes(name: str, header: Nifti1Header, spatial: tuple[int, ...]) -> None:
    """Refuse an axis of size 0 in the unchecked ``header``, which nibabel would read as 1 mm."""
    for axis, (side, size) in enumerate(zip(spatial, header["pixdim"][1:], strict=False)):
        if side > 1 and size == 0:
            raise CodecError(name, f"its voxels are 0 mm long along axis {axis}, must be > 0", NIFTI_CURE)
