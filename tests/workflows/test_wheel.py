"""An installed package without a checkout: its wheel holds the bundle, and runs do not write into it."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import monai_umed.io.bundle_folder
from monai_umed.io.bundle_folder import bundle_root, outputs_root

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "umed"


@pytest.fixture
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle of an installed package, with no checkout anywhere."""
    packages = tmp_path / "site-packages" / "monai_umed" / "bundles"
    shutil.copytree(BUNDLE / "configs", packages / "umed" / "configs")
    monkeypatch.setattr(monai_umed.io.bundle_folder, "_INSTALLED", packages)
    monkeypatch.setattr(monai_umed.io.bundle_folder, "_CHECKOUT", tmp_path / "site-packages" / "bundles")
    return packages / "umed"


def test_every_package_of_the_source_is_in_the_wheel(setup: configparser.ConfigParser) -> None:
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "monai_umed").rglob("__init__.py")}
    assert set(setup["options"]["packages"].split()) == found | {"monai_umed.bundles"}


def test_every_other_file_of_the_package_is_in_the_wheel(setup: configparser.ConfigParser) -> None:
    patterns = setup["options.package_data"]["monai_umed"].split()
    for path in (ROOT / "monai_umed").rglob("*"):
        module = path.suffix == ".py" and (path.parent / "__init__.py").is_file()
        if path.is_file() and not module and "__pycache__" not in path.parts:
            name = path.relative_to(ROOT / "monai_umed")
            assert any(name.match(pattern) for pattern in patterns), name


def test_every_file_of_the_bundle_is_in_the_wheel(setup: configparser.ConfigParser) -> None:
    assert setup["options"]["package_dir"].split() == ["monai_umed.bundles", "=", "bundles"]
    patterns = setup["options.package_data"]["monai_umed.bundles"].split()
    for path in BUNDLE.rglob("*"):
        name = path.relative_to(BUNDLE.parent)
        if path.is_file() and "outputs" not in name.parts:
            assert any(name.match(pattern) for pattern in patterns), name


def test_the_installed_bundle_is_found_from_an_empty_folder(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert bundle_root() == str(installed)


def test_runs_of_the_installed_bundle_write_below_the_current_folder(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert outputs_root(installed) == str(tmp_path / "outputs")


def test_runs_of_any_other_bundle_write_into_its_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert outputs_root(BUNDLE) == str(BUNDLE / "outputs")
    assert outputs_root(tmp_path / "umed") == str(tmp_path / "umed" / "outputs")


def run(command: list[str], folder: Path, packages: Path | None = None) -> str:
    """What a command prints, started in a folder, with packages that come before installed ones."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": "" if packages is None else str(packages)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_a_built_wheel_fits_and_protects_from_an_empty_folder(tmp_path: Path, tiny_phantom: Path) -> None:
    source, packages, empty = (tmp_path / name for name in ("source", "packages", "empty"))
    source.mkdir()
    empty.mkdir()
    for folder in ("monai_umed", "bundles"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("outputs", "__pycache__"))
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path / "dist"), str(source)], tmp_path)
    (wheel,) = (tmp_path / "dist").glob("monai_umed-*.whl")
    run([*pip, "install", "--no-deps", "--no-compile", "--target", str(packages), str(wheel)], tmp_path)

    python = [sys.executable, "-B", "-m"]
    bundle = Path(run([*python, "monai_umed.cli", "bundle-path"], empty, packages).strip())
    assert bundle == packages / "monai_umed" / "bundles" / "umed"
    before = {path for path in packages.rglob("*") if "__pycache__" not in path.parts}
    command = [*python, "monai.bundle", "run", "--dataset_dir", str(tiny_phantom), "--progress", "False"]
    run([*command, "--config_file", f"{bundle}/configs/inference.json"], empty, packages)
    training = ["--max_epochs", "3", "--quick_check", "False", "--batch_size", "4"]
    run([*command, "--config_file", f"{bundle}/configs/train.json", *training], empty, packages)
    outputs = empty / "outputs" / tiny_phantom.name
    assert (outputs / "protected_test" / "manifest.json").is_file()
    assert (outputs / "protected" / "manifest.json").is_file()
    assert (outputs / "protector.pt").is_file()
    assert {path for path in packages.rglob("*") if "__pycache__" not in path.parts} == before
