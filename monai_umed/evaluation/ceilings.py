"""Trainings on clean files are kept for later runs on the same machine, under all that decides their result."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import platform
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..data.cases import find_cases
from ..data.two_folders import DatasetDir, ReadAs
from ..defenses import Composed, Defense
from ..exploiters.train import train_exploiter
from ..io.atomic import write_atomically
from .folders import digest_of
from .plan import Cell
from .results import CellResult, Comparison

FORMAT = 1
SHARED = ("clean", "untrained")
"""Kinds of trainings that no protected file takes part in."""

_PACKAGE = Path(__file__).parents[1]
_RECIPE = ("epochs", "steps", "learning_rate", "batch_size", "amp")


@dataclass(frozen=True)
class Ceiling:
    """A finished training on clean files.

    Attributes:
        result: its scores.
        pictures: PNG files of its predictions by the id of the case, without defense; empty otherwise.
    """

    result: CellResult
    pictures: dict[str, bytes]


@cache
def _software() -> dict[str, str]:
    """The package by its sources, since a changed checkout has the version of the one before, and its engines."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return {"monai_umed": digest.hexdigest()} | {name: version(name) for name in ("torch", "monai", "numpy")}


def _hardware(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    # What a CPU can do decides about bfloat16 and about the order of sums.
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _is_ours(value: object) -> bool:
    return type(value).__module__.partition(".")[0] in ("monai_umed", "monai", "torch")


def _parts(defense: Defense) -> list[Defense]:
    return [part for each in defense.defenses for part in _parts(each)] if isinstance(defense, Composed) else [defense]


def _reading(folder: DatasetDir) -> list[Any]:
    return [folder.ignore_label, folder.merge_masks] if isinstance(folder, ReadAs) else [None, False]


def describe(comparison: Comparison, cell: Cell, network: torch.nn.Module) -> dict[str, Any] | None:
    """All that decides the result of a training on clean files; None if the package does not know all of it.

    Networks and defenses of other programs, whose code may change under the same name, are not known.

    Args:
        comparison: what the training belongs to.
        cell: which training.
        network: its network, untrained.
    """
    matrix, files, facts = comparison.matrix, comparison.files, comparison.facts
    defense = matrix.entries[cell.defense].make(facts.eps)
    if not all(map(_is_ours, [*_parts(defense), *network.modules()])):
        return None
    usual = inspect.signature(train_exploiter).parameters
    trained = cell.data != "untrained"
    defenses = [[type(part).__qualname__, sorted(map(repr, vars(part).items()))] for part in _parts(defense)]
    chosen, needs = set(facts.ids), defense.needs if trained else frozenset()
    foreign = digest_of(find_cases(comparison.foreign_dir, "train")) if "foreign" in needs else {}
    about = {
        "cell": asdict(cell),
        "defense": defenses,
        "network": hashlib.sha256(repr(network).encode()).hexdigest(),
        "recipe": {**{name: usual[name].default for name in _RECIPE}, **matrix.recipe} if trained else {},
        "grid": files.grid,
        "num_classes": files.num_classes,
        "intensity_window": files.intensity_window,
        "slice_axis": files.slice_axis,
        "reading": [_reading(files.clean_dir), _reading(files.test_dir)],
        "train": [[id, digest] for id, digest in facts.clean_digests.items() if id in chosen] if trained else [],
        "test": list(facts.test_digests.items()),
        "foreign": list(foreign.items()),
        "eps": facts.eps if "eps" in needs else None,
        "software": _software(),
        "hardware": _hardware(matrix.device),
    }
    known: dict[str, Any] = json.loads(json.dumps(about))  # as it is read again
    return known


def _file(folder: Path, about: dict[str, Any]) -> Path:
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return folder / "ceilings" / f"{name}.json"


def recall(folder: Path, about: dict[str, Any]) -> Ceiling | None:
    """What an earlier run has kept; None if there is nothing, or, with a warning, if it is damaged."""
    path = _file(folder, about)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["format"] != FORMAT or kept["about"] != about:
            raise ValueError("it is about another training")
        pictures = {id: base64.b64decode(text, validate=True) for id, text in kept["pictures"].items()}
        return Ceiling(CellResult.parse(kept["result"]), pictures)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"warning: {path} is ignored ({type(error).__name__}: {error}) and computed again", file=sys.stderr)
        return None


def keep(folder: Path, about: dict[str, Any], ceiling: Ceiling) -> None:
    """Keep a training for later runs, for the eyes of this user alone; where that fails, warn."""
    path = _file(folder, about)
    pictures = {id: base64.b64encode(picture).decode() for id, picture in ceiling.pictures.items()}
    entry = {"format": FORMAT, "about": about, "result": ceiling.result.content(), "pictures": pictures}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, json.dumps(entry).encode(), private=True)
    except OSError as error:
        print(f"warning: {path} could not be written ({error}); later runs train again", file=sys.stderr)
