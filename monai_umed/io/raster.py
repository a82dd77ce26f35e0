"""PNG, JPEG (read only) and BMP files."""

import io
from typing import Any

import numpy as np
from PIL import Image

from . import png_chunks, png_encoder
from .png_chunks import PngHeader
from .source import Source, named
from .stored import CodecError, Decoded
from .upright import ORIENTATION, check_upright

# Metadata of a JPEG or BMP file that Pillow can write again.
_KEPT_INFO = ("dpi", "icc_profile", "exif")


def decode_png(source: Source) -> Decoded:
    """Decode a PNG file of 1, 8 or 16 bits per sample, gray or RGB, with or without alpha.

    Returns:
        uint8 or uint16 array ``(C, H, W)``; 0 and 1 for 1-bit files.

    Raises:
        CodecError: If it has a palette, 2 or 4 bits per sample, or 16 bits with alpha for gray or with a transparent
            color for RGB, is animated, or is stored rotated or mirrored.
        Exception: If the file is damaged.
    """
    content = source.read_bytes()
    header = png_chunks.read_header(content)
    if header.color_type == png_chunks.PALETTE:
        raise CodecError(source.name, "colors come from a palette", "convert it to 8-bit gray or RGB")
    if header.bit_depth in (2, 4):
        raise CodecError(source.name, f"{header.bit_depth} bits per pixel", "convert it to 8 bits per pixel")
    check_still(source.name, header)
    with Image.open(io.BytesIO(content)) as image:
        check_upright(source.name, image.getexif().get(ORIENTATION))
        if header.bit_depth == 16 and header.color_type != png_chunks.GRAY:
            pixels = _decode_deep_png(source, header)
        else:
            pixels = np.asarray(image)
    return Decoded(
        array=_channels_first(pixels),
        format="png",
        header=header,
        has_alpha=header.color_type in (png_chunks.GRAY_ALPHA, png_chunks.RGBA),
        bilevel=header.bit_depth == 1,
    )


def check_still(name: str, header: PngHeader) -> None:
    """Refuse an animated PNG file with a `CodecError`."""
    if b"acTL" in header.before:
        raise CodecError(name, "the PNG file is animated", "store each frame as a file of its own")


def decode_jpeg(source: Source) -> Decoded:
    """Decode a gray or RGB JPEG file, which will be written as PNG, to a uint8 array ``(1 or 3, H, W)``.

    Raises:
        CodecError: If it has another color space, or is stored rotated or mirrored.
        Exception: If the file is damaged.
    """
    pixels, info = _decode_with_pillow(source, ("L", "RGB"))
    return Decoded(array=pixels, format="jpeg", header=info)


def decode_bmp(source: Source) -> Decoded:
    """Decode a gray or RGB BMP file to a uint8 array ``(1 or 3, H, W)``; 0 and 1 for 1-bit files.

    Raises:
        CodecError: If it has a palette or alpha.
        Exception: If the file is damaged.
    """
    pixels, info = _decode_with_pillow(source, ("1", "L", "RGB"))
    return Decoded(array=pixels, format="bmp", header=info, bilevel=info["bilevel"])


def encode_png(array: np.ndarray, header: PngHeader | dict[str, Any] | None) -> bytes:
    """Encode a PNG file.

    Args:
        array: ``(C, H, W)`` uint8 or uint16.
        header: from `decode_png`, the metadata of `decode_jpeg`, or None for none.
    """
    if not isinstance(header, PngHeader):  # Pillow knows how PNG files hold them
        header = png_chunks.read_header(_encode_with_pillow(array[:, :1, :1], "PNG", header or {}))
    return png_encoder.encode(array, header)


def encode_bmp(array: np.ndarray, header: dict[str, Any] | None, compress_level: int) -> bytes:
    """Encode a BMP file.

    Args:
        array: ``(1 or 3, H, W)`` uint8.
        header: from `decode_bmp`, or None for no metadata.
        compress_level: ignored, since BMP files are not compressed.
    """
    return _encode_with_pillow(array, "BMP", header or {})


def _decode_with_pillow(source: Source, modes: tuple[str, ...]) -> tuple[np.ndarray, dict[str, Any]]:
    with Image.open(io.BytesIO(source.read_bytes())) as image:
        if image.mode not in modes:
            reason = f"its pixels are of the kind {image.mode!r}, this format is read as {', '.join(modes)}"
            raise CodecError(source.name, reason, "convert it to an 8-bit gray or RGB PNG file")
        check_upright(source.name, image.getexif().get(ORIENTATION))
        pixels = _channels_first(np.asarray(image))
        info = {key: image.info[key] for key in _KEPT_INFO if image.info.get(key)}
        info["bilevel"] = image.mode == "1"
    return pixels, info


def _encode_with_pillow(array: np.ndarray, file_format: str, info: dict[str, Any]) -> bytes:
    pixels = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
    if info.get("bilevel"):
        pixels = pixels.astype(bool)
    metadata = {key: info[key] for key in _KEPT_INFO if key in info}
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, file_format, **metadata)
    return buffer.getvalue()


def _decode_deep_png(source: Source, header: PngHeader) -> np.ndarray:
    """Decode several channels of 16 bits with SimpleITK, since Pillow would drop the lower 8 bits."""
    if header.color_type == png_chunks.GRAY_ALPHA or b"tRNS" in header.before:
        raise CodecError(source.name, "16-bit pixels with transparency", "remove the transparency")
    import SimpleITK  # few files need it, and it takes a while to load

    with named(source) as path:
        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path, imageIO="PNGImageIO"))


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    """Convert ``(H, W)`` or ``(H, W, C)`` to ``(C, H, W)``; booleans become 0 and 1."""
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    channels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return np.array(channels, order="C")
