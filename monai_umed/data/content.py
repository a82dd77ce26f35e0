"""Whole images in memory as their files hold them: one file, or the files of a folder such as a DICOM series."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from monai_umed.data.checksum import sha256_listing
from monai_umed.data.listing import visible

Content: TypeAlias = bytes | Mapping[str, bytes]
"""A whole file, or the files of a folder by their names."""


def read_content(path: str | Path) -> Content:
    """Read a file, or a folder of files.

    Args:
        path: file, or folder without subfolders. Hidden files and those that operating systems leave behind do not
            belong to it, see `visible`.

    Returns:
        The whole file, or the folder's files by name.

    Raises:
        OSError: a file cannot be read, or the folder holds another folder.
    """
    path = Path(path)
    return {file.name: file.read_bytes() for file in visible(path)} if path.is_dir() else path.read_bytes()


def sha256_content(content: Content) -> str:
    """What `sha256_path` gives for the file or folder with this content: 64 lower-case hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return sha256_listing({name: sha256_content(file) for name, file in content.items()})
