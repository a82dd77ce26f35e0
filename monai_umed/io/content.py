"""Read and write the bytes of whole images: one file, or the parts of a NIfTI pair, a DICOM series or channels."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from .atomic import write_atomically, write_folder_atomically, write_together
from .checksum import sha256_listing
from .image_files import PAIR, part_path, parts_of
from .joint_path import joint_files

Content: TypeAlias = bytes | Mapping[str, bytes]
"""The bytes of a file, or of slices, channels or masks by name, or of a pair by ``.hdr`` and ``.img``."""


def read_content(path: str | Path) -> Content:
    """Read all files of an image or a label, see `parts_of`.

    Args:
        path: file, voxels of a pair (``.img``), path of several channels (``x_{0000,0001}.png``), or folder without
            subfolders.

    Raises:
        OSError: If a file is missing or cannot be read, or the folder contains another folder.
    """
    path = Path(path)
    parts = parts_of(path)
    return path.read_bytes() if parts is None else {part: file.read_bytes() for part, file in parts.items()}


def write_content(path: str | Path, content: Content) -> None:
    """Write the result of `read_content` atomically, a pair and channels as in `write_together`.

    Existing files are replaced.

    Args:
        path: target, for a pair its voxels (``.img``); the parent folder must exist.
        content: the whole image.

    Raises:
        OSError: For the reasons of `write_atomically` and `write_folder_atomically`.
    """
    path = Path(path)
    if isinstance(content, bytes):
        write_atomically(path, content)
    elif channels := joint_files(path):
        write_together({file: content[part] for part, file in channels.items()})
    elif content.keys() == set(PAIR):
        write_together({part_path(path, part): content[part] for part in PAIR})
    else:
        write_folder_atomically(path, content)


def sha256_content(content: Content) -> str:
    """Return what `sha256_path` returns for files with this content."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return sha256_listing({name: sha256_content(file) for name, file in content.items()})
