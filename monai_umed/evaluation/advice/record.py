"""What advice says and what it rests on, as ``advice.json`` holds it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...io.atomic import write_json

ADVICE = "advice.json"


@dataclass(frozen=True)
class Setting:
    """A rung of the ladder.

    Attributes:
        name: for people and folders.
        options: what `protect` is told, by the names of :class:`monai_umed.workflows.options.FitOptions`.
    """

    name: str
    options: dict[str, str]

    @property
    def arguments(self) -> str:
        """The same as options of the command line."""
        return " ".join(f"--{name} {value}" for name, value in self.options.items())


@dataclass(frozen=True)
class Learned:
    """What an exploiter learns; Dice on the held-out cases, means of the last three epochs.

    Attributes:
        exploiter, defense: see :class:`monai_umed.evaluation.plan.Cell`.
        protected: after training on the protected files.
        clean: after the same training on the clean files.
    """

    exploiter: str
    defense: str
    protected: float
    clean: float

    @property
    def fraction(self) -> float:
        """Share of what the clean files teach."""
        return self.protected / self.clean

    @property
    def who(self) -> str:
        """The exploiter in words."""
        return self.exploiter + (" that just trains" if self.defense == "none" else f" with {self.defense}")


@dataclass(frozen=True)
class Trial:
    """A setting and what became of it.

    Attributes:
        setting: which.
        psnr, ssim: means over the files; ``psnr`` in dB, None if nothing changed.
        learned: exploiters in the order in which they tried; after one who learned too much nobody else did.
        holds: whether all of them tried and none learned more than the target.
    """

    setting: Setting
    psnr: float | None
    ssim: float | None
    learned: tuple[Learned, ...]
    holds: bool


@dataclass(frozen=True)
class Advice:
    """Which setting to protect with, and why.

    Attributes:
        target: largest share of the clean ceiling that an exploiter may reach.
        min_psnr: dB that files must have.
        cases: digest of the names of the training section that it is about.
        train_cases, held_out: how many cases exploiters trained on and were tested on.
        trials: one per setting that was tried, less visible ones first.
        chosen: the least visible setting that holds; None if there is none.
        verdict: the same in words.
        warnings: what makes the advice say less than it seems to.
        version: of this package.
    """

    target: float
    min_psnr: float
    cases: str
    train_cases: int
    held_out: int
    trials: tuple[Trial, ...]
    chosen: Setting | None
    verdict: str
    warnings: tuple[str, ...]
    version: str

    def write(self, folder: Path) -> None:
        """Write ``advice.json``."""
        write_json(folder / ADVICE, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Advice:
        """Read what :meth:`write` wrote, by its folder or its file.

        Raises:
            ValueError: If there is no such file, or it is damaged.
        """
        file = path / ADVICE if path.is_dir() else path
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            trials = tuple(_parse_trial(trial) for trial in kept["trials"])
            chosen = None if kept["chosen"] is None else Setting(**kept["chosen"])
            return cls(**{**kept, "trials": trials, "chosen": chosen, "warnings": tuple(kept["warnings"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} holds no advice ({error}); run `monai-umed advise` again.") from error


def _parse_trial(kept: dict[str, Any]) -> Trial:
    learned = tuple(Learned(**entry) for entry in kept["learned"])
    return Trial(**{**kept, "setting": Setting(**kept["setting"]), "learned": learned})
