"""What a benchmark runs: protectors times datasets, each with a matrix of trainings."""

from __future__ import annotations

from collections import Counter
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from ...functional.eps import check_eps
from ..plan import Matrix
from .variants import ProtectorSpec, read_protector


@dataclass(frozen=True)
class Benchmark(Matrix):
    """Everything that decides the result of a benchmark.

    Args:
        datasets: folders with a training and a test section; each goes by its last name.
        protectors: see :func:`monai_umed.evaluation.benchmark.variants.read_protector`.
        eps: limit of every protector, a share of the [0, 1] window.
        psnr: if given, every protector is compared a second time, with its eps such that files have this mean PSNR in
            dB.
        bound: of protectors that name none; None for their own.
        grid: grid of fits and trainings; None for what each dataset suggests.

    Raises:
        ValueError: If a name is unknown or comes twice, a number is out of range, or a defense needs other images.
    """

    datasets: tuple[str, ...]
    protectors: tuple[str, ...]
    _: KW_ONLY
    exploiters: tuple[str, ...] = ("unet-batch",)
    defenses: tuple[str, ...] = ("none", "blur-1.0", "jpeg-60")
    seeds: tuple[int, ...] = (0,)
    eps: float = 4 / 255
    psnr: float | None = None
    bound: str | None = None
    grid: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("datasets", "protectors"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; give at least one of {name}.")
        check_eps(self.eps)
        if self.psnr is not None and not 20 <= self.psnr <= 80:
            raise ValueError(f"psnr is {self.psnr}; it must be from 20 to 80 dB.")
        for name, entry in self.entries.items():
            if {"foreign", "foreign_protected"} & entry.make(self.eps).needs:
                raise ValueError(
                    f"The defense {name!r} brings images of another dataset along, which a benchmark does not hand "
                    "out; leave it out, or audit a single release."
                )
        for kind, names in (
            ("protector", [spec.name for spec in self.specs]),
            ("dataset", [Path(folder).resolve().name for folder in self.datasets]),
        ):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise ValueError(f"Two of the {kind}s go by the name {twice[0]!r}; name each once.")

    @property
    def specs(self) -> list[ProtectorSpec]:
        """The protectors."""
        return [read_protector(text, self.bound) for text in self.protectors]

    @property
    def folders(self) -> dict[str, str]:
        """Folder of every dataset by the name that it goes by."""
        return {Path(folder).resolve().name: str(Path(folder).resolve()) for folder in self.datasets}

    @property
    def budgets(self) -> list[float | None]:
        """None for equal eps, else the PSNR that all have in common."""
        return [None] if self.psnr is None else [None, self.psnr]
