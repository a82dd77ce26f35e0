"""The folder in which the package keeps what other runs on this machine can use again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "MONAI_UMED_CACHE"
"""Environment variable with another folder; empty for none at all."""


def user_cache() -> Path | None:
    """Return the folder, which need not exist; None if the environment variable is empty.

    It is ``monai_umed`` in the place of the operating system: ``~/.cache`` or ``XDG_CACHE_HOME`` on Linux,
    ``~/Library/Caches`` on macOS, ``LOCALAPPDATA`` on Windows.
    """
    if (given := os.environ.get(VARIABLE)) is not None:
        return Path(given).expanduser() if given else None
    if sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    else:
        variable, usual = ("LOCALAPPDATA", "AppData/Local") if os.name == "nt" else ("XDG_CACHE_HOME", ".cache")
        place = Path(os.environ.get(variable) or Path.home() / usual)
    return place / "monai_umed"
