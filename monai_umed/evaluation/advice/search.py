"""Climb the ladder from the least visible setting until one holds, the most dangerous exploiters first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...data.manifest import MANIFEST, Manifest
from ...data.two_folders import DatasetDir
from ...io.stored import IntensityWindow
from ..audit.plan import COLOR_DEFENSES
from ..audit.verdict import WEAK_CEILING
from ..folders import Files, check_folders
from ..plan import Cell, Matrix
from ..progress import Estimate
from ..results import Comparison
from ..runner import run_cells
from .record import Learned, Setting, Trial

EXPLOITERS: tuple[tuple[str, str], ...] = (
    ("unet-instance", "flips+affine"),
    ("unet-instance", "blur-2.0"),
    ("unet-instance", "random-crop"),
    ("unet-instance", "jpeg-30"),
    ("unet-instance", "none"),
    ("unet-batch", "none"),
)
"""Network and defense; those first that are known to do best."""

COLOR_EXPLOITERS: tuple[tuple[str, str], ...] = tuple(("unet-instance", defense) for defense in COLOR_DEFENSES)
"""Those who try as well where images have three channels."""

LEVELS = (4, 6, 8, 12)
"""Largest changes of the ladder, in 1/255 of the window."""

COARSER = 8
"""Level from which on the pattern is that of the presets ``medium`` and ``strong``."""


def choose_exploiters(channels: int, accept: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """Return those who try on images of so many channels, without the defenses that may win."""
    everybody = EXPLOITERS + (COLOR_EXPLOITERS if channels == 3 else ())
    return tuple((network, defense) for network, defense in everybody if defense not in accept)


def make_ladder(channels: int, levels: Sequence[int] = LEVELS) -> list[list[Setting]]:
    """Settings in order of their largest change: rungs, less visible ones first."""

    def presets(level: int) -> list[str]:
        fitted = "default" if level < COARSER else "strong"  # with its pattern; its eps is the level
        return ["stamp", fitted, *(["tint"] if channels > 1 else [])]  # one channel cannot have a flat color

    return [
        [Setting(f"{preset}-{level}", {"preset": preset, "eps": f"{level}/255"}) for preset in presets(level)]
        for level in levels
    ]


@dataclass(frozen=True, kw_only=True)
class Search:
    """What the trials of all settings share.

    Attributes:
        ladder: see :func:`make_ladder`.
        make: writes the protected copy of the training part for a setting and returns its folder.
        matrix: how exploiters train.
        exploiters: network and defense of each.
        fold: training part and held-out cases as the sections of a dataset.
        grid, num_classes, intensity_window, slice_axis: see :class:`monai_umed.evaluation.folders.Files`.
        folder: where the results of trainings go.
        target: largest share of the clean ceiling that an exploiter may reach.
        min_psnr: dB below which a setting is too visible to be tried.
        cache: folder of trainings on clean files that runs on this machine share; None for none.
        as_released: names a protected folder as a dataset, with the value of labels that is no class.
        progress: whether to show progress bars.
    """

    ladder: list[list[Setting]]
    make: Callable[[Setting], Path]
    matrix: Matrix
    exploiters: tuple[tuple[str, str], ...]
    fold: DatasetDir
    grid: tuple[int, ...]
    num_classes: int
    intensity_window: IntensityWindow | None
    slice_axis: int | None
    folder: Path
    target: float
    min_psnr: float
    cache: Path | None
    as_released: Callable[[Path], DatasetDir]
    progress: bool = True

    def climb(self) -> list[Trial]:
        """Try settings until the first rung on which one holds or all are too visible.

        Raises:
            RuntimeError: If a training failed; holds the reason.
        """
        settings = sum(map(len, self.ladder))
        estimate = Estimate(
            len(self.exploiters) * (1 + settings),
            at_once=1,
            at_most=True,
            more=f", and {settings} protected copies to write; a setting is left as soon as it fails, so most runs are "
            "much shorter",
        )
        estimate.begin()
        danger = dict.fromkeys(self.exploiters, 0.0)
        trials: list[Trial] = []
        for rung in self.ladder:
            here = [self._try(setting, danger, estimate) for setting in rung]
            trials += here
            if any(trial.holds for trial in here) or all(self._is_too_visible(trial.psnr) for trial in here):
                break
        return trials

    def _try(self, setting: Setting, danger: dict[tuple[str, str], float], estimate: Estimate) -> Trial:
        protected = self.make(setting)
        fidelity = Manifest.load(protected / MANIFEST).mean_fidelity()
        psnr = fidelity["psnr"]
        if self._is_too_visible(psnr):
            return Trial(setting, psnr, fidelity["ssim"], (), holds=False)
        files = Files(
            self.as_released(protected),
            self.fold,
            test_dir=self.fold,
            grid=self.grid,
            num_classes=self.num_classes,
            intensity_window=self.intensity_window,
            slice_axis=self.slice_axis,
        )
        place = self.folder / "trainings"
        comparison = Comparison(self.matrix, files, check_folders(files), place / setting.name, cache=self.cache)
        # Ceilings are of clean files alone: one folder for all settings.
        ceilings = replace(comparison, output_dir=place / "clean")
        learned = []
        for exploiter, defense in sorted(danger, key=lambda who: -danger[who]):
            clean = self._dice(ceilings, Cell(exploiter, defense, "clean", self.matrix.seeds[0]), estimate)
            if clean < WEAK_CEILING:
                continue
            dice = self._dice(comparison, Cell(exploiter, defense, "protected", self.matrix.seeds[0]), estimate)
            learned.append(Learned(exploiter, defense, dice, clean))
            danger[exploiter, defense] = max(danger[exploiter, defense], learned[-1].fraction)
            if learned[-1].fraction > self.target:
                break
        holds = bool(learned) and all(entry.fraction <= self.target for entry in learned)
        return Trial(setting, psnr, fidelity["ssim"], tuple(learned), holds)

    def _is_too_visible(self, psnr: float | None) -> bool:
        return psnr is not None and psnr < self.min_psnr

    def _dice(self, comparison: Comparison, cell: Cell, estimate: Estimate) -> float:
        title = f"advise, {comparison.output_dir.name}"
        failures = run_cells(comparison, [cell], workers=1, progress=self.progress, title=title, estimate=estimate)
        result = comparison.result(cell)
        if result is None:
            raise RuntimeError(f"{cell.name} of {comparison.output_dir.name}: {failures.get(cell, 'no result')}")
        return result.scores.dice
