"""Try the proof on suspects that are trained for it: ``python -m monai_umed.tools.proof_power --help``."""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

import monai_umed as mu

from ..data.training_set import load_training_set
from ..evaluation.proof.answers import Scores
from ..evaluation.proof.hardness import FEATURES
from ..evaluation.proof.permutation import difference, redrawn_differences, upper_p
from ..evaluation.proof.plan import Plan
from ..evaluation.proof.reserve import WANTED, first_groups
from ..evaluation.proof.results import Results, judge, reserve_statistic
from ..evaluation.proof.suspects import Questions, Suspect
from ..io.provenance import source_version

if TYPE_CHECKING:
    from ..data.cases import Section

REDRAWS = 1999  # of reserves that are drawn out of a larger one, many times
COLUMNS = (
    "suspect",
    "network",
    "defense",
    "epochs",
    "seed",
    "grid",
    "masks",
    "hardness",
    "published",
    "held_back",
    "dice_clean",
    "p",
    "p_reserve",
    "draws",
    "found",
    "p_uncorrected",
    "found_uncorrected",
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


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers joined by commas."""
    return tuple(int(number) for number in text.split(","))


def items_of(place: str, size: Sequence[int], num_classes: int = 2, *, progress: bool = False) -> list[dict]:
    """Cases of ``FOLDER`` or ``FOLDER:SECTION`` on a grid."""
    folder, _, section = place.partition(":")
    cases = load_training_set(
        folder,
        size,
        section=cast("Section", section or "all"),
        layout="resampled",
        num_classes=num_classes,
        progress=progress,
    )
    return cases.items


def smaller_reserve(plan: Plan, target: int, rng: np.random.Generator) -> Plan:
    """The plan of a release that had held back fewer cases and, of the others, neither published nor asked about any.

    Which groups stay is drawn by lot, so that the assignment is still exchangeable.
    """
    held_back = set(plan.reserve.held_back)
    groups = {id: group for id, group in plan.reserve.groups.items() if id in held_back}
    kept = first_groups([str(name) for name in rng.permutation(sorted(set(groups.values())))], groups, target)
    dropped = held_back - kept
    cases = [index for index, case in enumerate(plan.cases) if case.id not in dropped]
    places = {index: place for place, index in enumerate(cases)}
    left = {id: group for id, group in plan.reserve.groups.items() if id not in dropped}
    reserve = replace(plan.reserve, groups=left, held_back=tuple(sorted(kept)), fraction=(target - 0.5) / len(left))
    return replace(
        plan,
        reserve=reserve,
        cases=tuple(plan.cases[index] for index in cases),
        drawn=tuple(id for id in plan.drawn if id not in dropped),
        total_target=plan.total_target - len(dropped),
        queries=tuple(replace(query, case=places[query.case]) for query in plan.queries if query.case in places),
    )


def rows_of_smaller(plan: Plan, scores: Scores, targets: Sequence[int], draws: int) -> Iterator[dict[str, object]]:
    """What goes into a table for reserves of fewer cases: the median over draws of which these are."""
    rng = np.random.default_rng(0)
    for target in targets:
        found: list[list[float]] = []
        sides = (0, 0)
        for _ in range(draws):
            drawn = smaller_reserve(plan, target, rng)
            lot, both = drawn.lot()[0], list[float]()
            for corrected in (True, False):
                statistic = reserve_statistic(drawn, scores, corrected=corrected)
                others = redrawn_differences(statistic, lot, REDRAWS, rng)
                both.append(upper_p(difference(statistic, lot.held_back), others))
            found.append(both)
            sides = int((~lot.held_back).sum()), int(lot.held_back.sum())
        row: dict[str, object] = {"published": sides[0], "held_back": target, "draws": draws}
        for column, suffix in zip(np.array(found).T, ("", "_uncorrected"), strict=True):
            row[f"p{suffix or '_reserve'}"] = float(np.median(column))
            row[f"found{suffix}"] = float(np.mean(column <= WANTED))
        yield row


def main() -> None:
    """Train suspects, ask them, and add what both tests say to a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("queries", type=Path, help="what `monai-umed queries` wrote")
    parser.add_argument("trained_on", help="FOLDER or FOLDER:SECTION that they are trained on, or 'nothing'")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True, help="CSV file to add to")
    parser.add_argument("--suspect", default="release", help="what they are called in the table")
    parser.add_argument("--network", default="unet-batch")
    parser.add_argument("--defense", default="none")
    parser.add_argument("--epochs", default="15", help="one or more, such as 15,30,60")
    parser.add_argument("--seeds", default="0", help="one suspect each")
    parser.add_argument("--size", default="128,128")
    parser.add_argument("--clean", help="FOLDER of the originals, for defenses that own a few")
    parser.add_argument("--pretrained-on", help="FOLDER that they are trained on before")
    parser.add_argument("--foreign", help="FOLDER of another dataset, for those that learn to take patterns off")
    parser.add_argument("--foreign-protected", help="FOLDER of the same cases, protected with this tool")
    parser.add_argument("--distilled-on", help="FOLDER whose images, with the suspect's masks, train --student instead")
    parser.add_argument("--student", default="unet-instance", help="network of it")
    parser.add_argument("--reserves", default="", help="smaller reserves to draw out of the whole one, such as 30,60")
    parser.add_argument("--draws", type=int, default=20, help="of each of these")
    parser.add_argument("--masks", action="store_true", help="show hard masks instead of probabilities")
    parser.add_argument("--progress", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # several runs at once
    key, size = mu.read_key(options.key), numbers(options.size)
    plan = Plan.load(options.queries, key)
    questions = Questions(plan, options.queries, size)
    command = shlex.join(["python", "-m", "monai_umed.tools.proof_power", *sys.argv[1:]])

    def see(suspect: Suspect, begin: float, epoch: int, network: torch.nn.Module) -> None:
        if unlabeled:
            suspect = replace(suspect, network=options.student, defense="none")
            network = suspect.distill(
                network, unlabeled, epochs=epoch, num_classes=plan.num_classes, progress=options.progress
            )
        scores = questions.ask(network, soft=not options.masks)
        own = row_of(judge(plan, scores, key))
        targets = numbers(options.reserves) if options.reserves else ()
        for row in (own, *rows_of_smaller(plan, scores, targets, options.draws)):
            row |= {"suspect": options.suspect, "network": suspect.network, "defense": suspect.defense}
            row |= {"epochs": epoch, "seed": suspect.seed, "grid": options.size.replace(",", " x ")}
            row |= {"masks": options.masks, "hardness": plan.features.shape[1] > len(FEATURES)}
            row |= {"version": source_version(), "command": command}
            append_row(options.table, COLUMNS, {**row, "seconds": round(time.monotonic() - begin)})

    def read(place: str | None) -> list[dict]:
        return items_of(place, size, plan.num_classes, progress=options.progress) if place else []

    items = read(None if options.trained_on == "nothing" else options.trained_on)
    clean, others = read(options.clean), questions.match(read(options.pretrained_on))
    foreign, foreign_protected = (
        questions.match(read(place)) for place in (options.foreign, options.foreign_protected)
    )
    unlabeled = questions.match(read(options.distilled_on))
    published = {item["id"] for item in items}
    for seed in numbers(options.seeds):
        begin = time.monotonic()
        suspect = Suspect(network=options.network, defense=options.defense, seed=seed, size=size)
        if not items:
            see(suspect, begin, 0, suspect.build(questions.channels, plan.num_classes).eval())
            continue
        suspect.train(
            questions.match(items),
            numbers(options.epochs),
            partial(see, suspect, begin),
            clean=[item for item in clean if item["id"] in published],
            pretrained_on=others,
            foreign=foreign,
            foreign_protected=foreign_protected,
            num_classes=plan.num_classes,
            progress=options.progress,
        )


if __name__ == "__main__":
    main()
