"""Run one training of an audit and keep its result in one file."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..defenses import Defense, Items, Materials
from ..exploiters.registry import build_exploiter, encoder_of, wants_precise_batch_norm
from ..exploiters.train import LossCurve, train_exploiter
from ..io.atomic import write_json
from ..io.provenance import source_version
from ..training.metrics import case_dice, count_items, predict, score
from .folders import Facts, Folders
from .plan import Audit, Cell
from .predictions import save_predictions


@dataclass(frozen=True)
class Bench:
    """Where cells run: everything that they share.

    Attributes:
        audit: what is audited.
        facts: what its files say.
        output_dir: folder of the audit.
        foreign_dir: clean images of another dataset.
        foreign_protected_dir: the same, protected with this tool; empty if no defense asks for it.
    """

    audit: Audit
    facts: Facts
    output_dir: Path
    foreign_dir: str = ""
    foreign_protected_dir: str = ""

    def result_file(self, cell: Cell) -> Path:
        """Where the result of a cell lies."""
        return self.output_dir / "cells" / f"{cell.name}.json"


def set_aside(path: Path) -> None:
    """Keep a damaged file under the first free name beside it, and say so."""
    number = 1
    while (aside := path.with_suffix(f".damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    print(f"warning: {path} is damaged; kept as {aside.name} and computed again", file=sys.stderr)


def read_result(path: Path) -> dict | None:
    """The result of a finished cell; a damaged file is kept aside under another name and counts as none."""
    if not path.is_file():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if result["scores"]["dice"] >= 0 and result["cell"]:
            return result
    except (ValueError, KeyError, TypeError):
        pass
    set_aside(path)
    return None


def _network(bench: Bench, exploiter: str, size: tuple[int, ...], seed: int) -> torch.nn.Module:
    audit = bench.audit
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_exploiter(
            exploiter, bench.facts.in_channels, audit.num_classes, audit.network_size, len(size), size
        )


def _filtered(defense: Defense, items: Items) -> Items:
    return [{**item, "image": defense.preprocess(item["image"])} for item in items]


def _among(items: Items, ids: Sequence[str]) -> Items:
    chosen = set(ids)
    return [item for item in items if item["id"] in chosen]


def _materials(bench: Bench, cell: Cell, defense: Defense, folders: Folders) -> Materials:
    audit = bench.audit

    def filtered(read: Callable[[], Items]) -> Callable[[], Items]:
        return lambda: _filtered(defense, read())

    return Materials(
        build=partial(_network, bench, cell.exploiter, folders.size, cell.seed),
        train=partial(
            train_exploiter,
            num_classes=audit.num_classes,  # foreign images show two of them; the head is not what travels
            seed=cell.seed,
            device=audit.device,
            progress=False,
            precise_batch_norm=wants_precise_batch_norm(cell.exploiter),
            **audit.recipe,
        ),
        is_encoder=encoder_of(cell.exploiter),
        eps=bench.facts.eps,
        seed=cell.seed,
        num_classes=audit.num_classes,
        device=audit.device,
        clean=filtered(folders.clean),
        foreign=filtered(partial(folders.foreign, bench.foreign_dir, "train")),
        foreign_protected=filtered(partial(folders.foreign, bench.foreign_protected_dir, "all")),
    )


def run_cell(bench: Bench, cell: Cell, handlers: Sequence[Any] = ()) -> None:
    """Train one network, score it on clean test images and write the result.

    Args:
        bench: what all cells share.
        cell: what to train.
        handlers: further MONAI or ignite handlers of its training.
    """
    audit, begin = bench.audit, time.monotonic()
    defense = audit.entries[cell.defense].make(bench.facts.eps)
    folders = Folders(audit, bench.facts, defense.grid(audit.size))
    network = _network(bench, cell.exploiter, folders.size, cell.seed)
    source, _, half = cell.data.partition("-")
    train: Items = []
    curve = LossCurve()
    if source != "untrained":
        train = _filtered(defense, folders.protected() if source == "protected" else folders.clean())
        train = _among(train, bench.facts.ids[::2]) if half else train
        materials = _materials(bench, cell, defense, folders)
        train = defense.prepare(train, materials)
        defense.start(network, materials)
        with torch.random.fork_rng():
            torch.manual_seed(cell.seed)  # dropout draws from the global generator
            train_exploiter(
                network,
                train,
                audit.num_classes,
                seed=cell.seed,
                device=audit.device,
                progress=False,
                defense=defense,
                materials=materials,
                handlers=[curve, *handlers],
                precise_batch_norm=wants_precise_batch_norm(cell.exploiter),
                **audit.recipe,
            )
    if not all(map(math.isfinite, curve.losses)):
        raise RuntimeError(
            f"the loss is no number from epoch {[math.isfinite(loss) for loss in curve.losses].index(False) + 1} on; "
            "lower the learning rate or set amp to False"
        )
    network = network.to(audit.device).eval()
    tests = {"scores": _filtered(defense, folders.test())}
    if half:
        others = bench.facts.ids[1::2]
        tests = {"scores": _among(folders.clean(), others), "scores_on_protected": _among(folders.protected(), others)}
    result: dict[str, Any] = {"cell": asdict(cell), "train_cases": len(train), "losses": curve.losses}
    result["version"] = source_version()
    for name, items in tests.items():
        sliding = None if half else folders.window
        maps = predict(network, items, device=audit.device, window=sliding, slice_axis=audit.slice_axis)
        counts = count_items(maps, items, audit.num_classes)
        result[name] = asdict(score(*counts))
        if name == "scores" and not half:
            dice = case_dice(*counts).tolist()
            result["case_dice"] = {item["id"]: round(value, 6) for item, value in zip(items, dice, strict=True)}
            if cell.defense == "none" and cell.seed == audit.seeds[0]:
                save_predictions(bench.output_dir / "predictions" / cell.exploiter / source, items, maps)
    result["seconds"] = round(time.monotonic() - begin, 1)
    write_json(bench.result_file(cell), result)
