"""Remember finished cases while a folder is being protected, and keep two runs from writing it at the same time.

The folder ``.unfinished`` holds a small file per finished case, written aside and renamed: it is there whole or not at
all, whichever process finished the case. So any number of processes may share the cases, and the last one finds all.

Everybody comes in through one lock, the gate. A run that is not divided keeps it to its end. One of several shards
keeps it while it looks around and prepares the folder, takes a lock of its own shard, and opens the gate again. The
locks of shards are taken inside of the gate alone, so whoever holds it and finds none of them taken is alone. All locks
are the operating system's, which forgets those of a process that was killed. Files only say who took them last.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..data.manifest import TOOL, UNFINISHED, CaseRecord
from ..io.atomic import remove, write_atomically
from ..io.json_fields import parse_fields
from ..training.shard import WHOLE, Shard

PATIENCE = 600.0
"""Longest wait for another process of the same run to prepare the folder, in seconds."""

_GRACE = 2.0  # s, in which the gate may change hands between processes of one run
_POLL = 0.1  # s
_GATE = "lock"
_UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
# Files of this module below the protected folder, and those of versions that kept a journal in place of the folder.
_MARK = re.compile(rf"{re.escape(UNFINISHED)}(-\d+-of-\d+|/({_GATE}(-\d+-of-\d+)?(\.json)?|[0-9a-f]{{64}}\.json))?")
_JOURNAL = b"monai_umed journal "


class HeldError(Exception):
    """The folder belongs to another run; the message says to which and what to do."""


def is_mark(name: str) -> bool:
    """Whether a file of this name, relative to the protected folder and with ``/``, marks that folder as unfinished."""
    return _MARK.fullmatch(name) is not None


def is_unfinished(folder: Path) -> bool:
    """Whether a run of this program has left a folder unfinished; False for whatever cannot be read."""
    try:
        with (folder / UNFINISHED).open("rb") as file:
            return file.read(len(_JOURNAL)) == _JOURNAL
    except OSError:
        return _read(folder / UNFINISHED / f"{_GATE}.json").get("tool") == TOOL


class Unfinished:
    """What one run, or one of its shards, knows of a folder that it is protecting.

    Args:
        output_dir: the protected folder, which must exist when :meth:`hold` is called.
        run: what cases must have in common to be of one run, see :func:`monai_umed.release.run_digest.run_digest`.
        shard: which part of the run this process is.
    """

    def __init__(self, output_dir: Path, run: str, shard: Shard = WHOLE) -> None:
        self._output_dir, self._folder = output_dir, output_dir / UNFINISHED
        self._run, self._shard = run, shard

    @contextmanager
    def hold(self, prepare: Callable[[bool], None]) -> Iterator[None]:
        """Keep other runs out of the folder.

        Args:
            prepare: called if nobody else is at work, with whether all that the folder holds is to be made anew,
                because another run has left it.

        Raises:
            HeldError: another run, or another process with the same shard, is at work; or another one has left what
                many processes may have worked on for days, which nobody should lose by a wrong option.
            OSError: If the folder cannot be written.
        """
        locks = [self._enter()]
        try:
            if busy := [path for path in self._folder.glob(f"{_GATE}-*-of-*") if not path.suffix and _is_taken(path)]:
                self._join(busy)
            else:
                self._begin(prepare)
            if self._shard != WHOLE:
                locks.append(self._take_shard())
                locks.pop(0).release()
            yield
        finally:
            for lock in locks:
                lock.release()
            with suppress(OSError):  # it is only empty when all is done
                self._folder.rmdir()

    def find(self, case_id: str) -> CaseRecord | None:
        """What this run wrote of a case; None if that is unknown, damaged or of another run."""
        content = _read(self._path(case_id))
        with suppress(KeyError, ValueError):
            record = CaseRecord(**parse_fields(CaseRecord, content["case"], ""))
            if record.id == case_id and content["checksum"] == self._checksum(vars(record)):
                return record
        return None

    def add(self, record: CaseRecord) -> None:
        """Remember a finished case; on the disk when this returns. Threads may call it at the same time.

        Raises:
            OSError: If the file cannot be written.
        """
        case = vars(record)
        content = {"case": case, "checksum": self._checksum(case)}
        write_atomically(self._path(record.id), json.dumps(content).encode("ascii"))

    def remove(self) -> None:
        """Remove everything but other people's files, and the lock that keeps others out last of all."""
        self._clear()
        remove(self._folder / f"{_GATE}.json")
        with suppress(PermissionError):  # Windows removes no open file, but the lock's release does
            remove(self._folder / _GATE)

    def _enter(self) -> FileLock:
        """Take the gate."""
        begin = time.monotonic()
        while True:
            with suppress(FileNotFoundError):  # a run that ends removes the folder
                if self._folder.is_file():  # a journal; renamed, because something must mark the folder at any moment
                    self._folder.rename(self._folder.with_name(f"{UNFINISHED}-0-of-1"))
                self._folder.mkdir(exist_ok=True)
                if (gate := _take(self._folder / _GATE)) is not None:
                    return gate
            is_sibling = _read(self._folder / f"{_GATE}.json").get("shards") == self._shard.count
            limit = 0.0 if self._shard == WHOLE else PATIENCE if is_sibling else _GRACE
            if time.monotonic() - begin >= limit:
                raise HeldError(_name_holder(self._folder / _GATE))
            time.sleep(_POLL)

    def _join(self, busy: list[Path]) -> None:
        """Come to shards that are at work."""
        last = _read(self._folder / f"{_GATE}.json")
        if self._shard == WHOLE:
            raise HeldError(_name_holder(busy[0]))
        if (last.get("run"), last.get("shards")) != (self._run, self._shard.count):
            raise HeldError(f"{_name_holder(busy[0])}. It has other settings or other shards")
        self._sign(_GATE)

    def _begin(self, prepare: Callable[[bool], None]) -> None:
        last = _read(self._folder / f"{_GATE}.json").get("run")
        if last not in (None, self._run) and any(self._folder.glob(f"{_GATE}-*-of-*")):
            reason = "it holds shards of a run with other settings, software or processors"
            raise HeldError(f"{reason}; go on with the same ones, or delete it to begin anew")
        self._sign(_GATE)
        if last != self._run:
            self._clear()
        for journal in self._output_dir.glob(f"{UNFINISHED}-*-of-*"):
            remove(journal)
        prepare(last != self._run)

    def _take_shard(self) -> FileLock:
        name = f"{_GATE}-{self._shard}"
        lock = _take(self._folder / name)
        if lock is None:
            raise HeldError(f"shard {self._shard.index}/{self._shard.count}: {_name_holder(self._folder / name)}")
        self._sign(name)
        return lock

    def _sign(self, lock: str) -> None:
        """Write beside a lock who took it."""
        who = {"process": os.getpid(), "host": socket.gethostname()}
        content = {"tool": TOOL, "run": self._run, "shards": self._shard.count, **who}
        write_atomically(self._folder / f"{lock}.json", json.dumps(content).encode("ascii"))

    def _clear(self) -> None:
        """Remove the records of all cases and the locks of all shards."""
        for path in list(self._folder.iterdir()):
            if is_mark(f"{UNFINISHED}/{path.name}") and path.name not in (_GATE, f"{_GATE}.json"):
                remove(path)

    def _path(self, case_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(case_id.encode('utf-8', 'surrogatepass')).hexdigest()}.json"

    def _checksum(self, case: dict[str, Any]) -> str:
        """Differs if either the record or the run is another."""
        return hashlib.sha256(f"{self._run} {json.dumps(case, sort_keys=True)}".encode("ascii")).hexdigest()


def _take(path: Path) -> FileLock | None:
    """The lock of a file, which is made if needed; None if somebody has it, in this process or another.

    Where files cannot be locked (some network drives), a warning says so, and everybody gets it.

    Raises:
        OSError: If the file cannot be opened for writing.
    """
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        folder = path.parent.parent
        warnings.warn(f"{folder}: files cannot be locked there; let only one run at a time write to it", stacklevel=2)
    return lock


def _is_taken(path: Path) -> bool:
    lock = _take(path)
    if lock is not None:
        lock.release()
    return lock is None


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty for whatever is none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _name_holder(lock: Path) -> str:
    last = _read(lock.with_name(f"{lock.name}.json"))
    name = f"process {last['process']} on {last['host']}" if {"process", "host"} <= last.keys() else "another process"
    return f"{name} is writing it; wait for it, or stop it"
