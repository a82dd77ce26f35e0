"""However a verb ends, it says what to type next, and that can be typed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from proof_dataset import small_dataset
from typer.testing import CliRunner

import monai_umed as mu
from monai_umed import cli

COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def last_words(arguments: list[str], code: int = 0) -> list[str]:
    """The verbs that a command ends with; each is read as it stands."""
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == code, f"{arguments}: {done.output} {done.exception!r}"
    before, _, after = done.stdout.partition("Next:\n")
    assert before.strip() or arguments[0] in ("advise", "audit", "benchmark"), "it does not say what was made"
    lines = [line.partition(": monai-umed ")[2] for line in after.splitlines()]
    assert lines and all(lines)
    for verb, *rest in map(shlex.split, lines):
        COMMANDS[verb].make_context(verb, rest)  # raises what is wrong
    return [line.partition(" ")[0] for line in lines]


@pytest.fixture(autouse=True)
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs change how this process shows errors; tests give that back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_from_a_dataset_to_its_originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_dataset(tmp_path / "DATA")
    assert last_words(["new-key", "owner.key"]) == ["protect"]
    fit = ["fit", "DATA", "OUT1", "--preset", "stamp", "--no-quick-check", "--no-progress"]
    assert last_words(fit) == ["verify", "audit"]
    assert last_words(["reserve", "DATA", "OUT", "--proof-key", "owner.key", "--no-progress"]) == ["protect"]
    arguments = ["protect", "DATA", "OUT2", "--preset", "stamp", "--seal-key", "owner.key", "--no-progress"]
    assert "audit" in last_words([*arguments, "--section", "train"])
    assert last_words(["verify", "OUT2", "--no-progress"]) == ["verify"]
    assert last_words(["verify", "OUT2", "--original", "DATA", "--no-progress"]) == ["audit"]
    restore = ["restore", "OUT2", "--seal-key", "owner.key", "--output", "ORIGINALS", "--no-progress"]
    assert last_words(restore) == ["verify"]


def test_what_needs_no_dataset(tmp_path: Path) -> None:
    assert last_words(["list"]) == ["audit"]
    assert last_words(["phantom", str(tmp_path / "DATA"), "--num-train", "2", "--num-test", "1"]) == ["protect"]


def test_two_verbs_serve_other_programs(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli.app, ["bundle-path"]).stdout == f"{mu.bundle_root()}\n"
    printed = CliRunner().invoke(cli.app, ["label-app", str(tmp_path / "APP")]).stdout
    assert printed.splitlines()[-1].strip().startswith("python -m monailabel.main start_server")


def test_every_verb_is_tested_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [verb for verb in COMMANDS if f'["{verb}"' not in text and f'("{verb}", ' not in text] == []


ASKED = SimpleNamespace(count=9, test=1, images="ASK/images", left_out=[], by_key=True)
PROVEN = SimpleNamespace(
    results=SimpleNamespace(verdict="evidence", p=0.001, reserve=None, key=None),
    attempt=1,
    missing=[],
    proof="ASK/proof.json",
    report="ASK/report.html",
)


@pytest.mark.parametrize(
    ("verb", "found", "arguments", "code", "next_verb"),
    [
        ("advise", SimpleNamespace(chosen=None), ["DATA"], 1, "protect"),
        ("advise", SimpleNamespace(chosen="stamp"), ["DATA"], 0, "protect"),
        ("audit", SimpleNamespace(verdict="protected"), ["OUT", "--clean", "DATA", "--test", "DATA"], 0, "verify"),
        ("audit", SimpleNamespace(verdict="not protected"), ["OUT", "--clean", "DATA", "--test", "DATA"], 0, "advise"),
        ("benchmark", ["a row"], ["DATA", "OUT", "--protectors", "em"], 0, "protect"),
        ("queries", ASKED, ["OUT", "ASK", "--proof-key", "KEY"], 0, "predict prove"),
        ("predict", 9, ["MODEL.ts", "ASK", "--output", "ANSWERS", "--grid", "64,64"], 0, "prove"),
        ("prove", PROVEN, ["ASK", "ANSWERS", "--proof-key", "KEY"], 0, "prove"),
    ],
)
def test_after_hours_of_work_elsewhere(
    monkeypatch: pytest.MonkeyPatch, verb: str, found: Any, arguments: list[str], code: int, next_verb: str
) -> None:
    monkeypatch.setattr(mu, verb, lambda *args, **options: found)
    assert last_words([verb, *arguments], code) == next_verb.split()
