"""The command line: a thin layer that hands its options to the bundle's configs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monai_umed import cli

runner = CliRunner()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What would be run."""
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(cli, "run_config", lambda name, overrides: found.append((name, overrides)))
    return found


def given(overrides: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if value is not None}


def test_help_needs_no_heavy_import() -> None:
    code = "import sys, monai_umed.cli; print([name for name in ('torch', 'monai', 'numpy') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_verb_explains_itself() -> None:
    listed = runner.invoke(cli.app, ["--help"])
    assert listed.exit_code == 0
    for verb in ("audit", "list"):
        assert verb in listed.output
        assert runner.invoke(cli.app, [verb, "--help"]).exit_code == 0


def test_an_audit_scores_on_the_test_section_of_the_clean_folder(
    calls: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    data = str(tmp_path)
    done = runner.invoke(cli.app, ["audit", "OUT/protected", "--clean", data, "--test", data])
    assert done.exit_code == 0, done.output
    [(name, overrides)] = calls
    assert name == "evaluate.json"
    assert given(overrides) == {
        "dataset_dir": "OUT/protected",
        "clean_dir": data,
        "test_dir": data,
        "test_section": "test",
        "preset": "quick",
        "progress": True,
    }


def test_a_test_folder_of_its_own_is_used_whole(calls: list[tuple[str, dict[str, Any]]]) -> None:
    runner.invoke(cli.app, ["audit", "P", "--clean", "C", "--test", "T", "--full", "--no-progress"])
    [(_, overrides)] = calls
    assert (overrides["test_section"], overrides["preset"], overrides["progress"]) == ("all", "full", False)


def test_lists_are_joined_by_commas(calls: list[tuple[str, dict[str, Any]]]) -> None:
    arguments = ["audit", "P", "--clean", "C", "--test", "T", "--size", "64,96", "--seeds", "0, 1,2"]
    arguments += ["--exploiters", "unet-batch,dynunet", "--defenses", "blur-1.0+nnunet", "--network-size", "paper"]
    assert runner.invoke(cli.app, arguments).exit_code == 0
    [(_, overrides)] = calls
    assert overrides["size"] == [64, 96] and overrides["seeds"] == [0, 1, 2]
    assert overrides["exploiters"] == ["unet-batch", "dynunet"] and overrides["defenses"] == ["blur-1.0+nnunet"]
    assert overrides["network_size"] == "paper"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["audit", "P", "--clean", "C"], "--test"),
        (["audit", "P", "--clean", "C", "--test", "T", "--seeds", "zero"], "whole numbers"),
        (["audit", "P", "--clean", "C", "--test", "T", "--network-size", "huge"], "huge"),
        (["adit"], "adit"),
    ],
)
def test_wrong_options_are_named(arguments: list[str], text: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    done = runner.invoke(cli.app, arguments)
    assert done.exit_code == 2 and text in done.output
    assert calls == []


def test_list_prints_every_exploiter_and_defense() -> None:
    from monai_umed.defenses import DEFENSES
    from monai_umed.networks.architectures import exploiter_names

    printed = runner.invoke(cli.app, ["list"]).output
    for name in [*exploiter_names(), *DEFENSES]:
        assert f"  {name} " in printed


def test_only_options_that_were_given_override_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}

    class Workflow:
        def __init__(self, config_file: str, **options: Any) -> None:
            found.update(options, config_file=config_file)

        def initialize(self) -> None:
            found["initialized"] = True

        def run(self) -> None:
            assert found["initialized"]

    monkeypatch.setattr("monai.bundle.ConfigWorkflow", Workflow)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    cli.run_config("evaluate.json", {"seeds": [1], "size": None})
    assert found.pop("config_file").endswith("configs/evaluate.json")
    assert found == {"seeds": [1], "logging_file": False, "initialized": True}
