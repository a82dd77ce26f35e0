"""Stamps: fixed patterns that mark the foreground, a control that every learned method must beat somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import torch

from .base import Needs
from .bounded import BoundedProtector

PATTERNS = ("grating", "checkerboard")


def product_wave(size: Sequence[int], period: float, axes: torch.Tensor, phases: torch.Tensor) -> torch.Tensor:
    """Product of one sine wave along each of several directions, scaled to a peak of 1.

    Args:
        size: of the field.
        period: of every wave in pixels.
        axes: one unit vector per row, shape ``(waves, len(size))``.
        phases: one per wave in radians; 0 puts the zero of a sine on the corner of the first pixel.

    Returns:
        ``float32`` field of that size in [-1, 1].
    """
    centers = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) + 0.5 for side in size), indexing="ij")
    waves = torch.tensordot(axes.to(torch.float64), torch.stack(centers), dims=1) * (2 * pi / period)
    wave = (waves + phases.reshape(-1, *[1] * len(size))).sin().prod(dim=0)
    return (wave / wave.abs().max()).to(torch.float32)


class _Stamp(BoundedProtector):
    """A product grating or its signs, the same in all channels and for all classes."""

    needs = Needs.nothing
    protects_new_images = True
    paper = "control of this package"
    # A stamp on the full image tells nothing about the label.
    default_bound = "roi"

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        period: float = 4,
        pattern: str = "grating",
        **common: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, **common)
        if not period >= 2:
            raise ValueError(f"period is {period}; pixels hold no wave shorter than 2 of them.")
        if pattern not in PATTERNS:
            raise ValueError(f"pattern is {pattern!r}; use one of {', '.join(PATTERNS)}.")
        self.period = float(period)
        self.pattern = pattern

    def _stamp(self, axes: torch.Tensor, phases: torch.Tensor) -> torch.Tensor:
        wave = product_wave(self.size, self.period, axes, phases)
        if self.pattern == "checkerboard":
            wave = wave.sign()
        return wave.expand(self.in_channels, *self.size)


class ConstantStamp(_Stamp):
    r"""The same pattern in every image, at the same place: :math:`\prod_a \sin(2 \pi x_a / p)` over the axes.

    Every learned perturbation within a mask stamps the label into the image; this one does so without learning.

    Args:
        spatial_dims: see :class:`BoundedProtector`, as ``in_channels`` and ``common``.
        period: :math:`p` in pixels of the working grid.
        pattern: ``"grating"``, or ``"checkerboard"`` for its signs: squares of half a period.
        common: further arguments of :class:`BoundedProtector`.
    """

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        return self._stamp(torch.eye(self.spatial_dims), torch.zeros(self.spatial_dims))


class RandomStamp(_Stamp):
    """The pattern of :class:`ConstantStamp`, turned and shifted at random from case to case; arguments as there."""

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        generator = self.case_generator(case_id)
        axes = torch.linalg.qr(torch.randn((self.spatial_dims,) * 2, generator=generator, dtype=torch.float64)).Q
        return self._stamp(axes, 2 * pi * torch.rand(self.spatial_dims, generator=generator))
