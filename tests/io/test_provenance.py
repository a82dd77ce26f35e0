"""Results name the program's version, its commit and the command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_umed.io import provenance
from monai_umed.io.provenance import command_line, source_version, tool_version


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    source_version.cache_clear()
    yield
    source_version.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with this module in it, as if it ran from there."""
    copy = tmp_path / "monai_umed" / "provenance.py"
    copy.parent.mkdir()
    shutil.copy(provenance.__file__, copy)
    git(tmp_path, "init")
    monkeypatch.setattr(provenance, "__file__", str(copy))
    return copy


def test_a_checkout_tells_its_commit_and_whether_files_were_changed(checkout: Path) -> None:
    git(checkout.parent, "add", ".")
    git(checkout.parent, "commit", "-m", "all")
    git(checkout.parent, "tag", "v9")  # a tag may be moved, a commit may not
    commit = git(checkout.parent, "rev-parse", "--short", "HEAD")
    assert source_version() == f"{tool_version()}+g{commit}"
    checkout.write_text("changed")
    source_version.cache_clear()
    assert source_version() == f"{tool_version()}+g{commit}.dirty"


def test_an_environment_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    (checkout.parent / "other.py").touch()
    git(checkout.parent, "add", "other.py")
    git(checkout.parent, "commit", "-m", "something else")
    assert source_version() == tool_version()


def test_without_git_there_is_the_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_version() == tool_version()


@pytest.mark.parametrize(
    ("program", "shown"), [("/x/monai-umed", "monai-umed"), ("/x/cli/__main__.py", "monai-umed"), ("/x/my.py", "my.py")]
)
def test_the_command_is_what_a_shell_takes(program: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [program, "audit", "my files"])
    assert command_line() == f"{shown} audit 'my files'"
