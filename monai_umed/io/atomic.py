"""Write files or a folder completely or not at all."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")


def write_atomically(path: str | Path, content: bytes, *, private: bool = False) -> None:
    """Write ``content`` to ``path`` so that a reader never sees half a file.

    The bytes are written to a hidden file in the same folder, flushed to the disk and renamed to ``path``.
    On any failure (also Ctrl-C), the hidden file is removed and an existing ``path`` stays as it was.

    Args:
        path: target, whose folder must exist.
        content: whole content of the file.
        private: whether only the owner may read the file, whatever the default permissions are.

    Raises:
        OSError: If the folder is missing or read-only, or the disk is full.
    """
    write_together({Path(path): content}, private=private)


def write_together(contents: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write several files like :func:`write_atomically`, and rename them once all are on the disk.

    Only a kill or a fault while they are renamed, in the order of ``contents``, may leave the first ones without the
    others.

    Raises:
        OSError: For the reasons of :func:`write_atomically`.
    """
    temporaries = {path: _temporary(path) for path in contents}
    try:
        for path, content in contents.items():
            _write(temporaries[path], content, private)
        for path, temporary in temporaries.items():
            temporary.replace(path)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def write_folder_atomically(path: str | Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files so that a reader never sees some of them without the others.

    The files are written to a hidden folder beside ``path`` and flushed to the disk, and that folder is renamed. An
    existing folder is moved aside first, because no portable system call replaces a folder. A process that is killed
    between the two renames leaves both under hidden names, see `leftovers`. On any other failure (also Ctrl-C), an
    existing folder stays as it was.

    Args:
        path: target, whose parent folder must exist.
        contents: whole content of each file by its name.

    Raises:
        FileExistsError: If ``path`` is not a folder, or contains files of other names, which would be lost.
        OSError: For the reasons of :func:`write_atomically`.
    """
    path = Path(path)
    _check_replaceable(path, contents)
    temporary, previous = _temporary(path), _temporary(path)
    try:
        temporary.mkdir()
        for name, content in contents.items():
            _write(temporary / name, content)
        sync_folder(temporary)
        if path.exists():
            path.rename(previous)
        temporary.rename(path)
    finally:
        if previous.exists() and not path.exists():
            previous.rename(path)
        remove(temporary)
        remove(previous)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, since a power cut may otherwise undo renames.

    Nothing happens where folders cannot be opened (Windows).
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a folder with its content, or a link but not its target, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def leftovers(folder: Path) -> list[Path]:
    """Return hidden files and folders below ``folder`` that functions of this module left when they were killed."""
    return [path for path in folder.rglob(".*.tmp") if is_temporary(path.name)]


def is_temporary(name: str) -> bool:
    """Return whether ``name`` is that of a file or folder that functions of this module are writing, or left behind."""
    return _TEMPORARY.fullmatch(name) is not None


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically; the folder is created if needed.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON cannot represent.
        OSError: For the reasons of :func:`write_atomically`.
    """
    text = json.dumps(content, indent=1, allow_nan=False)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (text + "\n").encode("utf-8"))


def _temporary(path: Path) -> Path:
    # A short name, because the target's name may already be as long as the file system allows.
    return path.with_name(f".{uuid4().hex}.tmp")


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(path: Path, content: bytes, private: bool = False) -> None:
    with open(path, "xb", opener=_for_owner if private else None) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _check_replaceable(path: Path, contents: Mapping[str, bytes]) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise FileExistsError(f"{path} is not a folder; move it away or choose another name")
    if path.is_dir() and (others := sorted({entry.name for entry in path.iterdir()} - contents.keys())):
        raise FileExistsError(f"{path} contains {others[0]!r}, which would be lost; choose another or an empty folder")
