"""Show what protection does to the files and to a network trained on them: ``python -m monai_umed.tools.picture``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from ..data.case import Case, DatasetError
from ..data.cases import Section, find_cases
from ..data.loading import load_case
from ..data.training_set import load_training_set
from ..evaluation.panels import Panels, draw
from ..evaluation.quick_check import train_reference
from ..io.atomic import write_atomically
from ..io.display import GAIN, channels_last
from ..io.stored import StoredImage
from ..training.metrics import evaluate

ROWS = 3
SIZE = (128, 128)  # px, grid of the networks


def lesion_share(case: Case) -> float:
    """Share of the image that the mask covers."""
    return float(load_case(case).label.mean())


def spread(cases: Sequence[Case], rows: int) -> list[Case]:
    """Pick ``rows`` cases, small to large: the middles of equal parts of the cases ordered by mask area."""
    ordered = sorted(cases, key=lambda case: (lesion_share(case), case.id))
    return [ordered[(2 * row + 1) * len(ordered) // (2 * rows)] for row in range(rows)]


def choose(pairs: dict[str, tuple[Case, Case]], names: Sequence[str] | None, rows: int) -> list[tuple[Case, Case]]:
    """The clean and protected cases to show: the named ones, or ``rows`` of different lesion size.

    Raises:
        ValueError: If a name is unknown or there are more than ``rows``.
    """
    if names is None:
        return [pairs[case.id] for case in spread([clean for clean, _ in pairs.values()], rows)]
    unknown = [name for name in names if name not in pairs]
    if unknown or not 1 <= len(names) <= rows:
        raise ValueError(
            f"cases is {','.join(names)}; it must name 1 to {rows} cases that are in both folders. "
            + (f"Unknown: {', '.join(unknown)}. " if unknown else "")
            + f"There are, for example, {', '.join(list(pairs)[:3])}."
        )
    return [pairs[name] for name in names]


def square(mask: np.ndarray) -> tuple[slice, slice]:
    """The largest square of the image, in native pixels, moved along the longer side to where the mask is."""
    side = min(mask.shape)
    starts = []
    for axis, size in enumerate(mask.shape):
        middle = float(np.flatnonzero(mask.any(axis=1 - axis)).mean())
        starts.append(int(np.clip(round(middle - side / 2), 0, size - side)))
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def for_display(stored: StoredImage) -> np.ndarray:
    """``(H, W)`` or ``(H, W, 3)`` in [0, 1].

    Raises:
        ValueError: If it is a volume.
    """
    values = stored.scaled()
    if values.ndim != 3:
        raise ValueError(f"The picture shows 2D images, the shape is {stored.shape}; export slices as images first.")
    return channels_last(values)


def predict(network: torch.nn.Module, image: torch.Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Predicted foreground of a ``(C, *SIZE)`` image, brought to the native shape."""
    with torch.no_grad():
        logits = network(image[None])
    return (F.interpolate(logits, size=shape, mode="bilinear", align_corners=False)[0, 0] > 0).numpy()


def make_row(pair: tuple[Case, Case], test_case: Case, test_item: dict, networks: Sequence[torch.nn.Module]) -> Panels:
    """Read the files of one row, crop them and predict."""
    loaded = load_case(pair[0])
    # Both in the window of the original: a window of its own would shift all gray levels of the protected image.
    protected = load_case(pair[1]).stored.in_window(loaded.stored.intensity_window)
    crop = square(loaded.label[0])
    before, after = for_display(loaded.stored)[crop], for_display(protected)[crop]
    test = load_case(test_case)
    test_crop = square(test.label[0])
    masks = tuple(predict(network, test_item["image"], test.label[0].shape)[test_crop] for network in networks)
    return Panels(
        original=before,
        mask=loaded.label[0][crop],
        protected=after,
        difference=np.clip(0.5 + GAIN * (after - before), 0, 1),
        test=for_display(test.stored)[test_crop],
        test_mask=test.label[0][test_crop],
        predictions=masks,
    )


