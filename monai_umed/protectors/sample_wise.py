"""Noise that is optimized for each training case, and therefore fits no other image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from ..functional.bounded_addition import add_bounded
from .alternation import AlternatingProtector
from .surrogate import check_counts, check_positive, in_units

INT8 = 127
"""Steps of the bound, to either side, in which noise is stored: finer than 8-bit files at usual bounds."""


class SampleWiseProtector(AlternatingProtector, ABC):
    """A method with freely optimized noise for each training case, stored as int8 on the working grid.

    Random patches of volumes cannot be fitted: use items of ``layout="windows"`` or ``"resampled"``, or slices whose
    ``id`` is ``"<case>:<index>"``.

    Args:
        noise_steps: gradient steps per case and turn.
        noise_step: length of a step as a fraction of eps.
        options: see :class:`AlternatingProtector`.
    """

    protects_new_images: ClassVar[bool] = False

    def __init__(
        self, spatial_dims: int, in_channels: int, noise_steps: int = 4, noise_step: float = 0.25, **options: Any
    ) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        check_counts(noise_steps=noise_steps)
        check_positive(noise_step=noise_step)
        self.noise_steps = noise_steps
        self.noise_step = noise_step
        self._stored: dict[str, torch.Tensor] = {}

    @abstractmethod
    def move(
        self,
        network: torch.nn.Module,
        image: torch.Tensor,
        label: torch.Tensor,
        bound: torch.Tensor,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        """Improve the noise of a batch against the frozen surrogate, and return the protected images.

        Args:
            network: surrogate in evaluation mode.
            image: ``(B, C, *size)`` in [0, 1].
            label: class numbers ``(B, 1, *size)``.
            bound: ``(B, 1, *size)`` in [0, 1] units.
            noise: initial noise, ``(B, C, *size)`` in [0, 1] units.
        """

    def begin(self, items: list[dict]) -> None:
        """Draw uniform noise within the bound, which does not depend on the order of the cases."""
        twice = [case for case, count in Counter(item["id"] for item in items).items() if count > 1]
        if twice:
            raise ValueError(
                f"{type(self).__name__} keeps one noise per case, but {len(twice)} case(s) come more than once, "
                f"{twice[0]!r} for one. Load volumes with layout='windows' or 'resampled', and give slices ids such as "
                f"'{twice[0]}:0'."
            )
        for item in items:
            draw = torch.rand(item["image"].shape, generator=self.generator(item["id"]))
            item["noise"] = (2 * draw - 1) * item["bound"]

    def turn(self, network: torch.nn.Module, batch: list[dict]) -> None:
        image, label, bound, noise = self.stack(batch, "image", "label", "bound", "noise")
        moved = self.move(network, image, label, bound, noise) - image
        for item, own in zip(batch, moved.cpu(), strict=True):
            item["noise"] = own

    def show(self, batch: list[dict]) -> torch.Tensor:
        return add_bounded(*self.stack(batch, "image", "noise", "bound"))

    def finish(self, items: list[dict]) -> None:
        fractions = ((item["id"], in_units(item["noise"], item["bound"])) for item in items)
        self._stored = {case: (INT8 * fraction).round().to(torch.int8) for case, fraction in fractions}

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        if case_id not in self._stored:
            raise ValueError(
                f"{type(self).__name__} has no noise for case {case_id!r}: it keeps one for each of the "
                f"{len(self._stored)} cases that it was fitted on and cannot make others. Fit it on all cases that "
                "are to be protected, under the same ids, or use a method that protects new images, such as umed."
            )
        return self._stored[case_id].to(torch.float32) / INT8

    def state(self) -> dict[str, Any]:
        """Return one int8 tensor ``(C, *size)`` per case id."""
        return dict(self._stored)

    def load_state(self, state: Mapping[str, Any]) -> None:
        shape = (self.in_channels, *self.size)
        for case, noise in state.items():
            if getattr(noise, "dtype", None) != torch.int8 or tuple(noise.shape) != shape:
                raise ValueError(f"The noise of case {case!r} is not an int8 tensor of shape {shape}; fit again.")
        self._stored = {case: noise.cpu() for case, noise in state.items()}
