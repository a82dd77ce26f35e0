"""Run one training of a matrix and keep its result in one file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from ..defenses import Defense, Items, Materials
from ..exploiters.registry import build_exploiter, encoder_of, wants_precise_batch_norm
from ..exploiters.train import LossCurve, train_exploiter
from ..io.provenance import source_version
from ..training.metrics import Scores, case_dice, count_items, predict, score
from .folders import Folders, among
from .last_epochs import LastEpochs
from .plan import Cell
from .predictions import save_predictions
from .results import CellResult, Comparison


def _network(comparison: Comparison, exploiter: str, *, grid: tuple[int, ...], seed: int) -> torch.nn.Module:
    classes, network_size = comparison.files.num_classes, comparison.matrix.network_size
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_exploiter(
            exploiter,
            comparison.facts.in_channels,
            num_classes=classes,
            network_size=network_size,
            spatial_dims=len(grid),
            image_size=grid,
        )


def _filtered(defense: Defense, items: Items) -> Items:
    return [{**item, "image": defense.preprocess(item["image"])} for item in items]


def _materials(comparison: Comparison, cell: Cell, *, defense: Defense, folders: Folders) -> Materials:
    def filtered(read: Callable[..., Items], *arguments: Any) -> Callable[[], Items]:
        return lambda: _filtered(defense, read(*arguments))

    return Materials(
        build=partial(_network, comparison, cell.exploiter, grid=folders.grid, seed=cell.seed),
        train=_trainer(comparison, cell),
        is_encoder=encoder_of(cell.exploiter),
        eps=comparison.facts.eps,
        seed=cell.seed,
        num_classes=comparison.files.num_classes,
        device=comparison.matrix.device,
        clean=filtered(folders.clean),
        foreign=filtered(folders.foreign, comparison.foreign_dir, "train"),
        foreign_protected=filtered(folders.foreign, comparison.foreign_protected_dir, "all"),
    )


def _trainer(comparison: Comparison, cell: Cell) -> Callable[..., torch.nn.Module]:
    """Ordinary training of a network on items, in place."""
    return partial(
        train_exploiter,
        num_classes=comparison.files.num_classes,  # foreign images show two of them; the head is not what travels
        seed=cell.seed,
        device=comparison.matrix.device,
        progress=False,
        precise_batch_norm=wants_precise_batch_norm(cell.exploiter),
        **comparison.matrix.recipe,
    )


def run_cell(comparison: Comparison, cell: Cell, handlers: Sequence[Any] = ()) -> None:
    """Train one network, score it on clean test images and write the result.

    Args:
        comparison: what all cells share.
        cell: what to train.
        handlers: further MONAI or ignite handlers of its training.

    Raises:
        RuntimeError: If the loss becomes NaN or infinite.
    """
    begin, facts, device = time.monotonic(), comparison.facts, comparison.matrix.device
    defense = comparison.matrix.entries[cell.defense].make(facts.eps)
    folders = Folders(comparison.files, facts, grid=defense.grid(comparison.files.grid))
    network = _network(comparison, cell.exploiter, grid=folders.grid, seed=cell.seed)
    source, _, half = cell.data.partition("-")

    def test(
        network: torch.nn.Module, items: Items, roi_size: tuple[int, ...] | None
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        axis = comparison.files.slice_axis
        maps = predict(network, items, device=device, roi_size=roi_size, slice_axis=axis)
        return maps, count_items(maps, items, comparison.files.num_classes)

    train: Items = []
    curve, tested = LossCurve(), _filtered(defense, [] if half else folders.test())
    averaged = LastEpochs(lambda network: score(*test(network, tested, folders.roi_size)[1]))
    if source != "untrained":
        train = _filtered(defense, folders.protected() if source == "protected" else folders.clean())
        train = among(train, facts.ids[::2]) if half else train
        materials = _materials(comparison, cell, defense=defense, folders=folders)
        train = defense.prepare(train, materials)
        defense.start(network, materials)
        with torch.random.fork_rng():
            torch.manual_seed(cell.seed)  # dropout draws from the global generator
            train_with_defense = partial(_trainer(comparison, cell), defense=defense, materials=materials)
            train_with_defense(
                network, train, handlers=[curve, *([averaged] if comparison.averaged else []), *handlers]
            )
    if not all(map(math.isfinite, curve.losses)):
        raise RuntimeError(
            f"the loss is no number from epoch {[math.isfinite(loss) for loss in curve.losses].index(False) + 1} on; "
            "lower the learning rate or set amp to False"
        )
    network = network.to(device).eval()
    dice: dict[str, float] | None = None
    on_protected: Scores | None = None
    if half:
        clean, protected = (among(items, facts.ids[1::2]) for items in (folders.clean(), folders.protected()))
        scores, on_protected = (score(*test(network, items, None)[1]) for items in (clean, protected))
    else:
        maps, counts = test(network, tested, folders.roi_size)
        scores = averaged.mean() if averaged.scores else score(*counts)
        values = case_dice(*counts).tolist()
        dice = {item["id"]: round(value, 6) for item, value in zip(tested, values, strict=True)}
        if cell.defense == "none" and cell.seed == comparison.matrix.seeds[0]:
            save_predictions(comparison.output_dir / "predictions" / cell.exploiter / source, tested, maps)
    result = CellResult(
        cell=cell,
        train_cases=len(train),
        losses=curve.losses,
        version=source_version(),
        scores=scores,
        case_dice=dice,
        scores_on_protected=on_protected,
        seconds=round(time.monotonic() - begin, 1),
    )
    result.write(comparison.result_file(cell))
