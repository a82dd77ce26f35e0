"""Controls: noise without information, and no noise at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .base import Needs
from .bounded import BoundedProtector


class Uniform(BoundedProtector):
    """Noise from U(-eps, eps), independent for every pixel of the working grid and every case.

    Its effect on an exploiter is that of any noise of this strength.
    """

    needs = Needs.nothing
    protects_new_images = True
    paper = "control of this package"

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        return 2 * torch.rand((self.in_channels, *self.size), generator=self.case_generator(case_id)) - 1


class Identity(BoundedProtector):
    """No noise: files pass through the same code and stay unchanged. The bound is zero, whatever ``bound`` is."""

    needs = Needs.nothing
    protects_new_images = True
    paper = "control of this package"
    changes_nothing = True

    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        return torch.zeros_like(super().bounds(image, label, spacing))

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        return torch.zeros((self.in_channels, *self.size))
