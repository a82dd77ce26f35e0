"""Checksums of files and of folders."""

import hashlib
import os
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


def sha256_path(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder of files such as a DICOM series.

    A folder's checksum is that of the list ``"<checksum of the file>  <name>\\0"``, sorted by name: what
    ``sha256sum -z * | sha256sum`` prints in it with ``LC_ALL=C``. Hidden files and those that operating systems leave
    behind do not count, see `visible`.

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
    digest = hashlib.sha256()
    for name in sorted(os.fsencode(file.name) for file in visible(path)):
        digest.update(f"{sha256_file(path / os.fsdecode(name))}  ".encode() + name + b"\0")
    return digest.hexdigest()
