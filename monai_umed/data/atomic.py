"""Write a file completely or not at all."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader never sees half a file.

    The bytes go to a hidden file in the same folder, are flushed to the disk and then renamed onto ``path``.
    On any failure (also Ctrl-C) the hidden file is removed and an existing ``path`` is left as it was.

    Args:
        path: target; its folder must exist.
        content: whole content of the file.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full.
    """
    path = Path(path)
    # A short name of its own, because the target's name may already be as long as the file system allows.
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
