"""Where things are: folders follow the way of the data, and each imports only those before it."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

import monai_umed

PACKAGE = Path(monai_umed.__file__).resolve().parent
ROOT = PACKAGE.parent
STATIONS = (
    "functional",
    "io",
    "dicom",
    "data",
    "sealing",
    "networks",
    "training",
    "defenses",
    "exploiters",
    "protectors",
    "fitting",
    "release",
    "evaluation",
    "workflows",
    "transforms",
    "label",
    "cli",
    "tools",
)
"""The folders, in the order in which data go through them: a folder may import those before it."""


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package by its dotted name; the app that is copied into an annotation server is none."""
    for path in PACKAGE.rglob("*.py"):
        if "app" not in path.parent.parts[-1:]:
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(name: str, path: Path) -> Iterator[str]:
    """The folders that a module imports from, wherever the import stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            target = [*base, *(node.module or "").split(".")]
            # `from .. import release` names a folder, `from ..release import case` a module in one
            yield from (alias.name for alias in node.names if target[1:] in ([], [""]) and target[0] == "monai_umed")
            if target[0] == "monai_umed" and len(target) > 1 and target[1]:
                yield target[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("monai_umed."))


def test_the_root_holds_the_public_api_and_nothing_else() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert files == {"__init__.py", "py.typed"}
    assert folders == set(STATIONS)


def test_a_folder_imports_only_folders_before_it() -> None:
    upward = [
        f"{name} imports {station}"
        for name, path in modules()
        for station in imports(name, path)
        if name.count(".") > 0 and STATIONS.index(station) > STATIONS.index(name.split(".")[1])
    ]
    assert not upward


def test_nothing_imports_the_tools() -> None:
    users = [name for name, path in modules() if "tools" in imports(name, path) and ".tools" not in name]
    assert not users


def test_every_folder_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE
    }
    assert listed == found | {"monai_umed", "monai_umed.bundles"}


def test_the_configs_configure_and_leave_deciding_to_python() -> None:
    expressions = [
        line.strip()
        for path in (ROOT / "bundles" / "umed" / "configs").glob("*.json")
        for line in path.read_text(encoding="utf-8").splitlines()
        if '"$' in line
    ]
    assert len(expressions) <= 60
    assert all(line.count("(") <= 1 for line in expressions)  # one call at most


def test_no_module_is_longer_than_a_reader_takes_in() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules()}
    assert {name: length for name, length in lengths.items() if length > 260} == {}
