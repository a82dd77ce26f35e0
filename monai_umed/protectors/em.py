"""Error-minimizing noise per case and per class (Huang et al. 2021, arXiv 2101.04898)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from ..functional.bounded_addition import add_bounded
from ..functional.projected_gradient import minimize
from .alternation import AlternatingProtector
from .class_noise import composite
from .sample_wise import SampleWiseProtector
from .surrogate import check_positive


class EM(SampleWiseProtector):
    r"""Error-minimizing noise for each case (Huang et al. 2021, ICLR, arXiv 2101.04898).

    .. math:: \min_\theta \sum_i \min_{|d_i| \le b_i} L(f_\theta(x_i + d_i), y_i)

    Surrogate and noise minimize the same loss in turn: a few steps of the surrogate on the protected images, then
    :math:`d \leftarrow \mathrm{clip}_b(d - a\,\mathrm{sign}\,\nabla_d L)` for every case against the frozen surrogate.

    Differs from the paper: cross-entropy plus Dice of every pixel instead of the cross-entropy of a class; Adam and
    a U-Net; 4 steps of eps/4 per turn instead of 20 of eps/10, in at most 12 turns, to save time on CPUs; it stops at
    a Dice similarity of 0.99 of the foreground instead of 1 % training error.
    """

    paper: ClassVar[str] = "Huang et al. 2021, arXiv 2101.04898"

    def move(
        self,
        network: torch.nn.Module,
        image: torch.Tensor,
        label: torch.Tensor,
        bound: torch.Tensor,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        loss = self.loss(network, self.target(label))
        return minimize(loss, image, bound, steps=self.noise_steps, step_size=self.noise_step * self.eps, start=noise)


class ClassWiseEM(AlternatingProtector):
    """Error-minimizing noise for each class (Huang et al. 2021, ICLR, arXiv 2101.04898).

    In segmentation, every pixel has a class: the noise of a class is a tile of the size of the working grid, and each
    pixel gets that of its class. Tiles fit any image, also new ones.

    Differs from the paper like :class:`EM`. In addition, tiles move by the signs of gradients summed over a batch, and
    over all cases instead of a fifth of them.

    Args:
        noise_step: length of a step as a fraction of eps; the tiles take one step per batch and turn.
        options: see :class:`AlternatingProtector`.
    """

    paper: ClassVar[str] = "Huang et al. 2021, arXiv 2101.04898"

    def __init__(self, spatial_dims: int, in_channels: int, noise_step: float = 0.1, **options: Any) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        check_positive(noise_step=noise_step)
        self.noise_step = noise_step
        self._tiles: torch.Tensor | None = None

    def begin(self, items: list[dict]) -> None:
        shape = (self.num_classes, self.in_channels, *self.size)
        self._tiles = 2 * torch.rand(shape, generator=self.generator(None)) - 1

    @staticmethod
    def _protect(tiles: torch.Tensor, image: torch.Tensor, label: torch.Tensor, bound: torch.Tensor) -> torch.Tensor:
        return add_bounded(image, torch.stack([composite(tiles, classes) for classes in label]) * bound, bound)

    def turn(self, network: torch.nn.Module, batch: list[dict]) -> None:
        assert self._tiles is not None
        image, label, bound = self.stack(batch, "image", "label", "bound")
        loss = self.loss(network, self.target(label))
        # Tiles in [-1, 1] are optimized like a gray image in [0, 1] with a bound of one half.
        tiles = minimize(
            lambda half: loss(self._protect(2 * half - 1, image, label, bound)),
            torch.full_like(self._tiles, 0.5, device=self.device),
            0.5,
            steps=1,
            step_size=0.5 * self.noise_step,
            start=(0.5 * self._tiles).to(self.device),
        )
        self._tiles = (2 * tiles - 1).cpu()

    def show(self, batch: list[dict]) -> torch.Tensor:
        assert self._tiles is not None
        return self._protect(self._tiles.to(self.device), *self.stack(batch, "image", "label", "bound"))

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        assert self._tiles is not None  # the base class refuses what is not fitted
        return composite(self._tiles, label)

    def state(self) -> dict[str, Any]:
        """Return ``tiles``, ``(classes, C, *size)`` in units of the bound."""
        return {} if self._tiles is None else {"tiles": self._tiles}

    def load_state(self, state: Mapping[str, Any]) -> None:
        shape = (self.num_classes, self.in_channels, *self.size)
        if state.keys() != {"tiles"} or tuple(state["tiles"].shape) != shape:
            raise ValueError(f"This is not a state of tiles of shape {shape}; fit again.")
        self._tiles = state["tiles"].cpu()
