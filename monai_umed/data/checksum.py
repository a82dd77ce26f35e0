"""Checksums of files and of folders."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from monai_umed.data.listing import visible


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file.

    Args:
        path: file of any size.

    Returns:
        64 lower-case hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_listing(checksums: Mapping[str, str]) -> str:
    """Checksum of a folder from those of its files by name: of the list ``"<checksum>  <name>\\0"``, sorted by name.

    It is what ``sha256sum -z * | sha256sum`` prints in the folder with ``LC_ALL=C``.
    """
    lines = sorted((os.fsencode(name), checksum) for name, checksum in checksums.items())
    return hashlib.sha256(b"".join(f"{checksum}  ".encode() + name + b"\0" for name, checksum in lines)).hexdigest()


def sha256_path(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder of files such as a DICOM series.

    For a folder see `sha256_listing`; hidden files and those that operating systems leave behind do not count, see
    `visible`.

    Args:
        path: file, or folder without subfolders.

    Returns:
        64 lower-case hexadecimal digits.

    Raises:
        OSError: a file cannot be read, or the folder holds another folder.
    """
    path = Path(path)
    if not path.is_dir():
        return sha256_file(path)
    return sha256_listing({file.name: sha256_file(file) for file in visible(path)})
