"""The bundle's commands as a user types them, in a process of their own, from a folder that has nothing to do with it.

Together they are one story: fit and protect, again, protect the rest with the checkpoint, score.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from processes import as_typed
from protected_folder import tree

from monai_umed.data.manifest import Manifest

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "umed"


def cache_of(cwd: Path) -> dict[str, str]:
    return {"OMP_NUM_THREADS": "1", "MONAI_UMED_CACHE": str(cwd.parent / "cache")}


def run_bundle(config: str, cwd: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    cwd.mkdir(exist_ok=True)
    named, environment = ("run", "--config_file", BUNDLE / "configs" / config), cache_of(cwd)
    return as_typed("monai.bundle", *named, *overrides, cwd=cwd, environment=environment)


def fit(dataset: Path, output: Path, cwd: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    sizes = ("--working_size", "[64,64]", "--max_epochs", "4", "--batch_size", "4")
    return run_bundle("train.json", cwd, "--dataset_dir", str(dataset), "--output_dir", str(output), *sizes, *overrides)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def outputs_before() -> set[str]:
    return {path.as_posix() for path in BUNDLE.rglob("*")}


@pytest.fixture(scope="module")
def fitted(tiny_phantom: Path, work: Path, outputs_before: set[str]) -> tuple[Path, str]:
    """Output folder of a fit and what was printed."""
    done = fit(tiny_phantom, work / "run", work / "cwd")
    assert done.returncode == 0, done.stderr
    return work / "run", done.stdout


def test_a_fit_writes_checkpoint_protected_files_manifest_and_quick_check(
    fitted: tuple[Path, str], tiny_phantom: Path
) -> None:
    folder, printed = fitted
    assert (folder / "protector.pt").is_file()
    manifest = Manifest.load(folder / "protected" / "manifest.json")
    names = json.loads((tiny_phantom / "split.json").read_text())["train"]
    assert [record.id for record in manifest.cases] == names and not manifest.quarantined
    for kind in ("images", "masks"):
        assert sorted(path.stem for path in (folder / "protected" / kind).iterdir()) == names
    assert all(0 < np.max(record.max_abs_delta) <= 4 for record in manifest.cases)
    figures = json.loads((folder / "quick_check.json").read_text())
    dice = {"clean_dice", "protected_dice", "augmented_clean_dice", "augmented_protected_dice"}
    assert figures.keys() == dice | {"psnr", "ssim", "verdict"} and figures["verdict"] in printed
    assert all(0 <= figures[name] <= 1 for name in dice)
    assert figures["psnr"] > 40 and 0.8 < figures["ssim"] < 1
    assert f"{figures['psnr']:.2f} dB" in printed and str(folder / "protected") in printed


def test_nothing_is_left_in_the_current_folder_or_in_the_bundle(
    fitted: tuple[Path, str], work: Path, outputs_before: set[str]
) -> None:
    assert list((work / "cwd").iterdir()) == []
    assert {path.as_posix() for path in BUNDLE.rglob("*")} == outputs_before


def test_the_same_command_again_gives_the_same_bytes(fitted: tuple[Path, str], tiny_phantom: Path, work: Path) -> None:
    before, checkpoint = tree(fitted[0] / "protected"), (fitted[0] / "protector.pt").read_bytes()
    done = fit(tiny_phantom, fitted[0], work / "cwd", "--quick_check", "False")
    assert done.returncode == 0, done.stderr
    assert tree(fitted[0] / "protected") == before
    assert (fitted[0] / "protector.pt").read_bytes() == checkpoint


def test_the_same_fit_in_another_folder_gives_the_same_bytes(
    fitted: tuple[Path, str], tiny_phantom: Path, work: Path
) -> None:
    done = fit(tiny_phantom, work / "again", work / "cwd", "--quick_check", "False", "--progress", "False")
    assert done.returncode == 0, done.stderr
    assert tree(work / "again" / "protected") == tree(fitted[0] / "protected")
    assert not (work / "again" / "quick_check.json").exists()


def test_another_seed_in_the_same_folder_is_refused_in_one_line(
    fitted: tuple[Path, str], tiny_phantom: Path, work: Path
) -> None:
    before = tree(fitted[0])
    done = fit(tiny_phantom, fitted[0], work / "cwd", "--seed", "1")
    assert done.returncode != 0 and "Traceback" not in done.stderr + done.stdout
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "other settings (seed; seed was 0, now 1)" in line
    assert tree(fitted[0]) == before


def test_the_checkpoint_protects_cases_that_it_was_not_fitted_on(
    fitted: tuple[Path, str], tiny_phantom: Path, work: Path
) -> None:
    names = json.loads((tiny_phantom / "split.json").read_text())["test"]
    data, out = ("--dataset_dir", str(tiny_phantom)), work / "protected test"
    done = run_bundle(
        "inference.json", work / "cwd", *data, "--section", "test", "--checkpoint", str(fitted[0] / "protector.pt"),
        "--output_dir", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = Manifest.load(out / "manifest.json")
    assert [record.id for record in manifest.cases] == names
    assert all(0 < np.max(record.max_abs_delta) <= 4 for record in manifest.cases)
    assert list((work / "cwd").iterdir()) == []


def test_protected_files_are_audited(fitted: tuple[Path, str], tiny_phantom: Path, work: Path) -> None:
    protected, audit = fitted[0] / "protected", work / "audit"
    done = run_bundle(
        "evaluate.json", work / "cwd", "--dataset_dir", str(protected), "--test_dir", str(tiny_phantom),
        "--test_section", "all", "--grid", "[64,64]", "--seeds", "[0,1]", "--exploiters", "['unet']",
        "--defenses", "['none']", "--epochs", "2", "--output_dir", str(audit),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = json.loads((audit / "scores.json").read_text())
    assert f"Verdict: {scores['verdict']}" in done.stdout
    [row] = scores["rows"]
    values = row["details"]["protected"]["dice"]["values"]
    assert row["seeds"] == len(values) == 2 and row["protected"] == pytest.approx(sum(values) / 2)
    assert (audit / "report.html").is_file()
    assert list((work / "cwd").iterdir()) == []


def test_an_unknown_override_ends_with_one_clear_line(tiny_phantom: Path, work: Path) -> None:
    done = fit(tiny_phantom, work / "refused", work / "cwd", "--max_epoch", "3")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "Unknown override: --max_epoch (did you mean --max_epochs?)" in line
    assert not (work / "refused").exists()


@pytest.mark.slow
def test_the_default_run_protects_the_default_dataset(tmp_path: Path) -> None:
    done = run_bundle("train.json", tmp_path / "cwd", "--output_dir", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "run" / "quick_check.json").read_text())
    assert figures["clean_dice"] >= 0.80
    assert figures["protected_dice"] <= 0.15
    assert figures["psnr"] >= 48.0


def run_cli(cwd: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return as_typed("monai_umed.cli", *arguments, cwd=cwd, environment=cache_of(cwd))


def test_a_release_is_protected_verified_and_undone_from_the_command_line(tiny_phantom: Path, tmp_path: Path) -> None:
    cwd, out, key, back = (tmp_path / name for name in ("cwd", "out", "key", "back"))
    cwd.mkdir()

    def succeed(*arguments: str | Path) -> str:
        done = run_cli(cwd, *arguments, *([] if arguments[0] == "new-key" else ["--no-progress"]))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    names = json.loads((tiny_phantom / "split.json").read_text())["train"]
    succeed("new-key", key)
    sizes = ("--grid", "64,64", "--epochs", "3", "--batch-size", "4")
    printed = succeed("protect", tiny_phantom, out, "--seal-key", key, *sizes)
    assert "WARNING" not in printed
    for line in (f"Protected {len(names)} cases", f"Verified {len(names)} cases", f"Sealed {len(names)} cases"):
        assert line in printed
    assert f"Verified {len(names)} cases" in succeed("verify", out, "--original", tiny_phantom)
    assert f"Restored {len(names)} cases" in succeed("restore", out, "--seal-key", key, "--output", back)
    originals = tree(tiny_phantom)
    expected = {f"{kind}/{name}.png" for kind in ("images", "masks") for name in names}
    assert tree(back) == {name: originals[name] for name in expected}
    assert list(cwd.iterdir()) == []

    spoiled = out / "protected" / "images" / f"{names[0]}.png"
    spoiled.write_bytes(spoiled.read_bytes()[:-1])
    failed = run_cli(cwd, "verify", out, "--no-progress")
    assert failed.returncode == 1 and f"1 problem\n  {names[0]}: images/{names[0]}.png is not the file" in failed.stdout
    wrong = run_cli(cwd, "restore", out, "--seal-key", tmp_path / "none", "--output", back, "--no-progress")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("error: ") and wrong.stderr.count("\n") == 1 and "no such file" in wrong.stderr
