"""Train on mixtures of two cases, images and labels: Mixup and CutMix."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy import stats

from .base import Defense, Objective


def draw_fractions(alpha: float, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw ``count`` numbers from Beta(alpha, alpha), float64.

    PyTorch's own Beta only uses the global generator, so uniform numbers are mapped by the inverse of the distribution
    function.

    Args:
        alpha: both parameters of the distribution; 1 is uniform, below 1 numbers are closer to 0 and 1.
        count: how many numbers to draw.
        generator: random generator on the CPU.
    """
    uniform = torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.from_numpy(stats.beta.ppf(uniform.numpy(), alpha, alpha))


def draw_boxes(fraction: torch.Tensor, size: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Draw one box per case, anywhere within the image.

    All sides are the same fraction of the image's sides. A box never crosses the border, so that its area is exact up
    to the rounding of each side to whole pixels.

    Args:
        fraction: fraction of the area that each box covers, ``(B,)`` in [0, 1].
        size: spatial size of the images.
        generator: random generator on the CPU.

    Returns:
        Boolean ``(B, 1, *size)``, True inside the boxes.
    """
    boxes = torch.ones(len(fraction), 1, *size, dtype=torch.bool)
    for axis, length in enumerate(size):
        side = (length * fraction ** (1 / len(size))).round()
        start = (torch.rand(len(fraction), generator=generator, dtype=torch.float64) * (length - side + 1)).floor()
        position = torch.arange(length)
        inside = (position >= start[:, None]) & (position < (start + side)[:, None])
        boxes &= inside.reshape(-1, *[length if other == axis else 1 for other in range(-1, len(size))])
    return boxes


def mix_with_partners(
    image: torch.Tensor, label: torch.Tensor, weight: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix every case with a partner from a permutation of the batch, which may be the case itself, as published.

    Args:
        image: ``(B, C, *spatial)``.
        label: ``(B, 1 or classes, *spatial)``, float.
        weight: weight of the case itself in [0, 1], broadcastable to both; the partner has the rest.
        generator: random generator on the CPU.
    """
    partner = torch.randperm(len(image), generator=generator).to(image.device)
    weight = weight.to(image)
    return weight * image + (1 - weight) * image[partner], weight * label + (1 - weight) * label[partner]


@dataclass(frozen=True)
class _Mixing(Defense, ABC):
    """Mix every case with a partner.

    Args:
        alpha: both parameters of the Beta distribution of the fraction that a case keeps of itself.
        probability: probability of each case to be mixed.
    """

    alpha: float = 1.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha is {self.alpha}; it must be positive, 1 draws uniformly.")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it must be between 0 and 1.")

    @abstractmethod
    def weight(self, fraction: torch.Tensor, size: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Distribute the fractions that cases keep, ``(B,)``, over the spatial axes, ``(B, 1, *size or 1s)``."""

    def batch(
        self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.rand(len(image), generator=generator) < self.probability
        fraction = draw_fractions(self.alpha, len(image), generator).masked_fill(~chosen, 1)
        return mix_with_partners(image, label, self.weight(fraction, image.shape[2:], generator), generator)


@dataclass(frozen=True)
class Mixup(_Mixing):
    """Weighted means of two images and of their labels (Zhang et al. 2018, arXiv 1710.09412, Eq. 1)."""

    def weight(self, fraction: torch.Tensor, size: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        return fraction.reshape(-1, *[1] * (len(size) + 1))


@dataclass(frozen=True)
class CutMix(_Mixing):
    """A box of another image, pasted at the same place with its label (Yun et al. 2019, arXiv 1905.04899, Eq. 1, 2).

    The fraction that is kept is one of the area; labels of pixels need no weight.
    """

    def weight(self, fraction: torch.Tensor, size: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        return ~draw_boxes(1 - fraction, size, generator)
