"""Recognize DICOM files by their suffix, or by their first bytes if the suffix is not that of another format."""

from pathlib import Path

from .source import Source
from .suffixes import SUPPORTED, split_name

DICOM_SUFFIX = ".dcm"
_FURTHER = (".ima", ".dicom", ".dic", ".dc3")
"""Further suffixes that scanners and archives use; any other one is part of the name, as in 1.2.840.113."""

_PREAMBLE = 128
_HEAD = _PREAMBLE + 4
# Groups that a file may begin with, the file's header (2) or the first elements of the image (8), and the highest
# element of each that may be the first one.
_FIRST_ELEMENTS = {0x0002: 0x0010, 0x0008: 0x0018}
_LONGEST_FIRST = 1024
"""Largest length in bytes of the first value, which is a number, a UID, a date or the name of a character set."""


def lacks_preamble(head: bytes) -> bool:
    """Return whether a little endian DICOM file begins with its first element instead of a preamble.

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
    """Return whether a file has the suffix ``.dcm``, or begins like DICOM without the suffix of another format.

    For a folder or a missing file, only the suffix counts.
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
    """Split the name of a file like `split_name`, but with the suffix ``.dcm`` for every DICOM file.

    A suffix that is not one of DICOM stays in the stem: ``("1.2.840.113", ".dcm")``.
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
