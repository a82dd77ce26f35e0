"""The command line: a thin layer that hands its options to configs and functions, and says what came of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from protected_folder import noise, small_protector, square, tree, write_array
from typer.testing import CliRunner

import monai_umed as mu
from monai_umed import cli
from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST
from monai_umed.data.two_folders import as_dataset
from monai_umed.evaluation.audit.plan import Audit
from monai_umed.fitting import run_config
from monai_umed.io.bundle_folder import bundle_root
from monai_umed.release.protect import protect_dataset
from monai_umed.sealing.keys import KeyFileError, new_key
from monai_umed.sealing.seal import WrongKeyError
from monai_umed.workflows import fit, protect

runner = CliRunner()
Calls = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs change how this process shows errors; tests give that back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What would be run."""
    found: Calls = []
    for module in (fit, protect):
        monkeypatch.setattr(module, "run_config", lambda name, overrides, overlays=(): found.append((name, overrides)))
    return found


@pytest.fixture
def protected(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What was run; instead of a fit, an unfitted protector writes the files."""
    found: Calls = []

    def write(name: str, overrides: dict[str, Any], overlays: Sequence[str] = ()) -> None:
        found.append((name, overrides))
        folder = Path(overrides["output_dir"])
        cases = find_cases(as_dataset(overrides["dataset_dir"], overrides["labels_dir"]), overrides["section"])
        folder = folder / "protected" if name == "train.json" else folder
        protect_dataset(cases, small_protector(), folder, progress=False)

    for module in (fit, protect):
        monkeypatch.setattr(module, "run_config", write)
    return found


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three cases, of which c is for testing."""
    for index, name in enumerate("abc"):
        write_array(tmp_path / "data" / "images" / f"{name}.bmp", noise((40, 48), seed=index).astype(np.uint8))
        write_array(tmp_path / "data" / "masks" / f"{name}.png", square((40, 48)))
    (tmp_path / "data" / "split.json").write_text(json.dumps({"train": ["a", "b"], "test": ["c"]}))
    return tmp_path / "data"


def run(*arguments: str | Path) -> str:
    """Output of a command that must succeed."""
    done = runner.invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    return done.output


def fail(*arguments: str | Path) -> str:
    """Output of a command that must end with exit code 1 after listing what failed."""
    done = runner.invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), f"{done.output}{done.exception!r}"
    return done.output


def given(overrides: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if value is not None}


