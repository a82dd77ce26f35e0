"""A network and cases that are small enough to know the best noise by heart."""

from __future__ import annotations

from typing import Any

import torch

WEIGHT = -3.0
TINY: dict[str, Any] = {"size": (16, 16), "channels": (4, 8), "batch_size": 4, "amp": False, "eps": 8 / 255}


def linear_network(weight: float = WEIGHT, channels: int = 1, classes: int = 1) -> torch.nn.Module:
    """Every logit is a multiple of its own pixel, so that the best noise is a corner of its bound."""
    network = torch.nn.Conv2d(channels, classes, 1)
    torch.nn.init.constant_(network.weight, weight)
    torch.nn.init.zeros_(network.bias)  # type: ignore[arg-type]
    return network.eval().requires_grad_(False)


def toy_items(count: int = 4, channels: int = 1, classes: int = 2, side: int = 16) -> list[dict]:
    """Noise away from black and white, and a square with a core of the last class."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for index in range(count):
        image = 0.1 + 0.8 * torch.rand(channels, side, side, generator=generator)
        label = torch.zeros(1, side, side)
        label[:, 4:12, 3 + index % 4 : 12] = 1
        label[:, 6:10, 7:10] = classes - 1
        items.append({"id": f"case {index}", "image": image, "label": label})
    return items


def batch_of(items: list[dict], bound: float) -> list[torch.Tensor]:
    """Images, labels, bounds and uniform noise of items on the working grid."""
    image, label = (torch.stack([item[key] for item in items]) for key in ("image", "label"))
    bounds = torch.full_like(label, bound)
    noise = bound * (2 * torch.rand(image.shape, generator=torch.Generator().manual_seed(3)) - 1)
    return [image, label, bounds, noise]
