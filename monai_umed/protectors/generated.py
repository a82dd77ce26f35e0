"""Noise from a generator that is trained against a surrogate, for methods other than UMed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from monai.networks.nets.unet import UNet

from ..functional.bounded_addition import add_bounded
from ..training.precision import AutocastInferer
from .alternation import AlternatingProtector
from .surrogate import build_unet, check_counts, check_positive


class GeneratedProtector(AlternatingProtector, ABC):
    """A method with one generator for all images, ``bound * tanh(G(x))``, which also protects new images.

    The generator is MONAI's U-Net with instance normalization, trained by Adam in the turns of the noise.

    Args:
        generator_channels: widths of the generator from its first to its deepest level; the working grid must fit.
        passes: passes of the generator over the training set per turn.
        generator_learning_rate: constant learning rate of Adam.
        options: see :class:`AlternatingProtector`.
    """

    prompted: ClassVar[bool] = False
    """Whether the generator gets the foreground as one more channel."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        generator_channels: Sequence[int] = (16, 32, 64, 128),
        passes: int = 1,
        generator_learning_rate: float = 1e-3,
        **options: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        check_counts(passes=passes)
        check_positive(generator_learning_rate=generator_learning_rate)
        self.generator_channels = tuple(int(width) for width in generator_channels)
        self.passes = passes
        self.generator_learning_rate = generator_learning_rate
        self._network: UNet | None = None
        self._new_generator()

    def _new_generator(self) -> UNet:
        inputs = self.in_channels + self.prompted
        seed = self.seed + 1  # other weights than the surrogate's
        return build_unet(
            self.spatial_dims, inputs, self.in_channels, channels=self.generator_channels, size=self.size, seed=seed
        )

    @abstractmethod
    def generator_loss(
        self, surrogate: torch.nn.Module, image: torch.Tensor, label: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss that the generator minimizes.

        Args:
            surrogate: network in evaluation mode.
            image: ``(B, C, *size)`` in [0, 1], without noise.
            label: class numbers ``(B, 1, *size)``.
            noise: ``(B, C, *size)`` in [0, 1] units, within its bound and such that the sum stays in [0, 1].
        """

    def fractions(self, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the noise of a batch in units of the bound, ``(B, C, *size)`` in [-1, 1]."""
        assert self._network is not None  # the base class refuses what is not fitted
        seen = torch.cat([image, (label > 0).to(image.dtype)], dim=1) if self.prompted else image
        return AutocastInferer(self.amp)(seen, self._network).tanh()

    def begin(self, items: list[dict]) -> None:
        self._network = self._new_generator().to(self.device)
        self._optimizer = torch.optim.Adam(self._network.parameters(), self.generator_learning_rate)

    def turn(self, network: torch.nn.Module, batch: list[dict]) -> None:
        image, label, bound = self.stack(batch, "image", "label", "bound")
        noise = add_bounded(image, self.fractions(image, label) * bound, bound) - image
        self._optimizer.zero_grad(set_to_none=True)
        self.generator_loss(network, image, label, noise).backward()
        self._optimizer.step()

    def show(self, batch: list[dict]) -> torch.Tensor:
        image, label, bound = self.stack(batch, "image", "label", "bound")
        return add_bounded(image, self.fractions(image, label) * bound, bound)

    def finish(self, items: list[dict]) -> None:
        assert self._network is not None
        self._network.eval().requires_grad_(False)
        del self._optimizer

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        assert self._network is not None
        device = next(self._network.parameters()).device
        return self.fractions(image[None].to(device), label[None].to(device))[0]

    def state(self) -> dict[str, Any]:
        """Return the generator's weights."""
        return {} if self._network is None else dict(self._network.state_dict())

    def load_state(self, state: Mapping[str, Any]) -> None:
        network = self._new_generator()
        network.load_state_dict(dict(state))
        self._network = network.to(next(iter(state.values())).device).eval().requires_grad_(False)
