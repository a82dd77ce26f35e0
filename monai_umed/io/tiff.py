"""TIFF files of 8 or 16 bits, gray or RGB, with their tags."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from .source import Source, named
from .stored import CodecError, Decoded
from .upright import ORIENTATION, check_upright

# Tags of the pixel layout, which are newly written. Resolution (282, 283, 296) has arguments of its own.
_LAYOUT_TAGS = {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 282, 283, 284, 288, 289, 292, 293}
_LAYOUT_TAGS |= {296, 317, 320, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347}
# Tags that are an offset to a block elsewhere in the file, which copying the number would not copy.
_POINTER_TAGS = {34665, 34853, 40965}
_HEADER_BYTES = 8  # with which every TIFF file begins


@dataclass(frozen=True)
class TiffHeader:
    """What is needed to write a TIFF file again.

    Attributes:
        arguments: keyword arguments of `tifffile.imwrite`.
        compressed: whether pixels are compressed; they are then written with Deflate, which every reader supports.
        bilevel: whether there is one bit per pixel.
    """

    arguments: dict[str, Any]
    compressed: bool
    bilevel: bool


def decode_tiff(source: Source) -> Decoded:
    """Decode a TIFF file of one page.

    Args:
        source: TIFF file, uncompressed or with lossless compression, in strips or tiles.

    Returns:
        uint8 or uint16 array ``(C, H, W)``; 0 and 1 for 1-bit files.

    Raises:
        CodecError: If it has several pages, a palette, inverted gray, another bit depth or lossy compression, or is
            stored rotated or mirrored.
        Exception: If the file is damaged.
    """
    with tifffile.TiffFile(io.BytesIO(source.read_bytes())) as file:
        if len(file.pages) != 1:
            raise CodecError(source.name, f"{len(file.pages)} pages", "store each page as a file of its own")
        page = file.pages.first
        _check_layout(source.name, page)
        check_upright(source.name, page.tags.valueof(ORIENTATION))
        header = _read_header(page, file.byteorder)
        pixels = _read_pixels(source, page)
        planes_first = page.axes.startswith("S")
        has_alpha = bool(page.extrasamples)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[None]
    elif not planes_first:
        pixels = np.moveaxis(pixels, -1, 0)
    array = np.array(pixels, dtype=pixels.dtype.newbyteorder("="), order="C")
    # Encode one pixel, to learn whether all tags can be written before anything is computed.
    encode_tiff(array[:, :1, :1], header, compress_level=0)
    return Decoded(array=array, format="tiff", header=header, has_alpha=has_alpha, bilevel=header.bilevel)


def encode_tiff(array: np.ndarray, header: TiffHeader | None, compress_level: int) -> bytes:
    """Encode a TIFF file with the tags of ``header``.

    Args:
        array: ``(C, H, W)`` uint8 or uint16.
        header: from `decode_tiff`, or None for a plain file.
        compress_level: 0 to 9 for Deflate, used if the source was compressed.
    """
    header = header or TiffHeader(_plain_arguments(array), compressed=True, bilevel=False)
    pixels = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
    layout: dict[str, Any] = {} if array.shape[0] == 1 else {"planarconfig": "contig"}
    if header.compressed:
        layout |= {"compression": "zlib", "compressionargs": {"level": compress_level}}
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(pixels, dtype=bool if header.bilevel else None),
        metadata=None,
        **header.arguments,
        **layout,
    )
    return buffer.getvalue()


def _plain_arguments(array: np.ndarray) -> dict[str, Any]:
    extra = {"extrasamples": ["unassalpha"]} if array.shape[0] in (2, 4) else {}
    return {"photometric": "rgb" if array.shape[0] >= 3 else "minisblack", "software": False, **extra}


def _check_layout(name: str, page: tifffile.TiffPage) -> None:
    cure = "save it as 8-bit or 16-bit gray or RGB with Deflate compression"
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    if photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
        raise CodecError(name, f"pixels are of the kind {photometric.name}", cure)
    limit = 2 * (Image.MAX_IMAGE_PIXELS or page.size)  # Pillow's limit for the other 2D formats
    if page.imagewidth * page.imagelength > limit:
        reason = f"{page.imagewidth} x {page.imagelength} pixels, must be <= {limit} in all"
        raise CodecError(name, reason, "cut it into smaller images, or fetch it again if it is not that large")
    colors = 3 if photometric == tifffile.PHOTOMETRIC.RGB else 1
    if page.samplesperpixel != colors + len(page.extrasamples) or len(page.extrasamples) > 1 or page.imagedepth != 1:
        raise CodecError(name, f"{page.samplesperpixel} channels in the layout {page.axes}", cure)
    bilevel = page.dtype == np.dtype(bool) and page.bitspersample == 1 and page.samplesperpixel == 1
    if not bilevel and (str(page.dtype), page.bitspersample) not in (("uint8", 8), ("uint16", 16)):
        raise CodecError(name, f"{page.bitspersample} bits per sample of type {page.dtype}", cure)
    if min(page.dataoffsets, default=0) < _HEADER_BYTES or not all(page.databytecounts):
        # Some readers take these for pixels of value 0, others read whatever is there.
        raise CodecError(name, "strips or tiles of its pixels are missing", "fetch it again, or save it whole")
    compression = tifffile.COMPRESSION(page.compression)
    if compression in (tifffile.COMPRESSION.OJPEG, tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.WEBP):
        raise CodecError(name, f"lossy compression {compression.name}", cure)


def _read_header(page: tifffile.TiffPage, byteorder: str) -> TiffHeader:
    tags = page.tags
    kept = [
        (tag.code, int(tag.dtype), tag.count, tag.value.encode() if isinstance(tag.value, str) else tag.value, True)
        for tag in tags.values()
        if tag.code not in _LAYOUT_TAGS | _POINTER_TAGS
    ]
    arguments: dict[str, Any] = {
        "photometric": page.photometric,
        "byteorder": byteorder,
        "software": False,  # otherwise tifffile signs the file
        "extratags": kept,
    }
    if "XResolution" in tags and "YResolution" in tags:
        arguments["resolution"] = (tags["XResolution"].value, tags["YResolution"].value)
        unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 2
        arguments["resolutionunit"] = tifffile.RESUNIT(unit)  # raises for an invalid value now, not when writing
    if page.extrasamples:
        arguments["extrasamples"] = page.extrasamples
    compressed = page.compression != tifffile.COMPRESSION.NONE
    return TiffHeader(arguments, compressed=compressed, bilevel=page.dtype == np.dtype(bool))


def _read_pixels(source: Source, page: tifffile.TiffPage) -> np.ndarray:
    native = (tifffile.COMPRESSION.NONE, tifffile.COMPRESSION.DEFLATE, tifffile.COMPRESSION.ADOBE_DEFLATE)
    if page.compression in native:
        return page.asarray()
    # tifffile needs one more package for LZW, PackBits and the fax codes; Pillow and SimpleITK bring libtiff.
    if page.dtype == np.dtype(bool):
        with Image.open(io.BytesIO(source.read_bytes())) as image:
            return np.asarray(image)
    import SimpleITK  # few files need it, and it takes a while to load

    with named(source) as path:
        pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path, imageIO="TIFFImageIO"))
    if pixels.shape != page.shape or pixels.dtype != page.dtype:
        reason = f"pixels compressed with {tifffile.COMPRESSION(page.compression).name} in the layout {page.axes}"
        raise CodecError(source.name, reason, "save it with Deflate compression")
    return pixels
