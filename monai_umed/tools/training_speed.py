"""Time a step of an exploiter's training, with and without augmentation, against the bare network on random tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import process_time

import torch

from ..defenses import Materials, defense_entry
from ..exploiters.registry import build_exploiter, encoder_of
from ..exploiters.train import train_exploiter
from .timing import Row, Wanted, alternate, time_share

BATCH, STEPS = 16, 4
LIMITS = {"none": 1.15, "flips+affine": 1.15, "random-crop": 1.15, "nnunet": 1.5}
"""Largest share of the bare network's time by defense."""


def _items(grid: tuple[int, ...]) -> list[dict]:
    draw = torch.Generator().manual_seed(0)
    return [
        {
            "id": str(index),
            "image": torch.rand(1, *grid, generator=draw),
            "label": (torch.rand(1, *grid, generator=draw) > 0.5).float(),
        }
        for index in range(BATCH * STEPS)
    ]


def bare_steps(network: torch.nn.Module, grid: tuple[int, ...]) -> Callable[[], None]:
    """Forward, backward and Adam on random tensors, in the memory layout of trainings; returns what does one epoch."""
    layout = torch.channels_last if len(grid) == 2 else torch.channels_last_3d
    network = network.to(memory_format=layout).train()  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    image = torch.rand(BATCH, 1, *grid, generator=torch.Generator().manual_seed(0))

    def epoch() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            network(image).square().mean().backward()
            optimizer.step()

    return epoch


def compare_training(wanted: Wanted, *, exploiter: str = "unet-batch", grid: tuple[int, ...] = (128, 128)) -> list[Row]:
    """Epochs of four steps under each defense of :data:`LIMITS` against four bare steps, in turns.

    Args:
        wanted: how many samples of each.
        exploiter: name of the network.
        grid: of the images.
    """
    build = partial(build_exploiter, exploiter, 1, spatial_dims=len(grid), image_size=grid)
    items = _items(grid)

    def epoch(name: str) -> Callable[[], object]:
        network = build()
        train = partial(train_exploiter, epochs=1, batch_size=BATCH, fused=True, progress=False)
        materials = Materials(build, train, encoder_of(exploiter))
        defense = defense_entry(name).make(materials.eps)
        return lambda: train(network, items, defense=defense, materials=materials)

    functions = [*map(epoch, LIMITS), bare_steps(build(), grid)]
    *ours, bare = alternate(functions, wanted.repeats, least=0, clock=process_time)  # whatever else the machine does
    size = " x ".join(map(str, (BATCH, *grid)))
    return [
        time_share(f"{exploiter}, step of {size}, {name}", "bare network", time / STEPS, bare / STEPS, most=limit)
        for (name, limit), time in zip(LIMITS.items(), ours, strict=True)
    ]
