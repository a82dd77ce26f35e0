"""Score a folder as training data: train exploiters on its files, test them on clean files, write the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from .data import Manifest, Section
from .exploiter import evaluate, train_exploiter, unet
from .protect import MANIFEST
from .training_set import TrainingSet, load_training_set


def score_exploiters(
    train: TrainingSet,
    test: TrainingSet,
    norms: Sequence[str] = ("batch", "instance"),
    seeds: Sequence[int] = (0,),
    num_classes: int = 2,
    device: str | torch.device = "cpu",
    title: str = "",
    **recipe: Any,
) -> list[dict]:
    """Train one U-Net per normalization and seed and score each on the test set.

    Args:
        train: what the exploiters have.
        test: clean images that they never saw.
        norms: normalization layers of the U-Nets.
        seeds: of weights and order of cases.
        num_classes: classes, background included.
        device: where to train.
        title: name of the training data, for progress bars and rows.
        recipe: further arguments of :func:`monai_umed.exploiter.train_exploiter`.

    Returns:
        One row per exploiter: what was trained, on how many cases, and its scores.
    """
    rows = []
    for norm in norms:
        for seed in seeds:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                network = unet(train.in_channels, num_classes, norm, train.items[0]["image"].ndim - 1)
            name = f"train on {title or 'folder'} ({norm}, seed {seed})"
            train_exploiter(network, train.items, num_classes, seed=seed, device=device, title=name, **recipe)
            scores = evaluate(network, test.items, device=device)
            rows.append(
                {
                    "training_data": title,
                    "exploiter": f"UNet, {norm} normalization",
                    "seed": seed,
                    "train_cases": len(train.items),
                    **asdict(scores),
                }
            )
    return rows


def summarize(rows: Sequence[dict]) -> list[dict]:
    """Mean and standard deviation over seeds of each exploiter on each training data."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["training_data"], row["exploiter"]), []).append(row)
    summary = []
    for (training_data, exploiter), members in groups.items():
        entry: dict[str, Any] = {"training_data": training_data, "exploiter": exploiter, "seeds": len(members)}
        for name in ("dice", "jaccard", "dice_per_image", "jaccard_per_image"):
            values = [member[name] for member in members]
            entry[name] = mean(values)
            entry[f"{name}_sd"] = stdev(values) if len(values) > 1 else None
        summary.append(entry)
    return summary


def write_json(path: str | Path, content: Any) -> None:
    """Write figures as readable JSON."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def mean_fidelity(protected_dir: str | Path) -> dict[str, float | None]:
    """Mean PSNR in dB and mean SSIM over the images of a protected folder, from its manifest."""
    cases = Manifest.load(Path(protected_dir) / MANIFEST).cases
    psnr = [case.psnr for case in cases if case.psnr is not None]
    return {"psnr": mean(psnr) if psnr else None, "ssim": mean(case.ssim for case in cases)}


def score_folder(
    dataset_dir: str | Path,
    test_dir: str | Path,
    size: Sequence[int],
    output_file: str | Path,
    section: Section = "all",
    test_section: Section = "test",
    norms: Sequence[str] = ("batch", "instance"),
    seeds: Sequence[int] = (0, 1, 2),
    num_classes: int = 2,
    window: tuple[float, float] | None = None,
    device: str | torch.device = "cpu",
    progress: bool = True,
    **recipe: Any,
) -> list[dict]:
    """Train exploiters on a folder of any origin, test them on clean files, print and write the figures.

    Args:
        dataset_dir: what the exploiters train on, protected or not.
        test_dir: clean dataset.
        size: grid that the exploiters train on.
        output_file: where all rows and their means go.
        section, test_section: parts of the two folders, see :func:`monai_umed.data.find_cases`.
        norms, seeds, num_classes, device, recipe: see :func:`score_exploiters`.
        window: intensities that map to 0 and 1, see :func:`monai_umed.data.read_image`.
        progress: whether to show progress bars.

    Returns:
        Means over seeds, one row per exploiter.
    """
    train = load_training_set(dataset_dir, size, section, None, num_classes, window, progress=progress)
    test = load_training_set(test_dir, size, test_section, None, num_classes, window, progress=progress)
    name = Path(dataset_dir).resolve().name
    rows = score_exploiters(train, test, norms, seeds, num_classes, device, name, progress=progress, **recipe)
    summary = summarize(rows)
    write_json(output_file, {"size": list(size), "recipe": recipe, "summary": summary, "rows": rows})
    print(f"Trained on {len(train.items)} files of {name}, tested on {len(test.items)} clean images:")
    for entry in summary:
        print(
            f"  {entry['exploiter']}, {entry['seeds']} seed(s): "
            f"Dice {entry['dice']:.3f} (per image {entry['dice_per_image']:.3f}), "
            f"Jaccard {entry['jaccard']:.3f} (per image {entry['jaccard_per_image']:.3f})"
        )
    print(f"  figures: {output_file}")
    return summary


def quick_check(
    dataset_dir: str | Path,
    protected_dir: str | Path,
    size: Sequence[int],
    output_file: str | Path,
    seed: int = 0,
    num_classes: int = 2,
    window: tuple[float, float] | None = None,
    device: str | torch.device = "cpu",
    progress: bool = True,
    **recipe: Any,
) -> dict[str, float | None]:
    """One exploiter trained on the clean and one on the protected files, both tested on clean files.

    One network and one seed: a smoke detector, not an audit.

    Args:
        dataset_dir: the clean dataset; its test section is what both are tested on.
        protected_dir: the protected copy of its training section.
        size: grid that the exploiters train on.
        output_file: where ``clean_dice``, ``protected_dice``, ``psnr`` and ``ssim`` go.
        seed: of weights and order of cases.
        num_classes: classes, background included.
        window: intensities that map to 0 and 1, see :func:`monai_umed.data.read_image`.
        device: where to train.
        progress: whether to show progress bars.
        recipe: further arguments of :func:`monai_umed.exploiter.train_exploiter`.

    Returns:
        What was written.
    """

    def load(folder: str | Path, section: Section) -> TrainingSet:
        return load_training_set(folder, size, section, None, num_classes, window, progress=progress)

    test = load(dataset_dir, "test")
    figures: dict[str, float | None] = {}
    sources: list[tuple[str, str | Path, Section]] = [
        ("clean", dataset_dir, "train"),
        ("protected", protected_dir, "all"),
    ]
    for name, folder, section in sources:
        [row] = score_exploiters(
            load(folder, section),
            test,
            ("batch",),
            (seed,),
            num_classes,
            device,
            f"{name} files",
            progress=progress,
            **recipe,
        )
        figures[f"{name}_dice"] = row["dice"]
    figures |= mean_fidelity(protected_dir)
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
