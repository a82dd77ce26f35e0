"""Foreign images are protected in a process of its own, once, however many processes run the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_umed.evaluation.audit import foreign
from monai_umed.evaluation.audit.foreign import protect_foreign


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Settings of the fits that were started."""
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(foreign, "attempt_alone", lambda fit, settings, log: started.append(settings))
    monkeypatch.setattr(foreign, "wait_for_ranks", lambda: None)
    return started


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_of_two_processes_protects_for_both(
    rank: int, fits: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert protect_foreign("somewhere", tmp_path, grid=(32, 32)) == str(tmp_path / "protected")
    assert [fit["dataset_dir"] for fit in fits] == (["somewhere"] if rank == 0 else [])


def test_what_is_protected_is_kept(fits: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "protected").mkdir()
    (tmp_path / "protected" / "manifest.json").touch()
    protect_foreign("somewhere", tmp_path, grid=(32, 32))
    assert not fits


def test_a_fit_that_fails_says_why_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)missing cannot be protected: .*no such folder.*--foreign"):
        protect_foreign(str(tmp_path / "missing"), tmp_path / "foreign", grid=(32, 32), progress=False)
