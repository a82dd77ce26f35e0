"""Keys on disk: one text file each, which only its owner can read and which is never overwritten."""

from __future__ import annotations

import base64
import os
import secrets
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
"""Length of a key: 256 random bits."""

_KEY_HEADER = "monai_umed secret key 1"
_MAX_KEY_FILE = 1024  # bytes to read, since a file given by mistake may have any size


class KeyFileError(ValueError):
    """A key file cannot be written or used. The message names the file, the reason and the cure, never its content."""


def new_key(path: str | Path) -> bytes:
    """Draw a random key and write it to a file that only its owner can read.

    Args:
        path: file to create, in an existing folder that will not be published.

    Returns:
        The key, 32 bytes.

    Raises:
        KeyFileError: If the file exists, or its file system cannot hide it from others.
        OSError: If the folder is missing or read-only, or the disk is full; nothing is left behind.
    """
    path = Path(path)
    key = secrets.token_bytes(KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path}: exists already, and keys are never overwritten; choose another name") from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            _check_private(path, os.fstat(descriptor))
            file.write(f"{_KEY_HEADER}\n{base64.b64encode(key).decode('ascii')}\n")
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return key


def derive_key(key: bytes, purpose: str, salt: bytes | None = None) -> bytes:
    """Derive a key of 32 bytes for one purpose by HKDF-SHA256 (RFC 5869); it reveals neither ``key`` nor others."""
    return HKDF(SHA256(), KEY_BYTES, salt, f"monai_umed {purpose}".encode("ascii")).derive(key)


def read_key(path: str | Path) -> bytes:
    """Read a key of 32 bytes from a file that :func:`new_key` wrote.

    Raises:
        KeyFileError: If the file is missing, is not a whole key file, or (POSIX) gives anybody else access.
        OSError: If the file cannot be read.

    Example:
        >>> len(mu.read_key(mu.new_key(work / "owner.key")))
        32
    """
    path = Path(path)
    if not path.is_file():
        raise KeyFileError(
            f"{path}: no such file; pass the dataset's key, or make a new dataset's key by `monai-umed new-key`"
        )
    with path.open("rb") as file:
        _check_private(path, os.fstat(file.fileno()))
        content = file.read(_MAX_KEY_FILE)
    try:
        header, text = content.decode("ascii").splitlines()
        key = base64.b64decode(text, validate=True)
    except ValueError:
        header, key = "", b""
    if header != _KEY_HEADER or len(key) != KEY_BYTES:
        # Show neither the content nor the decoder's message: a damaged key is still most of a key.
        raise KeyFileError(f"{path}: no key file, or a damaged one; restore it from a copy")
    return key


def is_key_file(path: str | Path) -> bool:
    """Return whether a file begins like a key file, so that a key is found where it must not be.

    Raises:
        OSError: If the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return file.read(len(_KEY_HEADER)) == _KEY_HEADER.encode("ascii")


def check_unpublished(path: str | Path, folders: Iterable[str | Path]) -> None:
    """Raise `KeyFileError` if a key file, or the file that it links to, is inside a folder that will be published."""
    path = Path(path)
    for folder in folders:
        inside = Path(folder).resolve()
        if any(place.is_relative_to(inside) for place in (path.resolve(), path.parent.resolve() / path.name)):
            raise KeyFileError(f"{path}: is in {folder}, which will be published; move the key out of it")


def _check_private(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if os.name == "posix" and mode & 0o077:
        cure = f"run `chmod 600 {shlex.quote(str(path))}`, or keep it on a file system with permissions"
        raise KeyFileError(f"{path}: its mode {mode:04o} lets others at the key, must be 0600; {cure}")
