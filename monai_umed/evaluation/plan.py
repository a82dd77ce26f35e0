"""What is trained: every exploiter under every defense with every seed, on protected and on clean files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..defenses import defense_entry
from ..defenses.registry import Entry
from ..exploiters.registry import canonical_name, check_exploiter


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        exploiter: name of a network, see :mod:`monai_umed.exploiters.architectures`.
        defense: name of a defense, several joined by ``+``.
        data: ``"protected"`` or ``"clean"`` files; ``"untrained"`` for no training at all; ``"protected-half"`` and
            ``"clean-half"`` for every other case, scored on the other half.
        seed: of the weights, of the order of the cases and of what the defense draws.
    """

    exploiter: str
    defense: str
    data: str
    seed: int

    @property
    def name(self) -> str:
        """Where the cell's result lies, relative to the folder of the cells, without ending."""
        return f"{self.exploiter}/{self.defense}/{self.data}_{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The settings of trainings, which an audit and a benchmark have in common.

    Args:
        exploiters: names of networks.
        defenses: names of defenses; ``"none"`` is always among them.
        seeds: one training each.
        network_size: ``"small"`` or ``"paper"``.
        recipe: arguments of :func:`monai_umed.exploiters.train.train_exploiter`.
        device: where to train.

    Raises:
        ValueError: If an exploiter or a defense does not exist (the nearest name is offered), or there is none.
    """

    exploiters: tuple[str, ...]
    defenses: tuple[str, ...]
    seeds: tuple[int, ...]
    network_size: str = "small"
    recipe: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("exploiters", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; give at least one of {name}.")
        object.__setattr__(self, "exploiters", tuple(dict.fromkeys(map(canonical_name, self.exploiters))))
        object.__setattr__(self, "defenses", with_controls(self.defenses))

    @property
    def entries(self) -> dict[str, Entry]:
        """The defenses by name."""
        return {name: defense_entry(name) for name in self.defenses}

    def cells_on(self, *data: str) -> list[Cell]:
        """Trainings on these kinds of files, those first that say most; on clean files where they are a ceiling."""
        return [
            Cell(exploiter, name, kind, seed)
            for seed in self.seeds
            for name, entry in self.entries.items()
            for exploiter in self.exploiters
            for kind in data
            if kind == "protected" or entry.own_ceiling
        ]

    def ceiling_of(self, cell: Cell) -> Cell:
        """What a training on protected files is compared with."""
        defense = cell.defense if defense_entry(cell.defense).own_ceiling else "none"
        return Cell(cell.exploiter, defense, "clean", cell.seed)

    def check_grid(self, grid: tuple[int, ...]) -> None:
        """Refuse a grid that one of the networks cannot take; better now than in the middle of the night.

        Raises:
            ValueError: names the network and what it needs.
        """
        for exploiter in self.exploiters:
            for entry in self.entries.values():
                check_exploiter(exploiter, self.network_size, entry.make(4 / 255).grid(grid))


def with_controls(defenses: Sequence[str]) -> tuple[str, ...]:
    """Defenses in order and once each, with ``"none"`` first and the control of each that needs one after it."""
    names = ["none"]
    for name in defenses:
        entry = defense_entry(name)
        names += [name] if entry.compare_with is None else [name, entry.compare_with]
    return tuple(dict.fromkeys(names))