def _pairs(dataset_dir: str | Path, protected_dir: str | Path) -> dict[str, tuple[Case, Case]]:
    protected = {case.id: case for case in find_cases(protected_dir)}
    clean = find_cases(dataset_dir, "train")
    pairs = {case.id: (case, protected[case.id]) for case in clean if case.id in protected}
    if not pairs:
        cure = f"pass the folder that was protected from {dataset_dir}"
        raise DatasetError(str(protected_dir), [f"no training image of {dataset_dir} is in it; {cure}"])
    for_display(load_case(next(iter(pairs.values()))[0]).stored)  # refuses volumes before anything is trained
    return pairs


def make_picture(
    dataset_dir: str | Path,
    protected_dir: str | Path,
    output_file: str | Path,
    *,
    cases: Sequence[str] | None = None,
    epochs: int = 15,
    seed: int = 0,
    progress: bool = True,
) -> list[float]:
    """Train one network on the clean and one on the protected files and draw both next to the files.

    Args:
        dataset_dir: clean 2D dataset with training and test section, see :func:`monai_umed.data.cases.find_cases`.
        protected_dir: protected copy of its training section.
        output_file: PNG to write; its folder is made if needed.
        cases: ids of one to three training images to show; default: small, medium and large mask. The test images
            are always chosen by the size of their mask, never by how well they are predicted.
        epochs: passes over the training images.
        seed: of weights and order of cases.
        progress: whether to show progress bars.

    Returns:
        Dice over all test images after training on the clean and on the protected files.

    Raises:
        DatasetError: If a folder cannot be used or both have no training image in common.
        ValueError: If ``cases`` names unknown images or more than three, or the images are volumes.
    """
    pairs = _pairs(dataset_dir, protected_dir)
    test = load_training_set(dataset_dir, SIZE, section="test", progress=progress)
    networks, dice = [], []
    test_items = {item["id"]: item for item in test.items}
    test_cases = [case for case in find_cases(dataset_dir, "test") if case.id in test_items]
    shown = choose(pairs, cases, min(ROWS, len(pairs), len(test_cases)))
    parts: tuple[tuple[str, str | Path, Section], ...] = (
        ("clean", dataset_dir, "train"),
        ("protected", protected_dir, "all"),
    )
    for name, folder, section in parts:
        train = load_training_set(folder, SIZE, section=section, progress=progress)
        network = train_reference(train, seed=seed, epochs=epochs, progress=progress, title=f"train on {name} files")
        networks.append(network)
        dice.append(evaluate(network, test.items).dice)
    tests = spread(test_cases, len(shown))
    rows = [make_row(pair, case, test_items[case.id], networks) for pair, case in zip(shown, tests, strict=True)]
    output_file = Path(output_file)
    output_file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output_file, draw(rows, dice))
    return dice


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; ends with the message alone where the input is at fault."""
    parser = argparse.ArgumentParser(prog="python -m monai_umed.tools.picture", description=__doc__)
    parser.add_argument("--dataset_dir", type=Path, required=True, help="clean 2D dataset")
    parser.add_argument("--protected_dir", type=Path, required=True, help="protected copy of its training images")
    parser.add_argument("--output", type=Path, required=True, help="PNG to write")
    parser.add_argument("--cases", help="up to three training images to show, a,b; default: by mask area")
    parser.add_argument("--epochs", type=int, default=15, help="of both trainings (default 15)")
    options = parser.parse_args(arguments)
    names = None if options.cases is None else options.cases.split(",")
    try:
        dice = make_picture(
            options.dataset_dir, options.protected_dir, options.output, cases=names, epochs=options.epochs
        )
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(f"Dice on clean test images, trained on clean files {dice[0]:.3f}, on protected files {dice[1]:.3f}")
    print(f"  picture: {options.output} ({options.output.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
