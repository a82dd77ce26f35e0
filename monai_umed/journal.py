"""Remember finished cases while a folder is being protected, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from threading import Lock

from .data import CaseRecord
from .data.atomic import append_line, write_atomically
from .data.json_fields import FieldError, parse_fields

_MAGIC = b"monai_umed journal "


def is_journal(path: Path) -> bool:
    """Whether a file is the journal of any run; False for whatever cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class Journal:
    """A file of one line per finished case, each with its checksum, below a line that says which run it belongs to.

    Lines begin with a line feed instead of ending with one: what follows a torn line stays readable.

    Args:
        path: the file; its folder must exist when it is written.
        fingerprint: what cases must have in common to be of one run, see :func:`monai_umed.fingerprint.fingerprint`.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._header = _MAGIC + f"1 {fingerprint}".encode("ascii")
        self._lock = Lock()

    def read(self) -> dict[str, CaseRecord] | None:
        """Finished cases by id, without torn and damaged lines; None if there is no journal of this run.

        Raises:
            OSError: the file is there but cannot be read.
        """
        try:
            header, *lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return None
        if header != self._header:
            return None
        records = [record for line in lines if (record := _parse(line)) is not None]
        return {record.id: record for record in records}

    def start(self) -> None:
        """Begin anew, all at once or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        write_atomically(self.path, self._header)

    def add(self, record: CaseRecord) -> None:
        """Append a finished case; on the disk when this returns. Threads may call it at the same time.

        Raises:
            OSError: the file cannot be written; earlier lines stay readable.
        """
        text = json.dumps(asdict(record), sort_keys=True).encode("ascii")
        with self._lock:
            append_line(self.path, _checksum(text) + b" " + text)


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode("ascii")


def _parse(line: bytes) -> CaseRecord | None:
    checksum, _, text = line.partition(b" ")
    if checksum != _checksum(text):
        return None
    try:
        return CaseRecord(**parse_fields(CaseRecord, json.loads(text), ""))
    except (FieldError, ValueError):  # whole, but of a version with other fields
        return None
