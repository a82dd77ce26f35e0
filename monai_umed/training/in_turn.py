"""Several surrogates that take turns in the place of one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class InTurn(nn.Module):
    """Networks that take turns, one per batch.

    One architecture may ignore what fools another; noise that is fitted to several in turn has to fool them all.

    Args:
        networks: at least one network, all with equal inputs and outputs.

    Attributes:
        turn: number of the batch, which selects the network; the caller counts it.

    Raises:
        ValueError: If ``networks`` is empty.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if not networks:
            raise ValueError("networks is empty; give at least one.")
        self.networks = nn.ModuleList(networks)
        self.turn = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.networks[self.turn % len(self.networks)](image)
        return output
