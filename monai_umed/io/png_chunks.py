"""Copy all metadata chunks of a PNG file (text, resolution, color profile, EXIF ...) to new pixels, bit by bit.

Pillow keeps only some of the chunks and SimpleITK none.
"""

import struct
import zlib
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
# Deflate makes at most so many bytes of one; decoders take memory for as many pixels as the header names.
_MOST_FROM_A_BYTE = 1032
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


@dataclass(frozen=True)
class PngHeader:
    """Pixel layout of a PNG file and its metadata.

    Attributes:
        bit_depth: bits per sample: 1, 2, 4, 8 or 16.
        color_type: one of this module's ``GRAY``, ``RGB``, ``PALETTE``, ``GRAY_ALPHA``, ``RGBA``.
        before: chunks between header and pixels, as bytes.
        after: chunks between pixels and end, as bytes.
    """

    bit_depth: int = 8
    color_type: int = GRAY
    before: bytes = b""
    after: bytes = b""


def read_header(content: bytes) -> PngHeader:
    """Read the layout and the metadata chunks of a whole PNG file; the checksums of pixels are left to the decoder.

    Raises:
        ValueError: If it is not a PNG file, ends early, has a chunk with a wrong checksum, or names more pixels than so
            few bytes can hold.
    """
    before, after = b"", b""
    seen_pixels = False
    for name, chunk in _chunks(content):
        seen_pixels |= name == b"IDAT"
        if name in _CRITICAL:
            continue
        if seen_pixels:
            after += chunk
        else:
            before += chunk
    width, height, bit_depth = struct.unpack(">2IB", content[16:25])
    if height * (1 + width * bit_depth // 8) > _MOST_FROM_A_BYTE * len(content):
        raise ValueError(f"its header names {width} x {height} pixels, more than its {len(content)} bytes can hold")
    return PngHeader(bit_depth=content[24], color_type=content[25], before=before, after=after)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return all chunks in order as ``(name, whole chunk)``."""
    if not content.startswith(SIGNATURE):
        raise ValueError("not a PNG file")
    chunks = []
    position, name = len(SIGNATURE), b""
    while name != b"IEND":
        head = content[position : position + 8]
        if len(head) < 8:
            raise ValueError("the file ends early")
        length, name = struct.unpack(">I4s", head)
        end = position + 12 + length
        chunk = content[position:end]
        if len(chunk) < 12 + length:
            raise ValueError("the file ends early")
        if name != b"IDAT" and zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
            raise ValueError(f"chunk {name!r} has a wrong checksum")
        chunks.append((name, chunk))
        position = end
    return chunks
