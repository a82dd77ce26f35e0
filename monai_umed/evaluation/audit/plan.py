"""What an audit runs: the trainings of a matrix, floors without any training, and two on half of the cases."""

from __future__ import annotations

from dataclasses import dataclass

from ...defenses import DEFENSES
from ...exploiters.registry import exploiter_names
from ..folders import Files
from ..plan import Cell, Matrix

PRESETS: dict[str, dict[str, tuple]] = {
    # A first answer: three networks, the cheapest defenses, one seed. Defenses that helped most in
    # results/defenses.csv come first, so that an audit which stops when it is decided is decided early.
    "quick": {
        "exploiters": ("unet-batch", "unet-instance", "transunet-batch"),
        "defenses": ("none", "blur-2.0", "flips+affine", "nnunet", "random-crop", "jpeg-60", "blur-1.0"),
        "seeds": (0,),
    },
    # Everything that this version knows.
    "full": {
        "exploiters": tuple(exploiter_names()),
        "defenses": tuple(DEFENSES),
        "seeds": (0, 1, 2),
    },
}

COLOR_DEFENSES = ("grayscale", "color-jitter")
"""Further ones of the quick preset where images have three channels: a tint has these enemies."""


def preset(name: str, color: bool = False) -> dict[str, tuple]:
    """Exploiters, defenses and seeds of a preset.

    Args:
        name: of the preset.
        color: whether images have colors, which the quick preset has defenses for, too.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}, must be one of {', '.join(PRESETS)}.")
    chosen = PRESETS[name]
    extra = tuple(defense for defense in COLOR_DEFENSES if color and defense not in chosen["defenses"])
    return {**chosen, "defenses": chosen["defenses"] + extra}


@dataclass(frozen=True, kw_only=True)
class Audit(Matrix, Files):
    """Everything that decides the result of an audit.

    Args:
        foreign_dir: other public images, for exploiters that bring some; None for the phantom.

    Raises:
        ValueError: see :class:`monai_umed.evaluation.plan.Matrix`; or a network cannot take the grid.
    """

    exploiters: tuple[str, ...] = PRESETS["quick"]["exploiters"]
    defenses: tuple[str, ...] = PRESETS["quick"]["defenses"]
    seeds: tuple[int, ...] = PRESETS["quick"]["seeds"]
    foreign_dir: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_grid(self.grid)

    def cells(self) -> list[Cell]:
        """All trainings, those first that say most."""
        floors = [Cell(exploiter, "none", "untrained", seed) for exploiter in self.exploiters for seed in self.seeds]
        halves = [Cell(self.exploiters[0], "none", data, self.seeds[0]) for data in ("clean-half", "protected-half")]
        return self.cells_on("protected", "clean") + floors + halves
