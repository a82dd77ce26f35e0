"""How long trainings on volumes take, told before they start: from single steps on random voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter

import torch

from ..data.cases import find_cases
from ..data.codec import read_image
from ..exploiters.registry import build_exploiter
from ..exploiters.train import epochs_of
from ..training.metrics import OVERLAP
from .folders import Folders
from .last_epochs import EPOCHS
from .plan import Cell
from .results import Comparison

_LOOK = 8  # test volumes whose size is looked at


def _seconds(comparison: Comparison, exploiter: str, batch_size: int) -> tuple[float, float]:
    """Of a step of a training, and of one window in a test."""
    files, device = comparison.files, comparison.matrix.device
    network = build_exploiter(
        exploiter,
        comparison.facts.in_channels,
        num_classes=files.num_classes,
        network_size=comparison.matrix.network_size,
        spatial_dims=3,
        image_size=files.grid,
    ).to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters())
    image = torch.rand(batch_size, comparison.facts.in_channels, *files.grid, device=device)
    for _ in range(2):  # what the first step sets up counts once in a training
        begin = perf_counter()
        network(image).square().mean().backward()
        optimizer.step()
        step = perf_counter() - begin
    begin = perf_counter()
    with torch.no_grad():
        network.eval()(image)
    return step, (perf_counter() - begin) / batch_size


def _windows(comparison: Comparison) -> float:
    """Windows that slide over all test volumes."""
    files = comparison.files
    cases = find_cases(files.test_dir, files.test_section)
    looked = cases[:: max(1, len(cases) // _LOOK)]
    counts = [
        math.prod(
            math.ceil(max(0, side - window) / max(1, int(window * (1 - OVERLAP)))) + 1
            for side, window in zip(read_image(case.image, files.intensity_window).shape, files.grid, strict=True)
        )
        for case in looked
    ]
    return len(cases) * sum(counts) / len(counts)


def forecast(comparison: Comparison, cells: Sequence[Cell], at_once: int) -> float:
    """Seconds that trainings on volumes take, without what some defenses add to a step.

    Args:
        comparison: what they belong to, with a grid of three axes.
        cells: which ones.
        at_once: how many run at the same time.
    """
    recipe, threads = comparison.matrix.recipe, torch.get_num_threads()
    batch_size, epochs = recipe.get("batch_size", 16), recipe.get("epochs", 15)
    items = len(Folders(comparison.files, comparison.facts, grid=comparison.files.grid).clean())
    if (steps := recipe.get("steps")) is not None:
        epochs = epochs_of(steps, items, batch_size)
    windows, total = _windows(comparison), 0.0
    torch.set_num_threads(max(1, threads // at_once))
    try:
        costs = {name: _seconds(comparison, name, batch_size) for name in {cell.exploiter for cell in cells}}
    finally:
        torch.set_num_threads(threads)
    for cell in cells:
        step, window = costs[cell.exploiter]
        defense = comparison.matrix.entries[cell.defense].make(comparison.facts.eps)
        passes = 0 if cell.data == "untrained" else defense.epochs(epochs) * (0.5 if cell.data.endswith("half") else 1)
        tests = EPOCHS if passes and not defense.finishes else 1
        total += passes * math.ceil(items / batch_size) * step + tests * windows * window
    return total / at_once
