"""Let one process, or several that belong together, work behind a file; a lock ends with its process in any case."""

from __future__ import annotations

import errno
import os
import warnings
from io import FileIO
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


def open_locked(path: Path, shared: bool = False) -> FileIO | None:
    """Open a file for reading and appending, and lock it; it is made if needed, and may be removed while it is locked.

    What lies in the file never says whether somebody works behind it: the operating system knows, and forgets the lock
    of a process that was killed. Where files cannot be locked (Windows, some network drives), a warning says so.

    Args:
        path: the file; its folder must exist.
        shared: whether others may hold a shared lock at the same time.

    Returns:
        The file, which closing unlocks; None if somebody else has locked it.

    Raises:
        OSError: the file cannot be opened for writing.
    """
    while True:
        file = path.open("a+b", buffering=0)
        try:
            locked = _lock(file, shared, wait=False)
            # Whoever held the lock before may have removed the file that was opened here.
            if locked and _is_at(path, file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        if not locked:
            return None


def let_others_share(file: FileIO) -> None:
    """Turn an exclusive lock of :func:`open_locked` into a shared one.

    Another process may take an exclusive lock in this very moment; then this one waits for it.
    """
    _lock(file, shared=True, wait=True)


def _lock(file: FileIO, shared: bool, wait: bool) -> bool:
    if fcntl is None:
        _warn(file)
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _warn(file)
    return True


def _warn(file: FileIO) -> None:
    folder = Path(str(file.name)).parent
    warnings.warn(f"{folder}: files cannot be locked there; let only one run at a time write to it", stacklevel=4)


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
