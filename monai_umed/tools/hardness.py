"""Find out how hard each case is: ``python -m monai_umed.tools.hardness DATA FILE.csv --size 128,128``.

What networks of the owner reach on cases that they were not trained on, for ``monai-umed queries --hardness FILE.csv``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..data.fingerprint import inspect_dataset
from ..evaluation.advice.fold import group
from ..evaluation.proof.answers import dice_of
from ..evaluation.proof.suspects import Suspect, answer_of
from .proof_power import items_of, numbers


def split_folds(items: Sequence[dict], folds: int, seed: int = 0) -> np.ndarray:
    """The fold of each case; near-duplicates are in one.

    Args:
        items: cases on one grid.
        folds: how many.
        seed: of the draw.
    """
    groups = np.array(group(torch.stack([item["image"].mean(0, keepdim=True) for item in items])))
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    return np.array([int(np.flatnonzero(order == number)[0]) % folds for number in groups])


def hardness(items: Sequence[dict], suspect: Suspect, *, epochs: int, num_classes: int, folds: int) -> dict[str, float]:
    """Dice of the probabilities that a network gives for each case after training on the other folds.

    Args:
        items: clean cases on the grid of the network.
        suspect: which network, and how it is trained.
        epochs: of every training.
        num_classes: classes, background included.
        folds: how many trainings.
    """
    fold, found = split_folds(items, folds), dict[str, float]()

    @torch.inference_mode()
    def score(cases: Sequence[dict], _: int, network: torch.nn.Module) -> None:
        for item in cases:
            values = answer_of(network(item["image"][None])[0], item["label"].shape[1:], True)
            found[item["id"]] = dice_of(values, item["label"][0].numpy())

    for number in range(folds):
        others = [item for item, own in zip(items, fold, strict=True) if own != number]
        left = [item for item, own in zip(items, fold, strict=True) if own == number]
        suspect.train(others, [epochs], partial(score, left), num_classes=num_classes)
    return found


def main() -> None:
    """Train networks on clean cases in turn, and write what they reach on the others."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", help="FOLDER or FOLDER:SECTION of the originals")
    parser.add_argument("output", type=Path, help="CSV file to write")
    parser.add_argument("--network", default="unet-batch")
    parser.add_argument("--defense", default="flips+affine", help="how images are augmented")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--size", default="128,128")
    options = parser.parse_args()
    if options.folds < 2:
        parser.error(f"--folds is {options.folds}; use at least 2, so that networks are trained on other cases")
    torch.set_num_threads(1)  # several runs at once
    size, num_classes = numbers(options.size), inspect_dataset(options.data.partition(":")[0]).num_classes
    suspect = Suspect(network=options.network, defense=options.defense, size=size)
    items = items_of(options.data, size, num_classes)
    found = hardness(items, suspect, epochs=options.epochs, num_classes=num_classes, folds=options.folds)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "dice"))
        writer.writerows((id, f"{dice:.4f}") for id, dice in sorted(found.items()))
    print(f"Wrote the Dice of {len(found)} cases into {options.output}.")


if __name__ == "__main__":
    main()
