"""What an audit runs: exploiters times defenses times seeds, on protected and on clean files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..defenses import DEFENSES, defense_entry
from ..exploiters.registry import canonical_name, check_exploiter, exploiter_names

MIN_TEST_CASES = 10

PRESETS: dict[str, dict[str, tuple]] = {
    # A first answer: three networks, the cheapest defenses, one seed.
    "quick": {
        "exploiters": ("unet-batch", "unet-instance", "transunet-batch"),
        "defenses": ("none", "random-crop", "blur-1.0", "blur-2.0", "jpeg-60", "nnunet"),
        "seeds": (0,),
    },
    # Everything that this version knows.
    "full": {
        "exploiters": tuple(exploiter_names()),
        "defenses": tuple(DEFENSES),
        "seeds": (0, 1, 2),
    },
}


def preset(name: str) -> dict[str, tuple]:
    """Exploiters, defenses and seeds of a preset.

    Raises:
        ValueError: if there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}, must be one of {', '.join(PRESETS)}.")
    return PRESETS[name]


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
        """Where the cell's result lies, relative to the audit's folder, without ending."""
        return f"{self.exploiter}/{self.defense}/{self.data}_{self.seed}"


@dataclass(frozen=True)
class Audit:
    """Everything that decides the result of an audit.

    Args:
        protected_dir: the files under test, a folder as in :func:`monai_umed.data.cases.find_cases`.
        clean_dir: their clean originals under the same names; others in the folder are ignored.
        test_dir: clean files on which networks are scored.
        test_section: ``"train"``, ``"test"`` or ``"all"`` of ``test_dir``.
        size: grid that exploiters train on; of volumes the window, two numbers if they are cut into slices.
        exploiters: names of networks.
        defenses: names of defenses; ``"none"`` is always among them.
        seeds: one training each.
        network_size: ``"small"`` or ``"paper"``.
        num_classes: classes, background included.
        window: intensities that map to 0 and 1, see :func:`monai_umed.data.codec.read_image`.
        foreign_dir: other public images, for exploiters that bring some; None for the phantom.
        recipe: arguments of :func:`monai_umed.exploiters.train.train_exploiter`.
        device: where to train.
        slice_axis: across which volumes are cut into slices, for networks that see images; None for other datasets.

    Raises:
        ValueError: if an exploiter or a defense does not exist (the nearest name is offered), or there is no seed.
    """

    protected_dir: str
    clean_dir: str
    test_dir: str
    test_section: str = "test"
    size: tuple[int, ...] = (128, 128)
    exploiters: tuple[str, ...] = PRESETS["quick"]["exploiters"]
    defenses: tuple[str, ...] = PRESETS["quick"]["defenses"]
    seeds: tuple[int, ...] = PRESETS["quick"]["seeds"]
    network_size: str = "small"
    num_classes: int = 2
    window: tuple[float, float] | None = None
    foreign_dir: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    slice_axis: int | None = None

    def __post_init__(self) -> None:
        if not self.seeds or not self.exploiters:
            raise ValueError("An audit needs at least one exploiter and one seed.")
        names = tuple(dict.fromkeys(canonical_name(name) for name in self.exploiters))
        object.__setattr__(self, "exploiters", names)
        object.__setattr__(self, "defenses", with_controls(self.defenses))
        for name in names:
            for entry in self.entries.values():  # fails here, not in the middle of the night
                check_exploiter(name, self.network_size, entry.make(4 / 255).grid(self.size))

    @property
    def entries(self) -> dict[str, Any]:
        """The defenses by name."""
        return {name: defense_entry(name) for name in self.defenses}

    def cells(self) -> list[Cell]:
        """All trainings, those first that say most."""
        cells = [
            Cell(exploiter, name, data, seed)
            for seed in self.seeds
            for name, entry in self.entries.items()
            for exploiter in self.exploiters
            for data in (("protected", "clean") if entry.own_ceiling else ("protected",))
        ]
        cells += [Cell(exploiter, "none", "untrained", seed) for exploiter in self.exploiters for seed in self.seeds]
        cells += [Cell(self.exploiters[0], "none", data, self.seeds[0]) for data in ("clean-half", "protected-half")]
        return cells


def with_controls(defenses: Sequence[str]) -> tuple[str, ...]:
    """Defenses in order and once each, with ``"none"`` first and the control of each that needs one after it."""
    names = ["none"]
    for name in defenses:
        entry = defense_entry(name)
        names += [name] if entry.compare_with is None else [name, entry.compare_with]
    return tuple(dict.fromkeys(names))
