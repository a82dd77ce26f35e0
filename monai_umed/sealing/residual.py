"""The compressed lossless difference of an original from its protected version, which is what gets sealed.

Each of several files, a folder or a NIfTI pair, is compared with the protected file of the same name. All differences
are compressed together, so that what the slices of a DICOM series have in common is stored once.
"""

from __future__ import annotations

import json
import lzma
import struct
from collections.abc import Callable, Mapping

import numpy as np
from isal import isal_zlib

_PROBE_BYTES = 1 << 20
_WORTH_COMPRESSING = 0.98  # fraction of its size that a sample may keep; compressed files keep more
_LENGTH = struct.Struct(">I")

# The references that a residual can be the difference from, by the number that is sealed with it: nothing, the
# protected file, or its end, where the pixels are in files whose headers differ in length, such as TIFF.
_REFERENCES: tuple[Callable[[bytes, int], bytes], ...] = (
    lambda protected, size: bytes(size),
    lambda protected, size: protected[:size].ljust(size, b"\0"),
    lambda protected, size: protected[max(0, len(protected) - size) :].rjust(size, b"\0"),
)


def encode_file(original: bytes, protected: bytes) -> bytes:
    """Return the difference of two files, from which `decode_file` recovers the original.

    It consists of two bytes, the number of the best reference and whether the rest is compressed, and the residual.
    """
    number, residual, probe = _residual(original, protected)
    is_compressed, packed = _pack(residual, probe)
    return bytes((number, is_compressed)) + packed


def decode_file(content: bytes, protected: bytes) -> bytes:
    """Recover the original from the result of `encode_file`."""
    number, is_compressed = content[:2]
    residual = _unpack(is_compressed, content[2:])
    return _xor(residual, _REFERENCES[number](protected, len(residual)))


def encode_folder(original: Mapping[str, bytes], protected: Mapping[str, bytes]) -> bytes:
    """Return the difference of two folders, from which `decode_folder` recovers the original.

    It consists of one byte, whether the rest is compressed; the length of a table in four bytes; the table as JSON with
    the name, length and number of the reference of every file; and the residuals, in the order of the names. A file
    without a protected file of its name is stored whole.
    """
    table, residuals = [], []
    for name in sorted(original):
        number, residual, _ = _residual(original[name], protected.get(name, b""))
        table.append((name, len(residual), number))
        residuals.append(residual)
    index = json.dumps(table).encode("ascii")
    whole = b"".join((_LENGTH.pack(len(index)), index, *residuals))
    is_compressed, packed = _pack(whole, _probe(whole))
    return bytes((is_compressed,)) + packed


def decode_folder(content: bytes, protected: Mapping[str, bytes]) -> dict[str, bytes]:
    """Recover the original files by name from the result of `encode_folder`."""
    packed = _unpack(content[0], content[1:])
    start = _LENGTH.size + _LENGTH.unpack_from(packed)[0]
    files = {}
    for name, size, number in json.loads(packed[_LENGTH.size : start]):
        residual, start = packed[start : start + size], start + size
        files[name] = _xor(residual, _REFERENCES[number](protected.get(name, b""), size))
    return files


def _residual(original: bytes, protected: bytes) -> tuple[int, bytes, int]:
    """Return the number of the best reference, the difference from it, and the :func:`_probe` of that."""
    size = len(original)

    def residual(number: int) -> bytes:
        return _xor(original, _REFERENCES[number](protected, size))

    probe, best = min((_probe(residual(number)), number) for number in range(len(_REFERENCES)))
    return best, residual(best), probe


def _pack(residual: bytes, probe: int) -> tuple[bool, bytes]:
    """Compress a residual if it gets smaller; return whether it did, and the result."""
    size = len(residual)
    # On compressed content, xz takes seconds per megabyte and gains nothing.
    if probe < _WORTH_COMPRESSING * min(size, _PROBE_BYTES):
        compressed = lzma.compress(residual)
        if len(compressed) < size:
            return True, compressed
    return False, residual


def _unpack(is_compressed: int, packed: bytes) -> bytes:
    return lzma.decompress(packed) if is_compressed else packed


def _probe(residual: bytes) -> int:
    """Return the compressed size of a residual's middle."""
    size = len(residual)
    return len(isal_zlib.compress(residual[max(0, (size - _PROBE_BYTES) // 2) : (size + _PROBE_BYTES) // 2], 1))


def _xor(left: bytes, right: bytes) -> bytes:
    return np.bitwise_xor(np.frombuffer(left, np.uint8), np.frombuffer(right, np.uint8)).tobytes()
