"""Whole images in memory as their files hold them: one file, or the parts of a NIfTI pair or a DICOM series."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from .atomic import write_atomically, write_folder_atomically, write_together
from .checksum import sha256_listing
from .image_files import PAIR, is_joined, part_path, parts_of

Content: TypeAlias = bytes | Mapping[str, bytes]
"""A whole file; slices or several masks by their names; header and voxels of a pair by ``.hdr`` and ``.img``."""


def read_content(path: str | Path) -> Content:
    """Read all files of an image or a label.

    Args:
        path: file, voxels of a pair (``.img``), or folder without subfolders. Hidden files and those that
            operating systems leave behind do not belong to it, see `visible`.

    Returns:
        The whole file, or all of them by name, see `parts_of`.

    Raises:
        OSError: a file is missing or cannot be read, or the folder holds another folder.
    """
    path = Path(path)
    parts = parts_of(path)
    return path.read_bytes() if parts is None else {part: file.read_bytes() for part, file in parts.items()}


def write_content(path: str | Path, content: Content) -> None:
    """Write what `read_content` gave; existing files are replaced.

    All at once or not at all, but for a kill or a fault between the two names of a pair, see `write_together`.

    Args:
        path: target; the folder that it lies in must exist. Of a pair, the voxels (``.img``).
        content: the whole image.

    Raises:
        OSError: as `write_atomically` and `write_folder_atomically`.
    """
    path = Path(path)
    if isinstance(content, bytes):
        write_atomically(path, content)
    elif content.keys() == set(PAIR) or is_joined(path):
        write_together({part_path(path, part): file for part, file in content.items()})
    else:
        write_folder_atomically(path, content)


def sha256_content(content: Content) -> str:
    """What `sha256_path` gives for the files with this content: 64 lower-case hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return sha256_listing({name: sha256_content(file) for name, file in content.items()})
