"""NIfTI volumes (``.nii``, ``.nii.gz``): header and extensions are kept byte by byte, only voxels are replaced."""

import gzip
import io
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from monai_umed.data.source import Source
from monai_umed.data.stored import CodecError, Decoded

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from NIfTI's RAS
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class NiftiHeader:
    """What is needed to write a NIfTI file again.

    Attributes:
        prefix: all bytes before the voxels: header and extensions.
        suffix: all bytes after the voxels.
        dtype: voxel type in the file's byte order.
    """

    prefix: bytes
    suffix: bytes
    dtype: np.dtype


def decode_nifti(source: Source) -> Decoded:
    """Decode a NIfTI-1 or NIfTI-2 file of one channel, without applying its slope.

    Args:
        source: ``.nii`` or ``.nii.gz`` file.

    Returns:
        Array ``(1, i, j, k)`` (or ``(1, i, j)``) in nibabel's axis order, with the stored dtype in native byte order.

    Raises:
        CodecError: several channels or time points, complex or color voxels, or the file ends early.
        Exception: damaged files raise what gzip or nibabel raise.
    """
    content = source.read_bytes()
    if content.startswith(_GZIP_MAGIC):
        content = gzip.decompress(content)
    is_second = nib.Nifti2Header.may_contain_header(content[:540])
    header = (nib.Nifti2Header if is_second else nib.Nifti1Header).from_fileobj(io.BytesIO(content))
    shape = tuple(int(side) for side in header.get_data_shape())
    spatial = _spatial_shape(source.name, shape)
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise CodecError(source.name, f"voxels of type {dtype}", "save it as int16 or float32")
    begin = int(header.get_data_offset())
    end = begin + int(np.prod(shape)) * dtype.itemsize
    if not header["magic"].item().startswith(b"n+") or begin < header.sizeof_hdr:
        raise CodecError(source.name, "header and voxels are in two files", "save it as one .nii.gz file")
    if len(content) < end:
        raise CodecError(source.name, f"the file ends after {len(content)} of {end} bytes", "fetch or export it again")
    voxels = np.frombuffer(content, dtype, offset=begin, count=int(np.prod(shape))).reshape(spatial, order="F")
    slope, intercept = header.get_slope_inter()
    return Decoded(
        array=np.array(voxels, dtype=dtype.newbyteorder("="), order="C")[None],
        format="nifti",
        header=NiftiHeader(prefix=content[:begin], suffix=content[end:], dtype=dtype),
        spacing=tuple(float(size) for size in header.get_zooms()[: len(spatial)]),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        affine=_LPS @ header.get_best_affine() if len(spatial) == 3 else None,
    )


def encode_nifti(array: np.ndarray, header: NiftiHeader, compress_level: int, compressed: bool) -> bytes:
    """Encode a NIfTI file with the header of ``header``.

    Args:
        array: ``(1, *spatial)`` stored values.
        header: from `decode_nifti`.
        compress_level: 0 to 9, used if ``compressed``.
        compressed: write gzip (``.nii.gz``); without a time stamp, so that equal volumes give equal files.

    Returns:
        The whole file.
    """
    voxels = array[0].astype(header.dtype).tobytes(order="F")
    content = header.prefix + voxels + header.suffix
    return gzip.compress(content, compress_level, mtime=0) if compressed else content


def _spatial_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    spatial = shape
    while len(spatial) > 3 and spatial[-1] == 1:
        spatial = spatial[:-1]
    if len(spatial) not in (2, 3):
        raise CodecError(name, f"shape {shape}, must have 2 or 3 axes", "store each channel as a file of its own")
    if min(spatial) < 0:
        raise CodecError(name, f"shape {shape}, must not be negative", "fetch or export it again")
    return spatial
