"""Count false accusations: ``python -m monai_umed.tools.proof_null --help``.

One model that never saw a release is asked about all of its cases once. Then a few hundred owners, each with a key of
their own, hold back whatever their key draws and accuse it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kstest

import monai_umed as mu

from ..data.training_set import load_training_set
from ..evaluation.proof.plan import Plan
from ..evaluation.proof.results import judge
from ..evaluation.proof.suspects import Questions, Suspect
from ..io.provenance import source_version
from .proof_power import append_row

COLUMNS = ("model", "test", "keys", "ks_p", "ks_p_one_sided", "rate_at_.01", "rate_at_.05", "version", "command")
REDRAWS = 1999


def accuse(plan: Plan, questions: Questions, network: torch.nn.Module, keys: int, seed: int) -> dict[str, list[float]]:
    """P-values that as many owners get for one model, by the name of the test."""
    rng, scores = np.random.default_rng(seed), questions.ask(network)
    found: dict[str, list[float]] = {"reserve": [], "key": [], "both": []}
    for _ in range(keys):
        key = rng.bytes(32)
        own = plan.reserve.drawn_anew(key, redraws=REDRAWS)
        results = judge(replace(plan, reserve=own, true_key=int(rng.integers(plan.keys))), scores, key)
        assert results.reserve is not None and results.key is not None
        found["reserve"].append(results.reserve.p)
        found["key"].append(results.key.p)
        found["both"].append(results.p)
    return found


def main() -> None:
    """Train a model on other data, accuse it under many keys, and add what comes of it to a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("queries", type=Path, help="what `monai-umed queries` wrote, about all cases of the release")
    parser.add_argument("trained_on", help="folder that the model is trained on, or 'nothing'")
    parser.add_argument("--key", type=Path, required=True, help="that of the queries")
    parser.add_argument("--table", type=Path, required=True, help="CSV file to add to")
    parser.add_argument("--model", required=True, help="what it is called in the table")
    parser.add_argument("--network", default="unet-batch")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", default="128,128")
    parser.add_argument("--section", default="all")
    parser.add_argument("--keys", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)  # several models at once
    size = tuple(int(side) for side in options.size.split(","))
    plan = Plan.load(options.queries, mu.read_key(options.key))
    questions = Questions(plan, options.queries, size)
    suspect = Suspect(network=options.network, seed=options.seed, size=size)

    def see(_: int, network: torch.nn.Module) -> None:
        steps = {"reserve": 1 / (1 + REDRAWS), "key": 1 / plan.keys, "both": 0.0}
        smear = np.random.default_rng(options.seed)
        for test, values in accuse(plan, questions, network, options.keys, options.seed).items():
            p = np.array(values)
            row = {"model": options.model, "test": test, "keys": options.keys}
            if test != "both":  # Bonferroni's rule is not uniform, only never too small
                row["ks_p"] = round(float(kstest(p - steps[test] * smear.random(len(p)), "uniform").pvalue), 4)
            row["ks_p_one_sided"] = round(float(kstest(p, "uniform", alternative="greater").pvalue), 4)
            row |= {f"rate_at_{level}": float(np.mean(p <= float(level))) for level in (".01", ".05")}
            command = " ".join(["proof_null", *sys.argv[1:]])
            append_row(options.table, COLUMNS, {**row, "version": source_version(), "command": command})

    if options.trained_on == "nothing":
        see(0, suspect.build(1, plan.num_classes).eval())
        return
    items = load_training_set(options.trained_on, size, section=options.section, progress=False).items
    suspect.train(items, [options.epochs], see, progress=False)


if __name__ == "__main__":
    main()
