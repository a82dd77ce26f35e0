"""Run one training of a matrix and keep its result in one file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..defenses import Defense, Items, Materials
from ..exploiters.registry import build_exploiter, encoder_of, wants_precise_batch_norm
from ..exploiters.train import LossCurve, recompute_statistics, train_exploiter
from ..io.provenance import source_version
from ..training.metrics import Scores, case_dice, count_items, predict, score
from .ceilings import SHARED, Ceiling, describe, keep, recall
from .folders import Folders, among
from .last_epochs import LastEpochs, mean_scores
from .plan import Cell
from .predictions import draw_predictions, save_predictions
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


@dataclass(frozen=True)
class _Training:
    """What a training says of itself: the number of its cases, its losses, and counts after its last epochs but one."""

    cases: int
    losses: list[float]
    counts: list[torch.Tensor]


def _train(
    comparison: Comparison,
    cell: Cell,
    network: torch.nn.Module,
    *,
    defense: Defense,
    folders: Folders,
    count: Callable[[torch.nn.Module], torch.Tensor],
    handlers: Sequence[Any],
) -> _Training:
    """Train a network in place."""
    source, _, half = cell.data.partition("-")
    items = _filtered(defense, folders.protected() if source == "protected" else folders.clean())
    items = among(items, comparison.facts.ids[::2]) if half else items
    materials, train = _materials(comparison, cell, defense=defense, folders=folders), _trainer(comparison, cell)
    items = defense.prepare(items, materials)
    defense.start(network, materials)
    batch_size = comparison.matrix.recipe.get("batch_size", 16)
    precise = partial(recompute_statistics, items=items, batch_size=batch_size, device=materials.device)
    earlier = LastEpochs(count, precise if wants_precise_batch_norm(cell.exploiter) else None)
    curve, averaging = LossCurve(), [] if defense.finishes else [earlier]
    with torch.random.fork_rng():
        torch.manual_seed(cell.seed)  # dropout draws from the global generator
        train(network, items, defense=defense, materials=materials, handlers=[curve, *averaging, *handlers])
    if not all(map(math.isfinite, curve.losses)):
        raise RuntimeError(
            f"the loss is no number from epoch {[math.isfinite(loss) for loss in curve.losses].index(False) + 1} on; "
            "lower the learning rate or set amp to False"
        )
    return _Training(len(items), curve.losses, earlier.results)


def train_cell(comparison: Comparison, cell: Cell, handlers: Sequence[Any] = ()) -> Ceiling:
    """Train one network and score it on clean test images after each of the last epochs; scores are means.

    Statistics of batch normalization that are computed anew at the end of a training are so after each of these epochs.
    Of a defense that goes on after the last epoch, or chooses another, the finished network alone is scored.

    Args:
        comparison: what all cells share.
        cell: what to train.
        handlers: further MONAI or ignite handlers of its training.

    Raises:
        RuntimeError: If the loss becomes NaN or infinite.
    """
    begin, facts, matrix = time.monotonic(), comparison.facts, comparison.matrix
    defense = matrix.entries[cell.defense].make(facts.eps)
    folders = Folders(comparison.files, facts, grid=defense.grid(comparison.files.grid))
    network = _network(comparison, cell.exploiter, grid=folders.grid, seed=cell.seed)
    source, _, half = cell.data.partition("-")
    if half:
        clean, protected = (among(items, facts.ids[1::2]) for items in (folders.clean(), folders.protected()))
        tested, roi_size = clean + protected, None
    else:
        tested, roi_size = _filtered(defense, folders.test()), folders.roi_size

    def test(network: torch.nn.Module) -> tuple[list[torch.Tensor], torch.Tensor]:
        axis = comparison.files.slice_axis
        maps = predict(network, tested, device=matrix.device, roi_size=roi_size, slice_axis=axis)
        return maps, count_items(maps, tested, comparison.files.num_classes)

    training = _Training(0, [], [])
    if source != "untrained":
        training = _train(
            comparison,
            cell,
            network,
            defense=defense,
            folders=folders,
            count=lambda network: test(network)[1],
            handlers=handlers,
        )
    maps, last = test(network.to(matrix.device).eval())
    counts = [*training.counts, last]
    dice: dict[str, float] | None = None
    pictures: dict[str, bytes] = {}
    on_protected: Scores | None = None
    if half:
        scores = mean_scores([score(*each[:, : len(clean)]) for each in counts])
        on_protected = mean_scores([score(*each[:, len(clean) :]) for each in counts])
    else:
        scores = mean_scores([score(*each) for each in counts])
        values = torch.stack([case_dice(*each) for each in counts]).mean(0).tolist()
        dice = {item["id"]: round(value, 6) for item, value in zip(tested, values, strict=True)}
        pictures = draw_predictions(tested, maps) if cell.defense == "none" else {}
    result = CellResult(
        cell=cell,
        train_cases=training.cases,
        losses=training.losses,
        version=source_version(),
        scores=scores,
        case_dice=dice,
        scores_on_protected=on_protected,
        seconds=round(time.monotonic() - begin, 1),
        averaged_epochs=len(counts),
    )
    finished = Ceiling(result, pictures)
    if comparison.cache is not None and (about := _about(comparison, cell)) is not None:
        keep(comparison.cache, about, finished)
    return finished


def _about(comparison: Comparison, cell: Cell) -> dict[str, Any] | None:
    """All that decides a training that other runs may have done; None for others."""
    if cell.data not in SHARED:
        return None
    grid = comparison.matrix.entries[cell.defense].make(comparison.facts.eps).grid(comparison.files.grid)
    return describe(comparison, cell, _network(comparison, cell.exploiter, grid=grid, seed=cell.seed))


def recall_cell(comparison: Comparison, cell: Cell) -> Ceiling | None:
    """A training on clean files that another run on this machine has done; None if there is none."""
    if comparison.cache is None or (about := _about(comparison, cell)) is None:
        return None
    return recall(comparison.cache, about)


def write_cell(comparison: Comparison, finished: Ceiling) -> None:
    """Write a result, and its pictures if it is one that the report shows."""
    cell = finished.result.cell
    if finished.pictures and cell.seed == comparison.matrix.seeds[0]:
        kept = {id: picture for id, picture in finished.pictures.items() if id in comparison.facts.test_ids}
        save_predictions(comparison.output_dir / "predictions" / cell.exploiter / cell.data, kept)
    finished.result.write(comparison.result_file(cell))


def run_cell(comparison: Comparison, cell: Cell, handlers: Sequence[Any] = ()) -> None:
    """Do both, see :func:`train_cell`."""
    write_cell(comparison, train_cell(comparison, cell, handlers))
