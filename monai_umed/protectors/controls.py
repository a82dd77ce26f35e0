"""Controls: noise that says nothing, and no noise at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .base import Needs
from .bounded import BoundedProtector


class Uniform(BoundedProtector):
    """Noise from U(-eps, eps), independent from pixel to pixel of the working grid and from case to case.

    What it costs an exploiter is the price of any noise of that strength.
    """

    needs = Needs.nothing
    protects_new_images = True
    paper = "control of this package"

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        return 2 * torch.rand((self.in_channels, *self.size), generator=self.case_generator(case_id)) - 1


class Identity(BoundedProtector):
    """Nothing: files go through the same code and come out unchanged. Its bound is zero, whatever ``bound`` says."""

    needs = Needs.nothing
    protects_new_images = True
    paper = "control of this package"
    changes_nothing = True

    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        return torch.zeros_like(super().bounds(image, label, spacing))

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        return torch.zeros((self.in_channels, *self.size))
