"""Foreign images are protected by a command of its own, once, however many processes run the audit."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from monai_umed.evaluation.audit import foreign
from monai_umed.evaluation.audit.foreign import protect_foreign


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Environments of the commands that were started."""
    environments: list[dict[str, str]] = []

    def run(command: list[str], **options: Any) -> CompletedProcess[str]:
        environments.append(options["env"])
        return CompletedProcess(command, 0)

    monkeypatch.setattr(foreign.subprocess, "run", run)
    monkeypatch.setattr(foreign, "wait_for_ranks", lambda: None)
    return environments


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_of_two_processes_protects_for_both(
    rank: int, started: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert protect_foreign("somewhere", tmp_path, (32, 32)) == str(tmp_path / "protected")
    # A fit refuses to run as one of several processes.
    assert [environment["WORLD_SIZE"] for environment in started] == (["1"] if rank == 0 else [])


def test_what_is_protected_is_kept(started: list[dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "protected").mkdir()
    (tmp_path / "protected" / "manifest.json").touch()
    protect_foreign("somewhere", tmp_path, (32, 32))
    assert not started
