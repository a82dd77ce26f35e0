"""Within one run, read each file once: what was found in it holds until the file changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

T = TypeVar("T")

LIMIT = 2**29
"""Bytes of decoded files that a run keeps; what was used longest ago goes first."""

Key = tuple[str, Hashable]


class _Findings:
    """What was found, by what was looked at, with the state of the files and the memory that it takes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._found: OrderedDict[Key, tuple[Any, object, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key, state: object) -> tuple[object] | None:
        with self._lock:
            entry = self._found.get(key)
            if entry is None or entry[0] != state:
                return None
            self._found.move_to_end(key)
            return (entry[1],)

    def put(self, key: Key, state: object, value: object, size: int) -> None:
        with self._lock:
            self._size += size - self._found.pop(key, (None, None, 0))[2]
            self._found[key] = (state, value, size)
            while self._size > self._limit:
                oldest = next(name for name, entry in self._found.items() if entry[2])
                self._size -= self._found.pop(oldest)[2]


_findings: _Findings | None = None


@contextmanager
def reading_once(limit: int = LIMIT) -> Iterator[None]:
    """Remember checksums, decoded files and scans of datasets within a ``with`` block, in all of its threads.

    :func:`monai_umed.protect` and :func:`monai_umed.fit` do so for themselves; several calls in one block share what
    they find. A block within another one continues it.

    Args:
        limit: bytes of decoded files that are kept.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> with mu.reading_once():
        ...     len(mu.find_cases(data)), len(mu.find_cases(data, "test"))
        (6, 2)
    """
    global _findings
    if _findings is not None:
        yield
        return
    _findings = _Findings(limit)
    try:
        yield
    finally:
        _findings = None


def once(
    what: str, about: Hashable, look: Callable[[], T], *, size: Callable[[T], int] | None = None, watched: bool = True
) -> T:
    """What ``look`` finds, or found before in this run if the file is still the same.

    A file is the same if inode, length and time of change are; whoever wants to be sure looks outside of the block.

    Args:
        what: kind of finding.
        about: path of a file, of a NIfTI pair, or of a folder of slices; anything else if it is not watched.
        look: finds it.
        size: bytes that a finding takes, if that is worth counting.
        watched: False for what nobody changes during a run, such as the list of a dataset's cases.

    Raises:
        Exception: what ``look`` raises, which is not remembered.
    """
    findings = _findings
    if findings is None:
        return look()
    state = _state(about) if watched else ()
    known = findings.get((what, about), state)
    if known is not None:
        return cast(T, known[0])
    found = look()
    if state is not None and (not watched or _state(about) == state):
        findings.put((what, about), state, found, 0 if size is None else size(found))
    return found


def recall(what: str, path: Path) -> Any:
    """What was found in a file before in this run, if the file is still the same; None if nothing is known."""
    known = None if _findings is None else _findings.get((what, path), _state(path))
    return None if known is None else known[0]


def _state(path: Hashable) -> tuple[tuple[str, int, int, int, int], ...] | None:
    from .image_files import files_of  # loads NumPy, which the command line's help does without

    assert isinstance(path, Path)
    try:
        stats = [(str(file), file.stat()) for file in files_of(path)]
    except OSError:  # whoever looks says what is wrong
        return None
    return tuple((name, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
