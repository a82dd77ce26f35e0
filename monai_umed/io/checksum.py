"""Checksums of files, and of images that consist of several."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from .image_files import parts_of


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
    """Checksum of several files from those of each by name: of the list ``"<checksum>  <name>\\0"``, sorted by name.

    For a folder it is what ``sha256sum -z * | sha256sum`` prints in it with ``LC_ALL=C``.
    """
    lines = sorted((os.fsencode(name), checksum) for name, checksum in checksums.items())
    return hashlib.sha256(b"".join(f"{checksum}  ".encode() + name + b"\0" for name, checksum in lines)).hexdigest()


def sha256_path(path: str | Path) -> str:
    """SHA-256 of an image or a label, whether it is one file or several.

    For a folder see `sha256_listing`; hidden files and those that operating systems leave behind do not count, see
    `visible`. The two files of a NIfTI pair count under the names ``.hdr`` and ``.img``, so that the checksum does not
    depend on what the pair is called, as little as that of one file does; so do channels, as ``0000``, ``0001``.

    Args:
        path: file, voxels of a pair (``.img``), path of several channels, or folder without subfolders.

    Returns:
        64 lower-case hexadecimal digits.

    Raises:
        OSError: a file is missing or cannot be read, or the folder holds another folder.
    """
    path = Path(path)
    parts = parts_of(path)
    if parts is None:
        return sha256_file(path)
    return sha256_listing({part: sha256_file(file) for part, file in parts.items()})
