"""Count false accusations: ``python -m monai_umed.tools.proof_null --help``.

Models that never saw a release are asked about all of its cases once. Then a few hundred owners, each with a key of
their own, hold back whatever their key draws and accuse each of them.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kstest

import monai_umed as mu

from ..evaluation.proof.answers import Scores
from ..evaluation.proof.decoys import decoy_p, key_strengths
from ..evaluation.proof.permutation import difference, redrawn_differences, upper_p
from ..evaluation.proof.plan import Plan
from ..evaluation.proof.results import join_p, reserve_statistic
from ..evaluation.proof.suspects import Questions, Suspect
from ..io.provenance import source_version
from .proof_power import append_row, items_of, numbers

COLUMNS = (
    *("model", "network", "epochs", "seed", "grid", "test", "keys"),
    *("ks_p", "ks_p_one_sided", "rate_at_.01", "rate_at_.05", "version", "command"),
)
REDRAWS = 999
TESTS = ("reserve", "key", "both")


def accuse(plan: Plan, scores: Scores, keys: int, rng: np.random.Generator) -> np.ndarray:
    """P-values that as many owners get for one model, ``(keys, 3)`` in the order of :data:`TESTS`.

    Neither what cases nor what keys are compared by depends on the owner, so it is computed once.
    """
    statistic, strengths = reserve_statistic(plan, scores), key_strengths(scores.answers(plan), plan.keys)
    lot, found = plan.lot()[0], np.empty((keys, len(TESTS)))
    for number in range(keys):
        held_back = np.isin(plan.drawn, plan.reserve.drawn_anew(rng.bytes(32), redraws=REDRAWS).held_back)
        observed = difference(statistic, held_back)
        of_reserve = upper_p(observed, redrawn_differences(statistic, replace(lot, held_back=held_back), REDRAWS, rng))
        of_key = decoy_p(strengths, int(rng.integers(plan.keys)))
        found[number] = of_reserve, of_key, join_p([of_reserve, of_key])
    return found


def summarize(table: Path, p: np.ndarray, plan: Plan, smear: np.random.Generator, **model: object) -> None:
    """Add a line for each test to a table: whether its p-values are uniform, and how many are small."""
    steps = dict(zip(TESTS, (1 / (1 + REDRAWS), 1 / plan.keys), strict=False))
    for test, values in zip(TESTS, p.T, strict=True):
        row: dict[str, object] = {**model, "test": test, "keys": len(values)}
        if test in steps:  # Bonferroni's rule is not uniform, only never too small
            row["ks_p"] = round(float(kstest(values - steps[test] * smear.random(len(values)), "uniform").pvalue), 4)
        row["ks_p_one_sided"] = round(float(kstest(values, "uniform", alternative="greater").pvalue), 4)
        row |= {f"rate_at_{level}": round(float(np.mean(values <= float(level))), 4) for level in (".01", ".05")}
        command = shlex.join(["python", "-m", "monai_umed.tools.proof_null", *sys.argv[1:]])
        append_row(table, COLUMNS, {**row, "version": source_version(), "command": command})


def _models(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, place) for name, _, place in (text.partition("=") for text in texts)]


def main() -> None:
    """Train models on other data, accuse each under many keys, and add what comes of it to a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("queries", type=Path, help="what `monai-umed queries` wrote, about all cases of the release")
    parser.add_argument(
        "models",
        nargs="+",
        help="NAME=FOLDER or NAME=FOLDER:SECTION that one is trained on; NAME= for an untrained one",
    )
    parser.add_argument("--key", type=Path, required=True, help="that of the queries")
    parser.add_argument("--table", type=Path, required=True, help="CSV file to add to")
    parser.add_argument("--networks", default="unet-batch", help="one or more, joined by commas, of every model")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", default="0", help="one or more, of every model and network")
    parser.add_argument("--size", default="128,128")
    parser.add_argument("--keys", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)  # several runs at once
    size = numbers(options.size)
    plan = Plan.load(options.queries, mu.read_key(options.key))
    if left := len(plan.reserve.groups) - len(plan.cases):
        parser.error(f"{left} cases have no queries; let `monai-umed queries --max-queries` ask about all of them")
    questions = Questions(plan, options.queries, size)
    everything: list[np.ndarray] = []
    for name, place in _models(options.models):
        items = questions.match(items_of(place, size, plan.num_classes)) if place else []
        for network in options.networks.split(","):
            for seed in numbers(options.seeds):
                suspect = Suspect(network=network, seed=seed, size=size)
                scores: list[Scores] = []
                if items:

                    def see(_: int, trained: torch.nn.Module, to: list[Scores] = scores) -> None:
                        to.append(questions.ask(trained))

                    suspect.train(items, [options.epochs], see, num_classes=plan.num_classes, progress=False)
                else:
                    scores.append(questions.ask(suspect.build(questions.channels, plan.num_classes).eval()))
                rng = np.random.default_rng([seed, zlib.crc32(f"{name} {network}".encode())])
                p = accuse(plan, scores[0], options.keys, rng)
                everything.append(p)
                model = {"model": name, "network": network, "epochs": options.epochs if items else 0, "seed": seed}
                summarize(options.table, p, plan, rng, **model, grid=options.size.replace(",", " x "))
    rng = np.random.default_rng(len(everything))
    summarize(
        options.table,
        np.concatenate(everything),
        plan,
        rng,
        model=f"all {len(everything)}",
        network=options.networks.replace(",", ", "),
        seed=options.seeds,
        grid=options.size.replace(",", " x "),
    )


if __name__ == "__main__":
    main()
