"""The folder of an app that a MONAI Label server is started with."""

from __future__ import annotations

import shutil
from pathlib import Path

_TEMPLATE = Path(__file__).parent / "app"


def write_label_app(folder: str | Path) -> Path:
    """Write the app's folder, and return its absolute path.

    Args:
        folder: target; made if needed.

    Raises:
        FileExistsError: ``folder`` is a file, or holds anything.
        OSError: If it cannot be written.

    Example:
        >>> sorted(file.name for file in mu.write_label_app(work / "app").iterdir())
        ['main.py']
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty; name a new or an empty folder, or delete it first")
    shutil.copytree(_TEMPLATE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder
