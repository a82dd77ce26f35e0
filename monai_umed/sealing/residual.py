"""The lossless difference of an original from its protected version, made small: what is sealed.

Of several files, a folder or a NIfTI pair, each is compared with the protected file of its name, and all differences
are compressed together: what the slices of a DICOM series have in common is kept once.
"""

from __future__ import annotations

import json
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping

import numpy as np

_PROBE_BYTES = 1 << 20
_WORTH_COMPRESSING = 0.98  # share of its size that a sample may keep; files that are compressed already keep more
_LENGTH = struct.Struct(">I")

# What a residual is the difference from, by the number that is sealed with it. Pixels stand at the end of files whose
# headers differ in length, such as TIFF.
_REFERENCES: tuple[Callable[[bytes, int], bytes], ...] = (
    lambda protected, size: bytes(size),
    lambda protected, size: protected[:size].ljust(size, b"\0"),
    lambda protected, size: protected[max(0, len(protected) - size) :].rjust(size, b"\0"),
)


def encode_file(original: bytes, protected: bytes) -> bytes:
    """Difference of two files, which `decode_file` takes back.

    Two bytes, number of the reference and whether the rest is compressed, then the residual from the best reference.
    """
    number, residual = _residual(original, protected)
    is_compressed, packed = _pack(residual)
    return bytes((number, is_compressed)) + packed


def decode_file(content: bytes, protected: bytes) -> bytes:
    """The original of which `encode_file` gave ``content``."""
    number, is_compressed = content[:2]
    residual = _unpack(is_compressed, content[2:])
    return _xor(residual, _REFERENCES[number](protected, len(residual)))


def encode_folder(original: Mapping[str, bytes], protected: Mapping[str, bytes]) -> bytes:
    """Difference of two folders, which `decode_folder` takes back, in the order of the names.

    One byte, whether the rest is compressed; the length of a table as four bytes; the table as JSON, for every file its
    name, length and number of the reference; then the residuals. A file whose name is new is kept as it is.
    """
    table, residuals = [], []
    for name in sorted(original):
        number, residual = _residual(original[name], protected.get(name, b""))
        table.append((name, len(residual), number))
        residuals.append(residual)
    index = json.dumps(table).encode("ascii")
    is_compressed, packed = _pack(b"".join((_LENGTH.pack(len(index)), index, *residuals)))
    return bytes((is_compressed,)) + packed


def decode_folder(content: bytes, protected: Mapping[str, bytes]) -> dict[str, bytes]:
    """The original of which `encode_folder` gave ``content``, files by name."""
    packed = _unpack(content[0], content[1:])
    start = _LENGTH.size + _LENGTH.unpack_from(packed)[0]
    files = {}
    for name, size, number in json.loads(packed[_LENGTH.size : start]):
        residual, start = packed[start : start + size], start + size
        files[name] = _xor(residual, _REFERENCES[number](protected.get(name, b""), size))
    return files


def _residual(original: bytes, protected: bytes) -> tuple[int, bytes]:
    """Number of the best reference, and the difference from it."""
    size = len(original)

    def residual(number: int) -> bytes:
        return _xor(original, _REFERENCES[number](protected, size))

    best = min(range(len(_REFERENCES)), key=lambda number: _probe(residual(number)))
    return best, residual(best)


def _pack(residual: bytes) -> tuple[bool, bytes]:
    """Whether it was worth compressing, and the result."""
    size = len(residual)
    # xz takes seconds per megabyte that is compressed already, and gains nothing there.
    if _probe(residual) < _WORTH_COMPRESSING * min(size, _PROBE_BYTES):
        compressed = lzma.compress(residual)
        if len(compressed) < size:
            return True, compressed
    return False, residual


def _unpack(is_compressed: int, packed: bytes) -> bytes:
    return lzma.decompress(packed) if is_compressed else packed


def _probe(residual: bytes) -> int:
    """Compressed size of its middle."""
    size = len(residual)
    return len(zlib.compress(residual[max(0, (size - _PROBE_BYTES) // 2) : (size + _PROBE_BYTES) // 2], 1))


def _xor(left: bytes, right: bytes) -> bytes:
    return np.bitwise_xor(np.frombuffer(left, np.uint8), np.frombuffer(right, np.uint8)).tobytes()