def test_help_needs_no_heavy_import() -> None:
    code = """
import sys
from typer.testing import CliRunner
from monai_umed.cli import VERBS, app
assert all(CliRunner().invoke(app, [verb, "--help"]).exit_code == 0 for verb in VERBS)
print([name for name in ("torch", "monai", "numpy", "cryptography") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    assert f" {verb} " in run("--help")
    assert len(run(verb, "--help")) > 100


def test_an_error_is_one_line_without_traceback(tmp_path: Path) -> None:
    new_key(tmp_path / "key")
    command = [sys.executable, "-m", "monai_umed.cli", "new-key", str(tmp_path / "key")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"error: {tmp_path / 'key'}: exists already, and keys are never overwritten; choose another name\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "DATA", "O"],
        ["fit", "DATA/images", "DATA/masks", "O"],
        ["protect", "DATA", "O"],
        ["protect", "DATA", "O", "--checkpoint", "C"],
    ],
)
def test_every_override_is_an_id_of_the_config(arguments: list[str], calls: Calls, dataset: Path) -> None:
    runner.invoke(cli.app, [word.replace("DATA", str(dataset)) for word in arguments])
    [(name, overrides)] = calls
    known = json.loads((Path(bundle_root("umed")) / "configs" / name).read_text())
    assert overrides.keys() <= known.keys()


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> list[Audit]:
    """What would be audited."""
    found: list[Audit] = []
    monkeypatch.setattr("monai_umed.evaluation.audit.run.run_audit", lambda plan, *_, **__: found.append(plan))
    return found


def test_an_audit_scores_on_the_test_section_of_the_clean_folder(audits: list[Audit], dataset: Path) -> None:
    run("audit", dataset, "--clean", dataset, "--test", dataset)
    [plan] = audits
    assert plan.protected_dir == plan.clean_dir == plan.test_dir == str(dataset)
    assert (plan.test_section, plan.seeds, plan.num_classes) == ("test", (0,), 2)
    assert plan.recipe == {"epochs": 15, "learning_rate": 1e-3, "batch_size": 16, "amp": True}


def test_a_test_folder_of_its_own_is_used_whole(audits: list[Audit], dataset: Path, tmp_path: Path) -> None:
    test = tmp_path / "test"
    shutil.copytree(dataset, test)
    run("audit", dataset, "--clean", dataset, "--test", test, "--full", "--no-progress")
    [plan] = audits
    assert (plan.test_section, plan.seeds) == ("all", (0, 1, 2)) and len(plan.defenses) > 20


def test_lists_are_joined_by_commas(audits: list[Audit], dataset: Path) -> None:
    arguments: list[str | Path] = [
        "audit",
        dataset,
        "--clean",
        dataset,
        "--test",
        dataset,
        "--grid",
        "64,96",
        "--seeds",
        "0, 1,2",
    ]
    arguments += ["--exploiters", "unet-batch,dynunet", "--defenses", "blur-1.0+nnunet", "--network-size", "paper"]
    run(*arguments)
    [plan] = audits
    assert plan.grid == (64, 96) and plan.seeds == (0, 1, 2)
    assert plan.exploiters == ("unet-batch", "dynunet") and plan.defenses == ("none", "blur-1.0+nnunet")
    assert plan.network_size == "paper"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["audit", "P", "--clean", "C"], "--test"),
        (["audit", "P", "--clean", "C", "--test", "T", "--seeds", "zero"], "whole numbers"),
        (["audit", "P", "--clean", "C", "--test", "T", "--network-size", "huge"], "huge"),
        (["adit"], "adit"),
        (["protect", "D"], "out"),
        (["protect", "D", "O", "--intensity-window", "3"], "two numbers"),
        (["protect", "D", "O", "--intensity-window", "black,white"], "two numbers"),
        (["protect", "D", "O", "--intensity-window", "ct-sofd"], "'ct-soft'"),
        (["protect", "D", "O", "--section", "half"], "half"),
        (["fit", "I", "L", "O", "X"], "4 places were given"),
        (["verify", "O", "--labels", "L"], "--original"),
        (["protect", "D", "O", "--checkpoint", "C", "--eps", "8/255", "--epochs", "3"], "--eps, --epochs"),
        (["fit", "D", "O", "--spatial-dims", "4"], "equal to 3"),
        (["restore", "O", "--output", "B"], "--seal-key"),
    ],
)
def test_wrong_options_are_named(arguments: list[str], text: str, calls: Calls) -> None:
    done = runner.invoke(cli.app, arguments)
    assert done.exit_code == 2 and text in done.output
    assert calls == []


def test_a_preset_is_handed_on_as_its_numbers(calls: Calls, dataset: Path) -> None:
    for verb in ("fit", "protect"):
        runner.invoke(cli.app, [verb, str(dataset), "O", "--intensity-window", "ct-lung"])
    assert [overrides["intensity_window"] for _, overrides in calls] == [[-1350.0, 150.0]] * 2


def test_the_help_names_every_preset_of_windows() -> None:
    from monai_umed.data.windows import WINDOWS

    printed = run("protect", "--help")
    assert all(name in printed for name in WINDOWS)


def test_list_prints_every_exploiter_and_defense() -> None:
    from monai_umed.defenses import DEFENSES
    from monai_umed.exploiters.registry import exploiter_names

    printed = runner.invoke(cli.app, ["list"]).output
    for name in [*exploiter_names(), *DEFENSES]:
        assert f"  {name} " in printed


def test_only_options_that_were_given_override_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}

    class Workflow:
        def __init__(self, config_file: list[str], **options: Any) -> None:
            found.update(options, files=[Path(file).name for file in config_file])

        def initialize(self) -> None:
            found["initialized"] = True

        def run(self) -> None:
            assert found["initialized"]

    monkeypatch.setattr("monai.bundle.ConfigWorkflow", Workflow)
    run_config.run_config("evaluate.json", {"seeds": [1], "grid": None})
    assert found.pop("files") == ["evaluate.json"]
    assert found == {"seeds": [1], "logging_file": False, "initialized": True}


def test_a_fit_takes_its_options_and_names_the_next_commands(dataset: Path, tmp_path: Path, protected: Calls) -> None:
    out = tmp_path / "my out"
    options = ["--eps", "8/255", "--seed", "3", "--grid", "64,96", "--epochs", "2", "--batch-size", "4"]
    printed = run(
        "fit", dataset, out, *options, "--intensity-window", "-160,240", "--num-classes", "3", "--no-progress"
    )
    [(name, overrides)] = protected
    assert name == "train.json"
    assert given(overrides) == {
        "dataset_dir": str(dataset),
        "output_dir": str(out),
        "section": "train",
        "eps": "8/255",
        "seed": 3,
        "working_size": [64, 96],
        "max_epochs": 2,
        "batch_size": 4,
        "intensity_window": [-160.0, 240.0],
        "num_classes": 3,
        "quick_check": True,
        "progress": False,
    }
    assert f"monai-umed verify '{out}' --original {dataset}" in printed
    assert str(out / "protector.pt") in printed
    assert f"1 cases of {dataset} are in other sections and have no protected copy there" in printed


def test_protecting_fits_without_the_quick_check_and_verifies(dataset: Path, tmp_path: Path, protected: Calls) -> None:
    out = tmp_path / "out"
    printed = run("protect", dataset, out, "--no-progress")
    [(name, overrides)] = protected
    assert name == "train.json" and overrides["quick_check"] is False
    assert f"Verified 2 cases in {out / 'protected'}" in printed
    assert f"monai-umed audit {out / 'protected'} --clean {dataset} --test {dataset}" in printed
    assert not (out / "sealed").exists()


@pytest.mark.parametrize(("section", "count"), [(None, 3), ("all", 3), ("train", 2), ("test", 1)])
def test_a_checkpoint_protects_any_section(
    dataset: Path, tmp_path: Path, protected: Calls, section: str | None, count: int
) -> None:
    chosen = [] if section is None else ["--section", section]
    printed = run("protect", dataset, tmp_path / "out", "--checkpoint", "C.pt", *chosen, "--no-progress")
    [(name, overrides)] = protected
    assert name == "inference.json"
    assert given(overrides) == {
        "dataset_dir": str(dataset),
        "output_dir": str(tmp_path / "out" / "protected"),
        "checkpoint": "C.pt",
        "section": section or "all",
        "progress": False,
    }
    assert f"Verified {count} cases" in printed


def test_a_key_seals_beside_the_protected_files_and_brings_them_back(
    dataset: Path, tmp_path: Path, protected: Calls
) -> None:
    out, key, back = tmp_path / "out", tmp_path / "key", tmp_path / "back"
    made = run("new-key", key)
    assert "1 new key of 256 bits" in made and str(key) in made and "protect DATA OUT --seal-key" in made
    printed = run("protect", dataset, out, "--seal-key", key, "--no-progress")
    assert f"Sealed 2 cases into {out / 'sealed'}." in printed
    assert f"monai-umed restore {out} --seal-key {key} --output ORIGINALS" in printed
    assert "2 more were there already" in run("protect", dataset, out, "--seal-key", key, "--no-progress")

    assert "Restored 1 cases" in run(
        "restore", out, "--seal-key", key, "--output", back, "--cases", "b", "--no-progress"
    )
    assert tree(back).keys() == {"images/b.bmp", "masks/b.png"}
    printed = run("restore", out / "protected", "--seal-key", key, "--output", back, "--no-progress")
    assert f"Restored 1 cases into {back}; 1 more were there already and are right." in printed
    originals = tree(dataset)
    assert tree(back) == {name: originals[name] for name in tree(back)} and len(tree(back)) == 4

    assert "Verified 2 cases" in run("verify", out, "--original", back, "--no-progress")
    (out / "sealed").rename(tmp_path / "elsewhere")
    sealed, again = tmp_path / "elsewhere", tmp_path / "again"
    assert "Restored 2 cases" in run("restore", out, "--seal-key", key, "--sealed", sealed, "--output", again)


@pytest.mark.parametrize(
    ("name", "text"),
    [("protected/key", "will be published"), ("sealed/x/key", "will be published"), ("missing", "no such file")],
)
def test_a_bad_place_for_a_key_is_refused_before_anything_is_fitted(
    dataset: Path, tmp_path: Path, protected: Calls, name: str, text: str
) -> None:
    key = tmp_path / "out" / name
    if name != "missing":
        key.parent.mkdir(parents=True)
        new_key(key)
    done = runner.invoke(cli.app, ["protect", str(dataset), str(tmp_path / "out"), "--seal-key", str(key)])
    assert done.exit_code == 1 and isinstance(done.exception, KeyFileError) and text in str(done.exception)
    assert protected == []


def test_cases_that_cannot_be_protected_are_a_failure_to_scripts(
    dataset: Path, tmp_path: Path, protected: Calls
) -> None:
    write_array(dataset / "masks" / "a.png", np.zeros((40, 48), np.uint8))
    for verb, out in (("protect", tmp_path / "one"), ("fit", tmp_path / "two")):
        assert "1 cases could not be protected" in fail(verb, dataset, out, "--no-progress")
        assert (out / "protected" / "images" / "b.bmp").is_file()


def add_file(out: Path) -> None:
    (out / "protected" / "images" / "d.bmp").touch()


def test_verify_lists_problems_and_fails(dataset: Path, tmp_path: Path, protected: Calls) -> None:
    out = tmp_path / "out"
    run("protect", dataset, out, "--no-progress")
    assert "verify" in run("verify", out, "--no-progress") and "Verified 2" in run("verify", out / "protected")
    add_file(out)
    printed = fail("verify", out, "--no-progress")
    assert f"Verified {out / 'protected'}: 1 problem\n  images/d.bmp: not in {MANIFEST}" in printed
    assert "Next" not in printed


def test_files_that_do_not_verify_are_not_sealed(
    dataset: Path, tmp_path: Path, protected: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    good: Callable[..., None] = fit.run_config

    def bad(name: str, overrides: dict[str, Any], overlays: Sequence[str] = ()) -> None:
        good(name, overrides)
        add_file(tmp_path / "out")

    monkeypatch.setattr(fit, "run_config", bad)
    new_key(tmp_path / "key")
    printed = fail("protect", dataset, tmp_path / "out", "--seal-key", tmp_path / "key", "--no-progress")
    assert "images/d.bmp: not in" in printed and not (tmp_path / "out" / "sealed").exists()


def test_restore_lists_what_failed_and_names_what_is_missing(dataset: Path, tmp_path: Path, protected: Calls) -> None:
    out, key, back = tmp_path / "out", tmp_path / "key", tmp_path / "back"
    new_key(key)
    new_key(tmp_path / "other")
    run("protect", dataset, out, "--seal-key", key, "--no-progress")
    errors: list[tuple[list[str | Path], type[Exception], str]] = [
        (["--seal-key", tmp_path / "other"], WrongKeyError, "another key"),
        (
            ["--seal-key", key, "--sealed", tmp_path / "typo"],
            FileNotFoundError,
            "typo: no folder of sealed files; pass",
        ),
        (["--seal-key", key, "--cases", "a,zz"], DatasetError, "zz: no such case"),
    ]
    for options, kind, text in errors:
        done = runner.invoke(cli.app, [str(word) for word in ("restore", out, "--output", back, *options)])
        assert done.exit_code == 1 and isinstance(done.exception, kind) and text in str(done.exception)
        assert not back.exists()
    (out / "sealed" / "images" / "a.bmp.sealed").write_bytes(b"damaged")
    printed = fail("restore", out, "--seal-key", key, "--output", back, "--no-progress")
    assert f"Restored 1 cases into {back}.\nFailed 1" in printed and "  a: the sealed file is damaged" in printed


@pytest.mark.parametrize("dims", [2, 3])
def test_the_phantom_is_named_with_its_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dims: int) -> None:
    from monai_umed.data import phantom

    write = phantom.write_phantom

    def few(folder: Path, *, spatial_dims: int = 2, **numbers: int) -> Path:
        return write(folder, spatial_dims=spatial_dims, num_train=2, num_test=1)

    monkeypatch.setattr(phantom, "write_phantom", few)
    monkeypatch.setattr(mu, "write_phantom", few)
    monkeypatch.setenv("MONAI_UMED_CACHE", str(tmp_path / "cache"))
    for place in ([], [tmp_path / "mine"]):
        printed = run("phantom", *place, "--spatial-dims", str(dims))
        assert "2 training and 1 test cases" in printed and str(place[0] if place else tmp_path / "cache") in printed
        assert "monai-umed protect" in printed and ("--spatial-dims 3" in printed) == (dims == 3)
    assert len(find_cases(tmp_path / "mine")) == 3


def test_the_bundle_path_is_all_that_is_printed() -> None:
    assert run("bundle-path") == f"{bundle_root('umed')}\n"
