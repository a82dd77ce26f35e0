"""Refuse headers that would crash ITK, and with it the whole program, or that it would read in another way."""

import re
from collections.abc import Mapping

from .stored import CodecError

# Bytes of fields: ITK copies words of MetaImage to 255 bytes and numbers to 4096 places, however many there are; NRRD
# fields of 7800 bytes crash it, of 1800 do not.
_LONGEST_WORD, _LONGEST_META, _LONGEST_NRRD = 200, 8000, 1000
_WORDS = {b"comment", b"name", b"objecttype", b"objectsubtype", b"acquisitiondate", b"transformtype"}
_WORDS |= {b"anatomicalorientation", b"distanceunits", b"modality", b"elementtype"}
_ORDERS = {"BinaryDataByteOrderMSB", "ElementByteOrderMSB"}
_FLAGS = {"BinaryData", "CompressedData", *_ORDERS}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def check_meta_header(name: str, text: bytes) -> None:
    """Refuse a MetaImage header without 2 or 3 axes, with fields that are too long, or with a line that is none.

    ITK believes any number of axes and writes beyond its memory; of a line that is no field it reads on to the next
    sign, so that the field in the line below is lost.

    Args:
        name: file name, for errors.
        text: all bytes before the voxels.

    Raises:
        CodecError: If ITK could crash, or read another header.
    """
    axes = re.findall(rb"(?m)^\s*NDims\s*[=:]\s*(.*?)\s*$", text)
    if len(axes) != 1 or axes[0] not in (b"2", b"3"):
        shown = ", ".join(value[:20].decode(errors="replace") for value in axes) or "missing"
        raise CodecError(name, f"NDims is {shown}, must be 2 or 3", "fetch it again, or store each volume on its own")
    _check_lengths(name, text, rb"(?m)^\s*(\w+)\s*[=:](.*)$", _LONGEST_META)
    if odd := re.search(rb"(?m)^[^=:\r\n]*[^=:\s][^=:\r\n]*\r?$", text):
        shown = odd[0].strip()[:40].decode(errors="replace")
        raise CodecError(name, f"its header has a line that is no field: {shown!r}", "remove that line")


def meta_flags(name: str, fields: Mapping[str, str]) -> dict[str, bool]:
    """Read the flags of a MetaImage header: whether voxels are binary, compressed, and in which order their bytes are.

    ITK takes every word that begins with T or 1 for true, also ``16``, so whatever else is there could be misread.

    Args:
        name: file name, for errors.
        fields: values by names, which have the case that ITK knows.

    Returns:
        The flags that the header has, by the same names.

    Raises:
        CodecError: If one is neither true nor false, or the byte order is given twice and differs.
    """
    flags = {}
    for field in _FLAGS & fields.keys():
        if fields[field].lower() not in _TRUTH:
            shown = fields[field][:20]
            raise CodecError(name, f"{field} is {shown!r}, must be True or False", "save it again with SimpleITK")
        flags[field] = _TRUTH[fields[field].lower()]
    if len({flags[field] for field in _ORDERS & flags.keys()}) > 1:
        raise CodecError(name, "two byte orders that differ", "save it again with SimpleITK")
    return flags


def check_nrrd_header(name: str, text: bytes) -> None:
    """Refuse an NRRD header with fields that are too long; values of keys (``key:=value``) may have any length.

    Args:
        name: file name, for errors.
        text: all bytes before the voxels.

    Raises:
        CodecError: If ITK could crash.
    """
    _check_lengths(name, text, rb"(?m)^([^:#\r\n]+): (.*)$", _LONGEST_NRRD)


def _check_lengths(name: str, text: bytes, pattern: bytes, longest: int) -> None:
    for key, value in re.findall(pattern, text):
        limit = _LONGEST_WORD if key.lower() in _WORDS else longest
        if len(value) > limit:
            reason = f"{key[:40].decode(errors='replace')} has {len(value)} bytes, must be <= {limit}"
            raise CodecError(name, reason, "shorten it in the text at the head of the file, or export it again")
