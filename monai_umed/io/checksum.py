"""Checksums of files, and of images that consist of several."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from .image_files import parts_of
from .once import once

CHECKSUM = "sha256"
"""Under which :mod:`monai_umed.io.once` knows checksums."""


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file of any size as 64 lower-case hexadecimal digits.

    Raises:
        OSError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_listing(checksums: Mapping[str, str]) -> str:
    """Return the checksum of the list ``"<checksum>  <name>\\0"``, sorted by name, for the checksums of several files.

    For a folder it equals the output of ``sha256sum -z * | sha256sum`` in it with ``LC_ALL=C``.
    """
    lines = sorted((os.fsencode(name), checksum) for name, checksum in checksums.items())
    return hashlib.sha256(b"".join(f"{checksum}  ".encode() + name + b"\0" for name, checksum in lines)).hexdigest()


def sha256_path(path: str | Path) -> str:
    """Return the SHA-256 of an image or a label of one or several files as 64 lower-case hexadecimal digits.

    For the `visible` files of a folder see `sha256_listing`. The two files of a NIfTI pair have the names ``.hdr`` and
    ``.img`` there, those of channels ``0000`` and so on, so that the checksum, like that of a single file, does not
    depend on the name of the image.

    Args:
        path: file, voxels of a pair (``.img``), path of several channels, or folder without subfolders.

    Raises:
        OSError: If a file is missing or cannot be read, or the folder contains another folder.
    """
    path = Path(path)
    return once(CHECKSUM, path, lambda: _sha256_path(path))


def _sha256_path(path: Path) -> str:
    parts = parts_of(path)
    if parts is None:
        return sha256_file(path)
    return sha256_listing({part: sha256_file(file) for part, file in parts.items()})
