"""Small files of every format, with every field of their headers overwritten, and cut anywhere."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK
import tifffile
from dicom_files import make
from PIL import Image
from protected_folder import noise, square
from pydicom import dcmread

GRAY = noise((24, 20)).astype(np.uint8)
VOLUME = noise((16, 18, 20), 2000).astype(np.int16)  # (k, j, i)
WIDE = np.iinfo(np.int64).max
_TEXTS = ("nan", "0", "-1", "1e12", "999999999999", "", "x", "16", 300 * "7 ", 500 * "x")
_BITS = {1: "b", 2: "h", 4: "i", 8: "q"}


@dataclass(frozen=True)
class Damage:
    """One way to spoil a file.

    Attributes:
        sample: name of the good file.
        as_label: whether it is a mask.
        what: field and value, or where the file was cut.
        content: the spoiled file; of a pair its header, of a series one slice.
    """

    sample: str
    as_label: bool
    what: str
    content: bytes


def _in_memory(array: np.ndarray, suffix: str, folder: Path, *, compressed: bool = False) -> bytes:
    path = folder / f"sample{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path), compressed)
    return path.read_bytes()


def _picture(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def _dicom(pixels: np.ndarray, **elements: Any) -> bytes:
    buffer = BytesIO()
    make(pixels.astype(np.uint16), bits=12, **elements).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def samples(folder: Path, *, as_label: bool) -> dict[str, bytes]:
    """Good files by name, planes of 24 x 20 pixels and volumes of 20 x 18 x 16 voxels where SimpleITK puts them.

    Args:
        folder: where files may be written that only SimpleITK can write.
        as_label: whether they are masks.
    """
    gray, volume = (square(GRAY.shape, 1), square(VOLUME.shape, 1).astype(np.int16)) if as_label else (GRAY, VOLUME)
    color = np.stack([gray, gray // (1 if as_label else 2), gray], -1)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    turned = nib.Nifti1Image(volume.T.astype(np.float32), None)
    turned.header.set_qform(affine, 1)
    return {
        "gray.png": _picture(gray, "PNG", dpi=(72, 72)),
        "color.png": _picture(color, "PNG"),
        "deep.png": _picture(gray.astype(np.uint16) * (1 if as_label else 200), "PNG"),
        "bitmap.bmp": _picture(gray, "BMP"),
        "photo.jpg": _picture(gray, "JPEG", dpi=(72, 72)),
        "tags.tif": _tiff(gray, resolution=(72, 72), description="a tag"),
        "tiles.tif": _tiff(gray, tile=(16, 16), compression="zlib"),
        "lzw.tif": _picture(gray, "TIFF", compression="tiff_lzw"),
        "plane.dcm": _dicom(gray * (1.0 if as_label else 16.0), WindowCenter=2048, WindowWidth=4096),
        "frames.dcm": _dicom(volume, NumberOfFrames=16),
        "volume.nii": nib.Nifti1Image(volume.T, affine).to_bytes(),
        "packed.nii.gz": gzip.compress(turned.to_bytes(), 1, mtime=0),
        "second.nii": nib.Nifti2Image(volume.T, affine).to_bytes(),
        "raw.nrrd": _in_memory(volume, ".nrrd", folder),
        "packed.nrrd": _in_memory(volume, ".nrrd", folder, compressed=True),
        "raw.mha": _in_memory(volume, ".mha", folder),
        "packed.mha": _in_memory(volume, ".mha", folder, compressed=True),
    }


def _numbers(dtype: np.dtype) -> Iterator[tuple[str, bytes]]:
    """What a number of a header is overwritten with, in its own byte order."""
    if dtype.kind == "f":
        values: tuple[float, ...] = (float("nan"), 0, -1, float(np.finfo(dtype).max), float("inf"))
    else:
        limits = np.iinfo(dtype) if dtype.kind in "iu" else np.iinfo(f"u{dtype.itemsize}")
        values = (0, -1, int(limits.max), int(limits.max) // 2, int(limits.min))
    for value in values:
        if dtype.kind == "f":
            yield f"{value:g}", np.array(value, dtype).tobytes()
        else:
            size = dtype.itemsize
            order = "big" if dtype.byteorder == ">" else "little"
            yield str(value), (value % 2 ** (8 * size)).to_bytes(size, order)


def _patched(content: bytes, offset: int, value: bytes) -> bytes:
    return content[:offset] + value + content[offset + len(value) :]


def _nifti(content: bytes) -> Iterator[tuple[str, bytes]]:
    packed = content.startswith(b"\x1f\x8b")
    plain = gzip.decompress(content) if packed else content
    header = nib.Nifti2Header if plain[4:7] in (b"n+2", b"ni2") else nib.Nifti1Header
    fields = header.template_dtype.fields
    assert fields is not None
    for name, (dtype, offset, *_) in fields.items():
        base, shape = dtype.subdtype or (dtype, ())
        if base.kind == "S":
            continue
        for index in range(int(np.prod(shape))):
            for what, value in _numbers(base):
                spoiled = _patched(plain, offset + index * base.itemsize, value)
                yield f"{name}[{index}]={what}", gzip.compress(spoiled, 1, mtime=0) if packed else spoiled


def _png(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every number of every chunk with a right checksum, and the lengths of chunks."""
    position = 8
    while position < len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        for what, value in _numbers(np.dtype(">u4")):
            yield f"length of {name!r}={what}", _patched(content, position, value)
        for offset in range(0, min(length, 16), 1):
            for size in (1, 2, 4):
                if offset % size == 0 and offset + size <= length:
                    for what, value in _numbers(np.dtype(f">u{size}")):
                        chunk = _patched(content[position + 4 : position + 8 + length], 4 + offset, value)
                        spoiled = content[: position + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
                        yield f"{name!r}+{offset}:{size}={what}", spoiled + content[position + 12 + length :]
        position += 12 + length


def _tif(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every entry of the first directory: tag, type, count and value; and where values lie elsewhere, these."""
    order = "<" if content[:2] == b"II" else ">"
    first = struct.unpack_from(f"{order}I", content, 4)[0]
    fields = [("first", 4, 4), ("entries", first, 2)]
    for entry in range(struct.unpack_from(f"{order}H", content, first)[0]):
        start = first + 2 + 12 * entry
        tag, kind, count = struct.unpack_from(f"{order}HHI", content, start)
        fields += [(f"{tag}.tag", start, 2), (f"{tag}.type", start + 2, 2), (f"{tag}.count", start + 4, 4)]
        fields += [(f"{tag}.value", start + 8, 4), (f"{tag}.short", start + 8, 2)]
        if kind in (4, 5) and count * (8 if kind == 5 else 4) > 4:
            target = struct.unpack_from(f"{order}I", content, start + 8)[0]
            fields += [(f"{tag}[{index}]", target + 4 * index, 4) for index in range(2)]
    for name, offset, size in fields:
        for what, value in _numbers(np.dtype(f"{order}u{size}")):
            yield f"{name}={what}", _patched(content, offset, value)


def _dcm(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every element of the file, at any depth: numbers as such, text as text, and the length of every element."""
    data = dcmread(BytesIO(content))
    for element in [*data.file_meta, *data.iterall()]:
        if element.VR == "SQ":
            continue
        for value in _values(element.VR, element.VM):
            spoiled = dcmread(BytesIO(content))
            holders = [
                spoiled.file_meta,
                spoiled,
                *(item for part in spoiled if part.VR == "SQ" for item in part.value),
            ]
            for holder in holders:
                if element.tag in holder and holder[element.tag].VR == element.VR:
                    holder[element.tag]._value = value
            try:
                buffer = BytesIO()
                spoiled.save_as(buffer, enforce_file_format=False, implicit_vr=False, little_endian=True)
            except Exception:
                continue
            yield f"{element.keyword or element.tag}={value!r}", buffer.getvalue()
    for start in (132, 144, 158, *range(160, 700, 7)):
        for what, number in _numbers(np.dtype("<u2")):
            yield f"byte {start}={what}", _patched(content, start, number)


def _values(kind: str, count: int) -> list[object]:
    numbers: dict[str, list[object]] = {
        "US": [0, 65535, 1], "SS": [0, -1, 32767], "UL": [0, 2**32 - 1], "SL": [0, -1, 2**31 - 1],
        "FL": [float("nan"), 0.0, -1.0, 3e38], "FD": [float("nan"), 0.0, -1.0, 1e300],
        "OB": [b"", b"\xff\xff"], "OW": [b"", b"\xff\xff"], "UN": [b"", b"\xff\xff"],
    }  # fmt: skip
    if kind in numbers:
        return numbers[kind]
    return [text if count <= 1 else [text] * count for text in _TEXTS]


def _text(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Every value, and every number of it, of a header that is text; names and signs as some readers take them, too."""
    end = re.search(rb"\r?\n\r?\n|ElementDataFile = LOCAL\r?\n", content)
    assert end is not None
    head, rest = content[: end.end()], content[end.end() :]
    for line in re.finditer(rb"(?m)^([\w ]+)(: | = )(.+)$", head):
        spans = [
            line.span(3),
            *(found.span() for found in re.finditer(rb"[-\d.e]+", head) if line.start(3) <= found.start() < line.end()),
        ]
        for number, (start, stop) in enumerate(spans):
            for text in _TEXTS:
                yield f"{line[1].decode()}[{number}]={text}", head[:start] + text.encode() + head[stop:] + rest
        for text in (*_TEXTS, "True", "False"):
            spelled = b" %b : %b" % (line[1], text.encode())
            yield spelled.decode(), head[: line.start()] + spelled + head[line.end() :] + rest


def _bytes(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Numbers of 4 bytes at every second place of the first 80."""
    for offset in range(0, 80, 2):
        for size in (2, 4):
            for what, value in _numbers(np.dtype(f"<u{size}")):
                yield f"byte {offset}:{size}={what}", _patched(content, offset, value)


_FIELDS = {
    ".nii": _nifti, ".nii.gz": _nifti, ".png": _png, ".tif": _tif, ".nrrd": _text, ".mha": _text, ".dcm": _dcm,
    ".bmp": _bytes, ".jpg": _bytes,
}  # fmt: skip


def damages(folder: Path, *, as_label: bool) -> list[Damage]:
    """Every field of every sample overwritten with every value; the same list each time."""
    return [
        Damage(name, as_label, what, spoiled)
        for name, content in samples(folder, as_label=as_label).items()
        for what, spoiled in _FIELDS[name[name.index(".") :]](content)
    ]
