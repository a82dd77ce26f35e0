"""The smoke detector at the end of a fit: one network trained on clean and one on protected files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..data.cases import Section
from ..data.manifest import MANIFEST, Manifest
from ..data.training_set import Layout, TrainingSet, load_training_set
from ..data.two_folders import DatasetDir, as_dataset
from ..exploiters.registry import build_exploiter
from ..exploiters.train import train_exploiter
from ..io.atomic import write_json
from ..io.stored import IntensityWindow
from ..training.metrics import evaluate

EXPLOITER = "unet-batch"


def train_reference(
    train: TrainingSet,
    *,
    seed: int = 0,
    num_classes: int = 2,
    device: str | torch.device = "cpu",
    **recipe: Any,
) -> torch.nn.Module:
    """Train the reference exploiter, a U-Net with batch normalization.

    Args:
        train: what it learns from.
        seed: of weights and order of cases.
        num_classes: classes, background included.
        device: where to train.
        recipe: further arguments of :func:`monai_umed.exploiters.train.train_exploiter`.
    """
    grid = tuple(train.items[0]["image"].shape[1:])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_exploiter(
            EXPLOITER, train.in_channels, num_classes=num_classes, spatial_dims=len(grid), image_size=grid
        )
    return train_exploiter(network, train.items, num_classes=num_classes, seed=seed, device=device, **recipe)


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
    **recipe: Any,
) -> dict[str, float | None]:
    """One exploiter trained on the clean and one on the protected files, both tested on clean files.

    One network and one seed: a smoke detector, not an audit.

    Args:
        dataset_dir: the clean dataset; its test section is what both are tested on.
        protected_dir: the protected copy of its training section.
        grid: grid that the exploiters train on.
        output_file: where ``clean_dice``, ``protected_dice``, ``psnr`` and ``ssim`` go.
        seed: of weights and order of cases.
        num_classes: classes, background included.
        intensity_window: intensities that map to 0 and 1, see :func:`monai_umed.data.codec.read_image`.
        device: where to train.
        progress: whether to show progress bars.
        slice_axis: across which volumes are cut into slices, for networks that see images.
        recipe: further arguments of :func:`monai_umed.exploiters.train.train_exploiter`.

    Returns:
        What was written.
    """

    def load(folder: DatasetDir, section: Section, layout: Layout = "patches") -> TrainingSet:
        return load_training_set(
            folder,
            grid,
            section=section,
            protector=None,
            num_classes=num_classes,
            intensity_window=intensity_window,
            num_workers=2,
            progress=progress,
            slice_axis=slice_axis,
            layout=layout,
        )

    test = load(dataset_dir, "test", "whole")
    sliding = grid if test.items[0]["image"].ndim == 4 else None
    manifest = Manifest.load(Path(protected_dir) / MANIFEST)
    figures: dict[str, float | None] = {}
    sources: list[tuple[str, DatasetDir, Section]] = [
        ("clean", dataset_dir, "train"),
        (
            "protected",
            as_dataset(protected_dir, ignore_label=manifest.ignore_label, merge_masks=manifest.merges_masks),
            "all",
        ),
    ]
    for name, folder, section in sources:
        training = {"title": f"train on {name} files", "progress": progress, **recipe}
        network = train_reference(load(folder, section), seed=seed, num_classes=num_classes, device=device, **training)
        scores = evaluate(
            network, test.items, num_classes=num_classes, device=device, roi_size=sliding, slice_axis=slice_axis
        )
        figures[f"{name}_dice"] = scores.dice
    figures |= manifest.mean_fidelity()
    write_json(output_file, figures)
    psnr = "unchanged" if figures["psnr"] is None else f"{figures['psnr']:.2f} dB"
    print(
        f"Quick check on {len(test.items)} clean test images (UNet, batch normalization, seed {seed}):\n"
        f"  trained on the clean files:     Dice {figures['clean_dice']:.3f}\n"
        f"  trained on the protected files: Dice {figures['protected_dice']:.3f}\n"
        f"  protected files: PSNR {psnr}, SSIM {figures['ssim']:.4f}\n"
        f"  figures: {output_file}"
    )
    return figures
