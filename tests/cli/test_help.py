"""``monai-umed VERB --help``: options in panels, three examples that can be run, one screen wide; ``--json``."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from protected_folder import noise, small_protector, square, write_array
from typer.core import TyperOption
from typer.testing import CliRunner

from monai_umed import cli
from monai_umed.cli.help import EXAMPLES, PANELS
from monai_umed.data.cases import find_cases
from monai_umed.release.protect import protect_dataset

runner = CliRunner()
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs change how this process shows errors; tests give that back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_option_stands_in_a_panel(verb: str) -> None:
    options = [param for param in COMMANDS[verb].params if isinstance(param, TyperOption) and not param.hidden]
    assert {option.name for option in options if option.rich_help_panel not in PANELS} == set()


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_fits_a_screen_of_100_columns(verb: str) -> None:
    text = runner.invoke(cli.app, [verb, "--help"], env={"COLUMNS": "100", "TERM": "dumb"}).output
    assert max(map(len, text.splitlines())) <= 100
    assert all(f"monai-umed {line}" in " ".join(text.split()) for line in EXAMPLES[verb])


def test_the_list_of_verbs_fits_a_screen_of_100_columns() -> None:
    text = runner.invoke(cli.app, ["--help"], env={"COLUMNS": "100", "TERM": "dumb"}).output
    assert max(map(len, text.splitlines())) <= 100 and all(f" {verb} " in text for verb in COMMANDS)


@pytest.mark.parametrize("line", sorted({line for lines in EXAMPLES.values() for line in lines}))
def test_the_examples_are_commands(line: str) -> None:
    verb, *arguments = shlex.split(line)
    COMMANDS[verb].make_context(verb, arguments)  # raises what is wrong


def test_every_verb_has_three_examples() -> None:
    assert {verb: len(EXAMPLES.get(verb, ())) for verb in COMMANDS} == dict.fromkeys(COMMANDS, 3)


def test_the_shell_completes_verbs_and_options() -> None:
    def complete(words: str) -> list[str]:
        asked = {"_MONAI_UMED_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [sys.executable, "-m", "monai_umed.cli"], env={**os.environ, **asked}, capture_output=True, text=True
        )
        return done.stdout.split()

    assert complete("monai-umed ver") == ["verify"]
    assert complete("monai-umed verify --ori") == ["--original"]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Two protected images in `out`, with their originals in `data`."""
    for index, name in enumerate("ab"):
        write_array(tmp_path / "data" / "images" / f"{name}.bmp", noise((40, 48), seed=index).astype("uint8"))
        write_array(tmp_path / "data" / "masks" / f"{name}.png", square((40, 48)))
    cases = find_cases(str(tmp_path / "data"))
    protect_dataset(cases, small_protector(), tmp_path / "out" / "protected", progress=False)
    return tmp_path


def test_verify_tells_a_machine_what_is_wrong(release: Path) -> None:
    arguments = ["verify", str(release / "out"), "--original", str(release / "data"), "--json"]
    done = runner.invoke(cli.app, arguments)
    found = json.loads(done.stdout)
    assert (done.exit_code, found["problems"], found["pixels_compared"]) == (0, [], True)
    (release / "out" / "protected" / "masks" / "a.png").unlink()
    done = runner.invoke(cli.app, arguments)
    assert done.exit_code == 1
    assert {problem["id"] for problem in json.loads(done.stdout)["problems"]} == {"a"}


def test_the_list_is_there_for_machines() -> None:
    found = json.loads(runner.invoke(cli.app, ["list", "--json"]).stdout)
    assert {entry["name"] for entry in found["exploiters"]} >= {"unet-batch", "dynunet"}
