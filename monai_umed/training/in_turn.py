"""Several surrogates in the place of one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class InTurn(nn.Module):
    """Networks of which one answers at a time, so that training gives every one of them its share of the batches.

    What fools one architecture may be passed over by another; noise that is fitted to several in turn has to suit all.

    Args:
        networks: with equal inputs and outputs, at least one.

    Attributes:
        turn: number of the batch; the networks follow each other.

    Raises:
        ValueError: if there is no network.
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
