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

    The bytes go to a hidden file in the same folder, are flushed to the disk and then renamed onto ``path``.
    On any failure (also Ctrl-C) the hidden file is removed and an existing ``path`` is left as it was.

    Args:
        path: target; its folder must exist.
        content: whole content of the file.
        private: whether nobody but its owner may read the file, whatever is usual there.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full.
    """
    write_together({Path(path): content}, private=private)


def write_together(contents: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write files as :func:`write_atomically` does, none of them before all are on the disk.

    A kill or a fault while they are renamed may leave the first ones without the others; nothing else does.

    Args:
        contents: whole content of each file by its path, whose folder must exist; renamed in this order.
        private: see :func:`write_atomically`.

    Raises:
        OSError: as :func:`write_atomically`.
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

    The files go to a hidden folder beside ``path``, are flushed to the disk, and the folder is then renamed. A folder
    that exists is moved aside first, because no system call that all platforms have replaces one; for that moment there
    is none, and whoever is killed in it leaves both under hidden names, see `leftovers`. On any other failure (also
    Ctrl-C) an existing folder is left as it was, or put back.

    Args:
        path: target; the folder that it lies in must exist.
        contents: whole content of each file by its name.

    Raises:
        FileExistsError: ``path`` is no folder, or holds files of other names, which would be lost.
        OSError: as :func:`write_atomically`.
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
    """Bring the names in a folder to the disk; without it, a power cut may undo renames, though not what files hold.

    Nothing where folders cannot be opened (Windows).
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
    """Remove a file, a folder with all that it holds, or a link but not what it points to; nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def leftovers(folder: Path) -> list[Path]:
    """Hidden files and folders below ``folder`` that the functions of this module left when they were killed."""
    return [path for path in folder.rglob(".*.tmp") if is_temporary(path.name)]


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is one that the functions of this module are writing, or have left."""
    return _TEMPORARY.fullmatch(name) is not None


def write_json(path: str | Path, content: Any) -> None:
    """Write readable JSON, all at once or not at all.

    Args:
        path: target; its folder is made if needed.
        content: what JSON can hold.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.
        OSError: as :func:`write_atomically`.
    """
    text = json.dumps(content, indent=1, allow_nan=False)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (text + "\n").encode("utf-8"))


def _temporary(path: Path) -> Path:
    # A short name of its own, because the target's name may already be as long as the file system allows.
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
        raise FileExistsError(f"{path} is no folder; move it away or choose another name")
    if path.is_dir() and (others := sorted({entry.name for entry in path.iterdir()} - contents.keys())):
        raise FileExistsError(f"{path} holds {others[0]!r}, which would be lost; choose another or an empty folder")
