"""Write a file completely or not at all."""

import os
from pathlib import Path
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
