"""Read labels from PNG and BMP files, also those with a palette or few bits, since labels are never encoded again."""

import io

import numpy as np
from PIL import Image

from . import png_chunks, raster
from .source import Source
from .stored import CodecError, Decoded
from .upright import ORIENTATION, check_upright

_CLASS_NUMBERS = 16
"""Gray levels of a palette below this may be class numbers, if a program put them there to save space."""


def decode_png_label(source: Source) -> Decoded:
    """Decode a PNG label like :func:`monai_umed.io.raster.decode_png`, but also with a palette or 2 or 4 bits.

    These give uint8 ``(1, H, W)``, the indices of the palette or the stored numbers.

    Raises:
        CodecError: If grays of a palette may be class numbers that differ from their indices, or for other reasons of
            `decode_png`.
        Exception: If the file is damaged.
    """
    header = png_chunks.read_header(source.read_bytes())
    is_palette = header.color_type == png_chunks.PALETTE
    if not is_palette and header.bit_depth not in (2, 4):
        return raster.decode_png(source)
    raster.check_still(source.name, header)
    pixels = _read_upright(source)
    if not is_palette:
        pixels //= 255 // (2**header.bit_depth - 1)  # Pillow scales them to 0 to 255
    return Decoded(array=pixels[None], format="png", header=header)


def decode_bmp_label(source: Source) -> Decoded:
    """Decode a BMP label like :func:`monai_umed.io.raster.decode_bmp`, with a palette its indices, uint8 ``(1, H, W)``.

    Raises:
        CodecError: If it has alpha, or a palette that `decode_png_label` would refuse.
        Exception: If the file is damaged.
    """
    with Image.open(io.BytesIO(source.read_bytes())) as image:
        is_palette = image.mode == "P"
    return Decoded(array=_read_upright(source)[None], format="bmp") if is_palette else raster.decode_bmp(source)


def _read_upright(source: Source) -> np.ndarray:
    """Return pixels ``(H, W)`` of a gray file, or the indices of one with a palette."""
    with Image.open(io.BytesIO(source.read_bytes())) as image:
        check_upright(source.name, image.getexif().get(ORIENTATION))
        pixels = np.array(image)
        if image.mode == "P":
            _check_palette(source.name, np.array(image.getpalette("RGB")).reshape(-1, 3), np.unique(pixels))
    return pixels


def _check_palette(name: str, colors: np.ndarray, used: np.ndarray) -> None:
    """Refuse a palette whose grays may be class numbers but differ from their indices.

    Args:
        name: file name, for errors.
        colors: ``(entries, 3)``.
        used: indices that occur, ascending.
    """
    grays = colors[used[used < len(colors)], 0].astype(int)
    if len(grays) < len(used) or (colors[used] != grays[:, None]).any() or np.array_equal(grays, used):
        return
    only_looks = (grays[used > 0] >= _CLASS_NUMBERS).all() and (grays[used == 0] == 0).all()
    if not (only_looks and (np.diff(grays) > 0).all()):
        pairs = ", ".join(f"{index} is gray {gray}" for index, gray in zip(used[:5], grays[:5], strict=True))
        raise CodecError(
            name,
            f"its palette has grays in another order than its indices ({pairs}), so either may be the class",
            "save the class numbers as 8-bit gray",
        )
