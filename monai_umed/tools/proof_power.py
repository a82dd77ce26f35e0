"""Try the proof on suspects that are trained for it: ``python -m monai_umed.tools.proof_power --help``."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import monai_umed as mu

from ..data.training_set import load_training_set
from ..evaluation.proof.plan import Plan
from ..evaluation.proof.results import Results, judge
from ..evaluation.proof.suspects import Questions, Suspect
from ..io.provenance import source_version

COLUMNS = (
    "suspect",
    "network",
    "defense",
    "epochs",
    "seed",
    "masks",
    "published",
    "held_back",
    "dice_clean",
    "p",
    "p_reserve",
    "p_key",
    "protected_raw",
    "protected_corrected",
    "clean_raw",
    "clean_corrected",
    "answer",
    "decoys_high",
    "capital",
    "seconds",
    "version",
    "command",
)


def row_of(results: Results) -> dict[str, object]:
    """What of both tests goes into a table."""
    row: dict[str, object] = {"p": results.p}
    if results.reserve is not None:
        test = results.reserve
        row |= {"p_reserve": test.p, "published": test.published, "held_back": test.held_back}
        row["capital"] = round(test.largest_capital, 3)
        for effect in test.effects:
            row[f"{effect.kind}_raw"], row[f"{effect.kind}_corrected"] = effect.p_raw, effect.p_corrected
            if effect.kind == "clean":
                row["dice_clean"] = round(effect.held_back, 4)
    if results.key is not None:
        row |= {"p_key": results.key.p, "answer": round(results.key.strength, 4)}
        row["decoys_high"] = round(float(np.max(results.key.decoys)), 4)
    return row


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, object]) -> None:
    """Add a line to a table, with a heading if it is the first."""
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Train one suspect, ask it, and add what both tests say to a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("queries", type=Path, help="what `monai-umed queries` wrote")
    parser.add_argument("trained_on", help="folder that the suspect is trained on, or 'nothing'")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True, help="CSV file to add to")
    parser.add_argument("--suspect", default="release", help="what it is called in the table")
    parser.add_argument("--network", default="unet-batch")
    parser.add_argument("--defense", default="none")
    parser.add_argument("--epochs", default="15", help="one or more, such as 15,30,60")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", default="128,128")
    parser.add_argument("--section", default="all")
    parser.add_argument("--masks", action="store_true", help="show hard masks instead of probabilities")
    parser.add_argument("--progress", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # several suspects at once
    key, begin = mu.read_key(options.key), time.monotonic()
    size = tuple(int(side) for side in options.size.split(","))
    plan = Plan.load(options.queries, key)
    questions = Questions(plan, options.queries, size)
    suspect = Suspect(network=options.network, defense=options.defense, seed=options.seed, size=size)
    shown = ["proof_power", *sys.argv[1:]]

    def see(epoch: int, network: torch.nn.Module) -> None:
        results = judge(plan, questions.ask(network, soft=not options.masks), key)
        row = {name: getattr(options, name) for name in ("suspect", "network", "defense", "seed", "masks")}
        row |= {"epochs": epoch, **row_of(results), "seconds": round(time.monotonic() - begin)}
        append_row(options.table, COLUMNS, {**row, "version": source_version(), "command": " ".join(map(str, shown))})

    if options.trained_on == "nothing":
        see(0, suspect.build(1, plan.num_classes).eval())
        return
    items = load_training_set(options.trained_on, size, section=options.section, progress=options.progress).items
    suspect.train(items, [int(number) for number in options.epochs.split(",")], see, progress=options.progress)


if __name__ == "__main__":
    main()
