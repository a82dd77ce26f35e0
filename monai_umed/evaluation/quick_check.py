"""The smoke detector at the end of a fit: two networks trained on clean and on protected files, and what they say."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch

from ..data.manifest import MANIFEST, Manifest
from ..data.training_set import TrainingSet
from ..data.two_folders import DatasetDir, as_dataset, places_of
from ..defenses import Materials, defense_entry
from ..exploiters.registry import build_exploiter, encoder_of
from ..exploiters.train import train_exploiter
from ..io.atomic import write_json
from ..io.provenance import source_version
from ..io.run_folder import claim_output
from ..io.stored import IntensityWindow
from ..training.distributed import rank_count
from .audit.verdict import LIMIT, WEAK_CEILING
from .folders import Files, check_folders
from .plan import Cell, Matrix
from .results import Comparison
from .runner import run_cells
from .workers import orderly_end, without_main


@dataclass(frozen=True)
class Exploiter:
    """Somebody who trains on whatever files there are.

    Attributes:
        network: name of a network.
        defense: what is done to the files, a name of :data:`monai_umed.defenses.DEFENSES` or several.
        does: the same in words.
        shown: network and defense in words.
    """

    network: str
    defense: str
    does: str
    shown: str


PLAIN = Exploiter("unet-batch", "none", "just trains", "U-Net, batch normalization, no augmentation")
AUGMENTING = Exploiter(
    "unet-instance", "flips+affine", "augments", "U-Net, instance normalization, flips, turns, zooms"
)


def train_reference(
    train: TrainingSet,
    exploiter: Exploiter = PLAIN,
    *,
    seed: int = 0,
    num_classes: int = 2,
    device: str | torch.device = "cpu",
    **recipe: Any,
) -> torch.nn.Module:
    """Train what an exploiter trains.

    Args:
        train: what it learns from.
        exploiter: by default a U-Net with batch normalization and nothing else.
        seed: of weights, order of cases and augmentation.
        num_classes: classes, background included.
        device: where to train.
        recipe: further arguments of :func:`monai_umed.exploiters.train.train_exploiter`.
    """
    grid = tuple(train.items[0]["image"].shape[1:])
    build = partial(
        build_exploiter,
        *(exploiter.network, train.in_channels),
        num_classes=num_classes,
        spatial_dims=len(grid),
        image_size=grid,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build()
    learn: Callable[..., torch.nn.Module] = partial(
        train_exploiter, num_classes=num_classes, seed=seed, device=device, **recipe
    )
    materials = Materials(build, learn, encoder_of(exploiter.network), seed=seed)
    defense = defense_entry(exploiter.defense).make(materials.eps)
    return learn(network, train.items, defense=defense, materials=materials)


def judge(plain: tuple[float, float], augmented: tuple[float, float]) -> str:
    """One sentence on what two exploiters learn.

    Args:
        plain: Dice of the one who just trains, after the clean and after the protected files.
        augmented: the same of the one who augments.
    """
    pairs = ((PLAIN.does, plain), (AUGMENTING.does, augmented))
    if weak := [f"who {who} reaches Dice {clean:.2f}" for who, (clean, _) in pairs if clean < WEAK_CEILING]:
        return (
            f"Nothing was shown: an exploiter {' and one '.join(weak)} on the clean files, too little to compare with."
        )
    shares = [(who, protected / clean) for who, (clean, protected) in pairs]
    won = [f"who {who} learns {share:.0%}".replace("%", " %") for who, share in shares if share > LIMIT]
    if won:
        against = "them" if len(won) == 1 else "either"
        return f"An exploiter {', one '.join(won)} of what the clean files teach: not protected against {against}."
    low = ", one ".join(f"who {who} learns {share:.0%}".replace("%", " %") for who, share in shares)
    return f"An exploiter {low} of what the clean files teach: protected against these two, which is not all there is."


def quick_check(
    dataset_dir: DatasetDir,
    protected_dir: str | Path,
    *,
    grid: Sequence[int],
    output_file: str | Path,
    seed: int = 0,
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
    device: str | torch.device = "cpu",
    progress: bool = True,
    slice_axis: int | None = None,
    cache: Path | None = None,
    **recipe: Any,
) -> dict[str, float | str | None]:
    """Two exploiters trained on the clean and on the protected files, all tested on clean files.

    One just trains a network with batch normalization, as the literature does; the other flips, turns and zooms, with
    instance normalization, as most people do. One seed: a smoke detector, not an audit.

    Args:
        dataset_dir: the clean dataset; its test section is what all are tested on.
        protected_dir: the protected copy of its training section.
        grid: grid that the exploiters train on.
        output_file: where the figures go: ``clean_dice`` and ``protected_dice`` of the one who just trains,
            ``augmented_clean_dice`` and ``augmented_protected_dice`` of the other, means of their last three epochs;
            ``psnr``, ``ssim`` and the ``verdict``, a sentence.
        seed: of weights, order of cases and augmentation.
        num_classes: classes, background included.
        intensity_window: intensities that map to 0 and 1, see :func:`monai_umed.data.codec.read_image`.
        device: where to train.
        progress: whether to show progress bars.
        slice_axis: across which volumes are cut into slices, for networks that see images.
        cache: folder of trainings on clean files that runs on this machine share; None for none.
        recipe: further arguments of :func:`monai_umed.exploiters.train.train_exploiter`.

    Returns:
        What was written.
    """
    manifest = Manifest.load(Path(protected_dir) / MANIFEST)
    files = Files(
        as_dataset(protected_dir, ignore_label=manifest.ignore_label, merge_masks=manifest.merges_masks),
        dataset_dir,
        test_dir=dataset_dir,
        grid=tuple(grid),
        num_classes=num_classes,
        intensity_window=intensity_window,
        slice_axis=slice_axis,
    )
    matrix = Matrix(
        exploiters=(PLAIN.network, AUGMENTING.network),
        defenses=(PLAIN.defense, AUGMENTING.defense),
        seeds=(seed,),
        recipe=recipe,
        device=str(device),
    )
    facts = check_folders(files, least_tests=1)
    folder = _claim_folder(Path(output_file).with_suffix(".unfinished"), [files, matrix, facts.digest])
    comparison = Comparison(matrix, files, facts, folder, cache=cache)
    plain, augmented = _train_all(comparison, progress)
    rmtree(folder)
    fidelity, verdict = manifest.mean_fidelity(), judge(plain, augmented)
    figures: dict[str, float | str | None] = {"clean_dice": plain[0], "protected_dice": plain[1]}
    figures |= {"augmented_clean_dice": augmented[0], "augmented_protected_dice": augmented[1], **fidelity}
    figures["verdict"] = verdict
    write_json(output_file, figures)
    psnr = "unchanged" if fidelity["psnr"] is None else f"{fidelity['psnr']:.2f} dB"
    lines = [
        f"Quick check on {len(facts.test_ids)} clean test images, seed {seed}; "
        "Dice, trained on clean -> protected files:",
        *(
            f"  {exploiter.shown + ':':<52} {dice[0]:.3f} -> {dice[1]:.3f}"
            for exploiter, dice in ((PLAIN, plain), (AUGMENTING, augmented))
        ),
        f"  protected files: PSNR {psnr}, SSIM {fidelity['ssim']:.4f}",
        verdict,
        *_next_steps(dataset_dir, protected_dir),
        f"Figures: {output_file}",
    ]
    print("\n".join(lines))
    return figures


def _claim_folder(folder: Path, settings: list[Any]) -> Path:
    """The folder of finished trainings, which an interrupted run finds again; those of other settings are gone."""
    record = {"settings": repr(settings), "version": source_version()}
    try:
        return claim_output(folder, record)
    except ValueError:
        rmtree(folder)
        return claim_output(folder, record)


def _train_all(comparison: Comparison, progress: bool) -> list[tuple[float, float]]:
    """Dice of both exploiters, trained on clean and on protected files.

    Each CPU core has a process, at most one for each training; with a GPU or under ``torchrun`` there is one in all.
    Several have one thread each, so that their number decides about the time alone, not about the figures.
    """
    [seed] = comparison.matrix.seeds
    pairs = [
        [Cell(exploiter.network, exploiter.defense, data, seed) for data in ("clean", "protected")]
        for exploiter in (PLAIN, AUGMENTING)
    ]
    cells = [cell for pair in pairs for cell in pair]
    workers = 1 if rank_count() > 1 else None
    with orderly_end():
        failed = run_cells(
            comparison,
            cells,
            workers=workers,
            threads=1,
            progress=progress,
            title="quick check",
            starting=without_main,
        )
    for cell, reason in failed.items():
        raise RuntimeError(f"The quick check could not train {cell.name}: {reason}")
    return [(_dice(comparison, clean), _dice(comparison, protected)) for clean, protected in pairs]


def _dice(comparison: Comparison, cell: Cell) -> float:
    result = comparison.result(cell)
    if result is None:
        raise RuntimeError(f"{comparison.result_file(cell)} was removed during the run.")
    return result.scores.dice


def _next_steps(dataset_dir: DatasetDir, protected_dir: str | Path) -> list[str]:
    images, labels = places_of(dataset_dir)
    data = shlex.quote(images) + (f" --labels {shlex.quote(labels)}" if labels else "")
    return [
        "Next:",
        f"  what this dataset can have: monai-umed advise {data}",
        f"  what else exploiters may do: monai-umed audit {shlex.quote(str(protected_dir))} --clean {data} "
        f"--test {shlex.quote(images)}",
    ]
