"""What a benchmark runs: protectors times datasets times exploiters times defenses times seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...defenses import defense_entry
from ...exploiters.registry import canonical_name
from ...functional import check_eps
from ..plan import Cell, with_controls
from .variants import CLEAN, Variant, read_variant


@dataclass(frozen=True)
class Plan:
    """Everything that decides the result of a benchmark.

    Args:
        datasets: folders with a training and a test section; each goes by its last name.
        protectors: see :func:`monai_umed.evaluation.benchmark.variants.read_variant`.
        exploiters: names of networks.
        defenses: names of defenses; ``"none"`` is always among them.
        seeds: of the exploiters, one training each.
        eps: limit of every protector, a share of the [0, 1] window.
        psnr: if given, every protector is compared a second time, with its eps such that files have this mean PSNR in
            dB.
        bound: of protectors that name none; None for their own.
        size: grid of fits and trainings; None for what each dataset suggests.
        network_size: ``"small"`` or ``"paper"``, of the exploiters.
        recipe: arguments of :func:`monai_umed.exploiters.train.train_exploiter`.
        device: where exploiters are trained.

    Raises:
        ValueError: if a name is unknown or comes twice, a number is out of range, or a defense needs other images.
    """

    datasets: tuple[str, ...]
    protectors: tuple[str, ...]
    exploiters: tuple[str, ...] = ("unet-batch",)
    defenses: tuple[str, ...] = ("none", "blur-1.0", "jpeg-60")
    seeds: tuple[int, ...] = (0,)
    eps: float = 4 / 255
    psnr: float | None = None
    bound: str | None = None
    size: tuple[int, ...] | None = None
    network_size: str = "small"
    recipe: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("datasets", "protectors", "exploiters", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"A benchmark needs at least one of {name}.")
        check_eps(self.eps)
        if self.psnr is not None and not 20 <= self.psnr <= 80:
            raise ValueError(f"psnr is {self.psnr}; it must be from 20 to 80 dB.")
        for name in self.defenses:
            foreign = {"foreign", "foreign_protected"} & set(defense_entry(name).make(self.eps).needs)
            if foreign:
                raise ValueError(
                    f"The defense {name!r} brings images of another dataset along, which a benchmark does not hand "
                    "out; leave it out, or audit a single release."
                )
        object.__setattr__(self, "exploiters", tuple(dict.fromkeys(map(canonical_name, self.exploiters))))
        object.__setattr__(self, "defenses", with_controls(self.defenses))
        for kind, names in (
            ("protector", [variant.name for variant in self.variants]),
            ("dataset", [Path(folder).resolve().name for folder in self.datasets]),
        ):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise ValueError(f"Two of the {kind}s go by the name {twice[0]!r}; name each once.")

    @property
    def variants(self) -> list[Variant]:
        """The protectors."""
        return [read_variant(text, self.bound) for text in self.protectors]

    @property
    def places(self) -> dict[str, str]:
        """Folder of every dataset by the name that it goes by."""
        return {Path(folder).resolve().name: str(Path(folder).resolve()) for folder in self.datasets}

    @property
    def budgets(self) -> list[float | None]:
        """None for equal eps, else the PSNR that all have in common."""
        return [None] if self.psnr is None else [None, self.psnr]

    def cells(self) -> list[Cell]:
        """Trainings on the files of one protector."""
        return self._cells("protected", self.defenses)

    def ceilings(self) -> list[Cell]:
        """Trainings on clean files, which all protectors share."""
        return self._cells(CLEAN, [name for name in self.defenses if defense_entry(name).own_ceiling])

    def ceiling_of(self, cell: Cell) -> Cell:
        """What a training on protected files is compared with."""
        defense = cell.defense if defense_entry(cell.defense).own_ceiling else "none"
        return Cell(cell.exploiter, defense, CLEAN, cell.seed)

    def _cells(self, data: str, defenses: Sequence[str]) -> list[Cell]:
        return [
            Cell(exploiter, name, data, seed)
            for seed in self.seeds
            for name in defenses
            for exploiter in self.exploiters
        ]
