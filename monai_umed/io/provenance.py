"""The provenance of a result: the program's version with its commit, and the command."""

from __future__ import annotations

import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def tool_version() -> str:
    """Return the version of the installed package, ``"unknown"`` if it runs from a folder that was never installed."""
    try:
        return version("monai_umed")
    except PackageNotFoundError:
        return "unknown"


def _git(*arguments: str) -> str | None:
    """Run git in the folder of this package and return its output; None if there is no git or no repository."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def source_version() -> str:
    """Return the version with the commit of a checkout, ``"0.1.0+g1a2b3c4"``, with ``.dirty`` if files were changed.

    For an installed copy, it is the version alone.
    """
    # An environment may be inside the checkout of something else, whose commit says nothing about this package.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return tool_version()
    commit = _git("describe", "--always", "--dirty=.dirty", "--exclude=*")
    return tool_version() if commit is None else f"{tool_version()}+g{commit}"


def command_line() -> str:
    """Return the running command, quoted for a shell, without the folder of its program."""
    program = Path(sys.argv[0]).name
    return shlex.join(["monai-umed" if program == "__main__.py" else program, *sys.argv[1:]])
