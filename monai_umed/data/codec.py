"""Read and write images and labels so that a file comes back bit by bit, except for the perturbation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..dicom import lazy as lazy_dicom
from ..io import itk_image, label_raster, nifti, raster, tiff
from ..io.content import Content, write_content
from ..io.dicom_sign import DICOM_SUFFIX, split_file
from ..io.grids import check_geometry
from ..io.image_files import PAIR, pair_problem, parts_of
from ..io.join_channels import join_channels
from ..io.joint_path import joint_files
from ..io.once import once
from ..io.source import MemoryFile, Source
from ..io.stored import CodecError, Decoded, IntensityWindow, StoredImage
from ..io.suffixes import LOSSY, SUPPORTED, output_name, split_name
from .default_window import given_windows, stored_window

_DECODERS: dict[str, Callable[[Source], Decoded]] = {
    ".png": raster.decode_png,
    ".jpg": raster.decode_jpeg,
    ".jpeg": raster.decode_jpeg,
    ".bmp": raster.decode_bmp,
    ".tif": tiff.decode_tiff,
    ".tiff": tiff.decode_tiff,
    ".nii": nifti.decode_nifti,
    ".nii.gz": nifti.decode_nifti,
    ".nrrd": itk_image.decode_nrrd,
    ".mha": itk_image.decode_mha,
    ".dcm": lazy_dicom.decode_dicom,
}
# Of labels, where they are read in another way; these files are copied, never written.
_LABEL_DECODERS: dict[str, Callable[[Source], Decoded]] = {
    ".png": label_raster.decode_png_label,
    ".bmp": label_raster.decode_bmp_label,
}
# By ending of the target and format of the source.
_ENCODERS: dict[tuple[str, str], Callable[[np.ndarray, StoredImage, int], Content]] = {
    (".png", "png"): lambda array, source, _: raster.encode_png(array, source.header),
    (".png", "jpeg"): lambda array, source, _: raster.encode_png(array, source.header),
    (".bmp", "bmp"): lambda array, source, level: raster.encode_bmp(array, source.header, level),
    (".tif", "tiff"): lambda array, source, level: tiff.encode_tiff(array, source.header, level),
    (".tiff", "tiff"): lambda array, source, level: tiff.encode_tiff(array, source.header, level),
    (".nii", "nifti"): lambda array, source, level: nifti.encode_nifti(array, source.header, level, compressed=False),
    (".nii.gz", "nifti"): lambda array, source, level: nifti.encode_nifti(array, source.header, level, compressed=True),
    (".img", "nifti_pair"): lambda array, source, _: nifti.encode_pair(array, source.header),
    (".nrrd", "nrrd"): lambda array, source, level: itk_image.encode_nrrd(array, source.header, level),
    (".mha", "mha"): lambda array, source, level: itk_image.encode_mha(array, source.header, level),
    (".dcm", "dicom"): lambda array, source, _: lazy_dicom.encode_dicom(array, source),
}
_DICOM_FORMATS = ("dicom", "dicom_series")


def read_image(path: str | Path, intensity_window: IntensityWindow | None = None) -> StoredImage:
    """Read an image in stored units.

    Args:
        path: file of one of the `SUPPORTED` endings, or folder with the slices of one DICOM series. Of a NIfTI pair it
            is the ``.img`` file, whose header lies beside it. Of channels in files of their own it names all of them,
            see `monai_umed.io.joint_path`.
        intensity_window: displayed values (HU in CT) that map to 0 and 1, of all channels or of each; for presets see
            `monai_umed.data.windows.as_window`. Default, of each channel: the full range for 8-bit 2D files, the window
            that DICOM files name, the `default_window` of the values for all others.

    Returns:
        The image. Its ``intensity_window`` is in stored units, the file's slope already applied. Several volumes along
        the fourth axis of a NIfTI file, and channels in files of their own, have windows of their own.

    Raises:
        CodecError: unknown ending, damaged file, a kind of pixels that cannot be written back without loss, half of a
            pair, a folder that is no series, see `decode_series`, channels that are no image together, see
            `join_channels`, or another number of windows than of channels.
        ValueError: ``intensity_window`` is not two different finite numbers.
    """
    path = Path(path)
    files = joint_files(path)
    if files is not None:
        if missing := [file.name for file in files.values() if not file.exists()]:
            cure = "add it, or remove the other channels and their label"
            raise CodecError(path.name, f"{', '.join(missing)} is missing, one of its channels", cure)
        windows = given_windows(path.name, intensity_window, len(files))
        images = {file.name: read_image(file, own) for file, own in zip(files.values(), windows, strict=True)}
        return join_channels(images)
    decoded = decode(path)
    if decoded.array.dtype.itemsize > 4 and decoded.array.dtype.kind in "iu":
        raise CodecError(path.name, f"voxels of type {decoded.array.dtype}", "save it as int16 or float32")
    return StoredImage(
        array=decoded.array,
        intensity_window=stored_window(path.name, decoded, intensity_window),
        spacing=decoded.spacing,
        has_alpha=decoded.has_alpha,
        format=decoded.format,
        header=decoded.header,
        value_range=decoded.value_range,
        affine=decoded.affine,
        grid=decoded.grid,
    )


def decode_image(name: str, content: Content) -> Decoded:
    """Decode an image that is in memory, as `read_image` does with the file or folder of this name; no disk is used.

    Args:
        name: name of the file, whose ending tells its format, or of a folder with the slices of one DICOM series.
        content: the whole file, or all of them as `read_content` gives them.

    Returns:
        The image in stored units, with all that its decoder tells.

    Raises:
        CodecError: as in `read_image`; on systems other than Linux also an NRRD, a MetaImage, a TIFF file with LZW or
            PackBits compression and a PNG file with colors of 16 bits, whose decoders read named files only.
    """
    if isinstance(content, bytes):
        return _decode_file(MemoryFile(name, content))
    files = {part: MemoryFile(part, file) for part, file in content.items()}
    if files.keys() == set(PAIR):
        return _checked(name, lambda: nifti.decode_pair(name, files))
    return _checked(name, lambda: lazy_dicom.decode_slices(name, list(files.values())))


def write_image(path: str | Path, array: np.ndarray, source: StoredImage, compress_level: int = 1) -> None:
    """Write an image in the format of its source: same bit depth, mode, metadata; all at once or not at all.

    JPEG sources are written as PNG, see `output_name`. A DICOM series is written as a folder of as many files, a NIfTI
    pair as two with the header file of its source, channels that lie in files of their own as these files, see
    `write_content`.

    Args:
        path: target; the folder that it lies in must exist. Existing files are replaced, an existing folder as well if
            it holds no files of other names.
        array: ``(C, *spatial)`` stored values, same shape and dtype as ``source.array``.
        source: image that was read with `read_image`.
        compress_level: 0 to 9 for TIFF and ``.nii.gz``. Noise hardly compresses, higher levels mostly take time.

    Raises:
        CodecError: lossy target, other format than the source, other shape or dtype than the source, or changed values
            that a DICOM file cannot hold.
        OSError: If the folder is missing or read-only, the disk is full, or a folder that would be replaced holds other
            files; nothing is left behind.
    """
    path = Path(path)
    if array.shape != source.array.shape or array.dtype != source.array.dtype:
        reason = f"array is {array.dtype} {array.shape}, its source is {source.array.dtype} {source.array.shape}"
        raise CodecError(path.name, reason, "pass the array that add_delta returned for this source")
    files = joint_files(path)
    if files is None:
        return write_content(path, _encode(path, array, source, compress_level))
    images = zip(files.items(), source.with_values(array).channels, strict=True)
    contents = {name: _encode(file, image.array, image, compress_level) for (name, file), image in images}
    return write_content(path, {name: content for name, content in contents.items() if isinstance(content, bytes)})


def _encode(path: Path, array: np.ndarray, source: StoredImage, compress_level: int) -> Content:
    suffix = split_name(path.name)[1]
    if suffix in LOSSY and source.format != "dicom_series":
        reason = f"{suffix} compression would erase the perturbation"
        raise CodecError(path.name, reason, f"write to {output_name(path)}")
    if source.format == "dicom_series":
        return lazy_dicom.encode_series(array, source)
    if source.format == "dicom" and suffix not in SUPPORTED:  # it was known by its content
        suffix = DICOM_SUFFIX
    encoder = _ENCODERS.get((suffix, source.format))
    if encoder is None:
        reason = f"a {source.format} image cannot be written as {suffix or 'a file without ending'}"
        raise CodecError(path.name, reason, "keep its ending")
    return encoder(array, source, compress_level)


def decode(path: Path, *, as_label: bool = False) -> Decoded:
    """Decode a file, or folder of slices, as it is; arguments and errors as in `read_image` or `read_label`.

    The array must not be changed: a run reads each file once, see :mod:`monai_umed.io.once`.
    """
    decoded = once(
        "label" if as_label else "image", path, lambda: _decode(path, as_label), size=lambda found: found.array.nbytes
    )
    decoded.array.flags.writeable = False
    return decoded


def _decode(path: Path, as_label: bool) -> Decoded:
    if path.is_dir():
        return _checked(path.name, lambda: lazy_dicom.decode_series(path))
    if problem := pair_problem(path):
        raise CodecError(path.name, *problem)
    parts = parts_of(path)
    return (
        _decode_file(path, as_label)
        if parts is None
        else _checked(path.name, lambda: nifti.decode_pair(path.name, parts))
    )


def _decode_file(source: Source, as_label: bool = False) -> Decoded:
    suffix = split_file(source)[1]
    decoder = (_DECODERS | _LABEL_DECODERS if as_label else _DECODERS).get(suffix)
    if decoder is None:
        raise CodecError(source.name, f"unknown file ending {suffix!r}", f"convert it to one of {', '.join(SUPPORTED)}")
    return _checked(source.name, lambda: decoder(source))


def _checked(name: str, decode: Callable[[], Decoded]) -> Decoded:
    with _codec_errors(name), np.errstate(invalid="ignore"):  # of damaged headers, which are refused below
        decoded = decode()
    if decoded.array.size == 0:
        reason = f"it holds no pixels, its shape is {decoded.array.shape[1:]}"
        raise CodecError(name, reason, "fetch or export it again")
    check_geometry(name, decoded)
    return decoded


@contextmanager
def _codec_errors(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into a `CodecError`."""
    try:
        yield
    except CodecError:
        raise
    except FileNotFoundError as error:
        raise CodecError(name, "the file does not exist", "check the path") from error
    except Exception as error:  # five decoders raise a dozen unrelated types on damaged files
        detail = str(error).strip().splitlines()
        reason = f"cannot be read ({type(error).__name__}: {detail[-1] if detail else 'no details'})"
        raise CodecError(name, reason, "the file is damaged or not what its ending says: fetch it again") from error
