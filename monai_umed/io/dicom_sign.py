"""Which files are DICOM: by their ending, or by how they begin where the ending is that of no other format."""

from pathlib import Path

from .source import Source
from .suffixes import SUPPORTED, split_name

DICOM_SUFFIX = ".dcm"
_FURTHER = (".ima", ".dicom", ".dic", ".dc3")
"""Endings that scanners and archives give DICOM files; every other ending is part of the name, as in 1.2.840.113."""

_PREAMBLE = 128
_HEAD = _PREAMBLE + 4
# First groups of a file: the header about the file (2), else the first elements about the image (8), each with the
# highest element that is the first one anywhere.
_FIRST_ELEMENTS = {0x0002: 0x0010, 0x0008: 0x0018}
_LONGEST_FIRST = 1024
"""Bytes that the first value may have: it is a number, a UID, a date or the name of a character set."""


def lacks_preamble(head: bytes) -> bool:
    """Whether bytes are the start of a little endian DICOM file that begins with its first element, not a preamble.

    Args:
        head: at least the first 132 bytes, or the whole of a shorter file.
    """
    if len(head) < 8 or head[_PREAMBLE:_HEAD] == b"DICM":
        return False
    group, element = (int.from_bytes(head[at : at + 2], "little") for at in (0, 2))
    if element > _FIRST_ELEMENTS.get(group, -1):
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") <= _LONGEST_FIRST


def is_dicom(source: Source) -> bool:
    """Whether a file is DICOM: its ending is ``.dcm``, or it begins so and its ending is that of no other format.

    Args:
        source: a file; of one that is missing, or a folder, the ending alone counts.
    """
    suffix = split_name(source.name)[1]
    if suffix in SUPPORTED:
        return suffix == DICOM_SUFFIX
    try:
        head = _head(source)
    except OSError:
        return False
    return head[_PREAMBLE:_HEAD] == b"DICM" or lacks_preamble(head)


def split_file(source: Source) -> tuple[str, str]:
    """Name of a file without ending, and the ending that tells its format: ``.dcm`` for every DICOM file.

    Args:
        source: a file, no folder.

    Returns:
        As `split_name`, but a DICOM file keeps an ending that no DICOM file has: ``("1.2.840.113", ".dcm")``.
    """
    stem, suffix = split_name(source.name)
    if suffix in SUPPORTED or not is_dicom(source):
        return stem, suffix
    return stem if suffix in _FURTHER else source.name, DICOM_SUFFIX


def _head(source: Source) -> bytes:
    if not isinstance(source, Path):
        return source.read_bytes()[:_HEAD]
    with source.open("rb") as file:
        return file.read(_HEAD)
