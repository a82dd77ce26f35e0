"""The log of tests: whoever tests until it fits is seen, because every entry is chained to those before it."""

from __future__ import annotations

import hmac
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...sealing.sealed_json import ProofError, canonical, subkey

LOG = "log.jsonl"
"""Name of the file: one JSON object a line, each with an authentication code over itself and the code before."""


def read_log(folder: Path, key: bytes) -> list[dict[str, Any]]:
    """All entries of a log, oldest first; none if there is no file.

    Raises:
        ProofError: If an entry was changed, removed, added, or written under another key.
    """
    path = folder / LOG
    if not path.is_file():
        return []
    entries, before = [], ""
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), 1):
        try:
            entry = json.loads(line)
            code = entry.pop("code")
        except (ValueError, KeyError, AttributeError):
            entry, code = {}, ""
        if not isinstance(code, str) or not hmac.compare_digest(code, _code(key, before, entry)):
            reason = "changed, or written under another key"
            raise ProofError(f"{path}: entry {number} was {reason}; restore the file from a copy, it counts the tests")
        entries.append(entry)
        before = code
    return entries


def append_log(folder: Path, key: bytes, **entry: Any) -> int:
    """Add an entry with the time, and return its number, from 1 on.

    Raises:
        ProofError: as :func:`read_log`.
        OSError: If it cannot be written.
    """
    number = len(read_log(folder, key)) + 1
    path = folder / LOG
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    before = json.loads(lines[-1])["code"] if lines else ""
    entry = {"number": number, "time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **entry}
    line = canonical({**entry, "code": _code(key, before, entry)}) + b"\n"
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return number


def _code(key: bytes, before: str, entry: dict[str, Any]) -> str:
    return hmac.new(subkey(key, "log"), before.encode("ascii", "replace") + canonical(entry), "sha256").hexdigest()
