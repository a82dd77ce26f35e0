"""Remember finished cases while a folder is being protected, so that an interrupted run goes on where it stopped.

The same file keeps two runs from writing one folder. Several processes of one run have a journal each, which are read
together; the first of them is alone while it prepares the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any

from ..data.manifest import CaseRecord
from ..data.shard import WHOLE, Share
from ..io.atomic import append_line, remove
from ..io.json_fields import FieldError, parse_fields
from .file_lock import let_others_share, open_locked

PATIENCE = 600.0
"""Longest wait for another process of the same run to prepare the folder, in seconds."""

_GRACE = 2.0  # s, in which a lock may change hands between processes of one run
_POLL = 0.1  # s
_MAGIC = b"monai_umed journal "


class HeldError(Exception):
    """The folder belongs to another run; the message says to which and what to do."""


def is_journal(path: Path) -> bool:
    """Whether a file is the journal of any run; False for whatever cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class Journal:
    """A file of one line per finished case, each with its checksum, below a line that says which run it belongs to.

    Lines begin with a line feed instead of ending with one: what follows a torn line stays readable. Lines that are no
    case say which process writes.

    Args:
        path: the file; its folder must exist when it is held. A share has another one beside it, for its own cases.
        fingerprint: what cases must have in common to be of one run, see
            :func:`monai_umed.release.run_digest.fingerprint`.
        share: which part of the run this process is.
    """

    def __init__(self, path: Path, fingerprint: str, share: Share = WHOLE) -> None:
        self.path = path
        self.share = share
        self._own = path if share == WHOLE else path.with_name(f"{path.name}-{share}")
        self._header = _MAGIC + f"1 {fingerprint}".encode("ascii")
        self._lock = Lock()

    @contextmanager
    def hold(self) -> Iterator[FileIO | None]:
        """Keep other runs out of the folder.

        Yields:
            What :meth:`admit` takes if the folder is to be prepared, because nobody else is at work; None if other
            processes of the same run are, which have prepared it.

        Raises:
            HeldError: another run, or another process with the same share, is at work; or another one has left what
                many processes may have worked on for days, which nobody should lose by a wrong option.
            OSError: the file cannot be written.
        """
        file, alone = self._enter()
        with closing(file):
            if self._own == self.path:
                yield file
                return
            own = open_locked(self._own)
            if own is None:
                raise HeldError(f"share {self.share.index}/{self.share.count}: {_name_holder(self._own)}")
            with closing(own):
                if _first_line(own) != self._header:
                    self._begin(self._own)
                yield file if alone else None

    def admit(self, file: FileIO) -> None:
        """Let other processes of the run in, now that the folder is prepared; nothing if there are none."""
        if self._own != self.path:
            let_others_share(file)

    def read(self) -> dict[str, CaseRecord] | None:
        """Finished cases of all shares by id, without torn and damaged lines; None if there is no journal of this run.

        Raises:
            OSError: a file is there but cannot be read.
        """
        header, *lines = self.path.read_bytes().split(b"\n")
        if header != self._header:
            return None
        for path in self._beside():
            header, *more = path.read_bytes().split(b"\n")
            if header == self._header:
                lines += more
        records = [record for line in lines if (record := _parse(line)) is not None]
        return {record.id: record for record in records}

    def start(self) -> None:
        """Begin anew.

        Raises:
            OSError: the file cannot be written; it is none of this run then.
        """
        for path in self._beside():
            if path != self._own:
                remove(path)
        for path in {self.path, self._own}:
            self._begin(path)

    def add(self, record: CaseRecord) -> None:
        """Append a finished case; on the disk when this returns. Threads may call it at the same time.

        Raises:
            OSError: the file cannot be written; earlier lines stay readable.
        """
        with self._lock:
            append_line(self._own, _line(asdict(record)))

    def remove(self) -> None:
        """Remove the journals of all shares, and the mark of an unfinished folder last."""
        for path in (*self._beside(), self.path):
            remove(path)

    def _enter(self) -> tuple[FileIO, bool]:
        """The locked journal of the run, and whether no other process holds it."""
        begin = time.monotonic()
        while True:
            if (file := open_locked(self.path)) is not None:
                if _first_line(file).startswith(_MAGIC) and _first_line(file) != self._header and self._beside():
                    file.close()
                    reason = "it holds shares of a run with other settings, software or processors"
                    raise HeldError(f"{reason}; go on with the same ones, or delete it to begin anew")
                with suppress(OSError):  # only people read it
                    file.write(self._signature())
                return file, True
            if self.share != WHOLE and (file := open_locked(self.path, shared=True)) is not None:
                if _first_line(file) == self._header and self._is_signed_alike():
                    return file, False
                file.close()
                raise HeldError(f"{_name_holder(self.path)}. It has other settings or other shares")
            limit = 0.0 if self.share == WHOLE else PATIENCE if self._is_signed_alike() else _GRACE
            if time.monotonic() - begin >= limit:
                raise HeldError(_name_holder(self.path))
            time.sleep(_POLL)

    def _is_signed_alike(self) -> bool:
        return _find_signature(self.path).get("shares") == self.share.count

    def _beside(self) -> list[Path]:
        """Journals of shares, this process's among them."""
        return sorted(self.path.parent.glob(f"{self.path.name}-*-of-*"))

    def _begin(self, path: Path) -> None:
        """In place, because the file is locked: renaming another one onto it would let others in."""
        with path.open("r+b") as file:
            file.truncate()
            file.write(self._header + self._signature())
            file.flush()
            os.fsync(file.fileno())

    def _signature(self) -> bytes:
        """A line that tells who is at work."""
        return b"\n" + _line({"process": os.getpid(), "host": socket.gethostname(), "shares": self.share.count})


def _first_line(file: FileIO) -> bytes:
    file.seek(0)
    return file.readline().rstrip(b"\n")


def _find_signature(path: Path) -> dict[str, Any]:
    """The last one in a journal; empty if there is none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    contents = (_content(line) for line in reversed(lines))
    return next((content for content in contents if content is not None and "process" in content), {})


def _name_holder(path: Path) -> str:
    signature = _find_signature(path)
    name = f"process {signature['process']} on {signature['host']}" if signature else "another process"
    return f"{name} is writing it; wait for it, or stop it"


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, sort_keys=True).encode("ascii")
    return hashlib.sha256(text).hexdigest().encode("ascii") + b" " + text


def _content(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.partition(b" ")
    return json.loads(text) if checksum == hashlib.sha256(text).hexdigest().encode("ascii") else None


def _parse(line: bytes) -> CaseRecord | None:
    content = _content(line)
    try:
        return None if content is None else CaseRecord(**parse_fields(CaseRecord, content, ""))
    except FieldError:  # a signature, or a case of a version with other fields
        return None
