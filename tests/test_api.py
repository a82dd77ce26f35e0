"""``import monai_umed as mu``: light, complete, and every example in it runs."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import monai_umed as mu

# What these need no example for: they are only ever made by the package, and described where that happens.
RESULTS = {name for name in mu.__all__ if is_dataclass(getattr(mu, name))}
ERRORS = {
    name for name in mu.__all__ if inspect.isclass(getattr(mu, name)) and issubclass(getattr(mu, name), Exception)
}
OTHERS = {"__version__", "PRESETS", "DatasetDir", "FitOptions", "Protector"}
EXPLAINED = sorted(set(mu.__all__) - RESULTS - ERRORS - OTHERS)


def python(code: str) -> str:
    """What a new process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_type_checkers_and_the_running_program_see_the_same_names() -> None:
    tree = ast.parse(Path(mu.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        (node.module, alias.name) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == {(home, name) for home, names in mu._HOMES.items() for name in names}


@pytest.mark.parametrize("name", sorted(mu.__all__))
def test_every_name_is_there_and_explained(name: str) -> None:
    value = getattr(mu, name)
    assert name in dir(mu)
    assert name in OTHERS or (inspect.getdoc(value) or "").strip()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'monai_umed' has no attribute 'protekt'"):
        mu.protekt  # noqa: B018 - looked up for its error


def test_the_import_loads_nothing_heavy() -> None:
    heavy = python(
        "import sys, monai_umed as mu; mu.__version__; dir(mu);"
        "print([name for name in ('torch', 'monai', 'numpy', 'scipy', 'typer') if name in sys.modules])"
    )
    assert heavy == "[]"


def test_restoring_loads_neither_torch_nor_most_of_the_package() -> None:
    loaded = python(
        "import sys, monai_umed as mu; mu.restore;"
        "print('torch' in sys.modules, sum(name.startswith('monai_umed') for name in sys.modules))"
    ).split()
    assert loaded[0] == "False" and int(loaded[1]) <= 36


@pytest.mark.parametrize("name", EXPLAINED)
def test_the_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("MONAI_UMED_CACHE", str(tmp_path / "cache"))
    [test] = doctest.DocTestFinder(recurse=False).find(getattr(mu, name), name, globs={"mu": mu, "work": tmp_path})
    assert test.examples, f"mu.{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    runner.run(test, out=report.append, clear_globs=False)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("name", [name for name in EXPLAINED if inspect.isfunction(getattr(mu, name))])
def test_arguments_after_the_first_two_are_named(name: str) -> None:
    parameters = inspect.signature(getattr(mu, name)).parameters.values()
    assert sum(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters) <= 2
