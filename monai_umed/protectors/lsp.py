"""LSP, linearly separable perturbations: noise without any network (Yu et al. 2022)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

from .class_noise import ClassNoise


class LSP(ClassNoise):
    r"""Linearly separable perturbations (Yu et al., KDD 2022, arXiv 2111.00898): one colored mosaic per class.

    Class :math:`k` has a corner :math:`c_k \in \{-s, s\}^n` of a hypercube; a draw is
    :math:`c_k + \sqrt{n / 3}\, z` with :math:`z \sim N(0, 1)^n`, one number per tile and channel, enlarged by nearest
    neighbor.

    Differs from the paper, which draws with scikit-learn's ``make_classification``, mixing :math:`z` by a random matrix
    with entries in [-1, 1]; here tiles are independent, with the same variance. The paper scales each image to an RMS
    of 6/255 without a limit per pixel (``norm="rms"``); here the bound holds, and the default makes the most of it.
    Its tiles have 8 of 32 or 32 of 224 pixels, more than many lesions; here the default is 28 tiles to a side.

    Args:
        patch: side of a tile in pixels of the working grid; None for a 28th of the longest side, at least two.
        class_sep: :math:`s`.
        per_image, norm, rms, common: see :class:`ClassNoise`.
    """

    paper = "Yu et al. 2022, arXiv 2111.00898"

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        patch: int | None = None,
        class_sep: float = 10,
        per_image: bool = True,
        norm: str = "linf",
        rms: float = 1,
        **common: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, per_image=per_image, norm=norm, rms=rms, **common)
        self.patch = max(2, round(max(self.size) / 28)) if patch is None else int(patch)
        if self.patch < 1:
            raise ValueError(f"patch is {patch}; a tile needs a side of at least one pixel.")
        self.class_sep = float(class_sep)

    def corners(self) -> torch.Tensor:
        """Return the corner of each class, ``(num_classes, C, *tiles)``, equal for all cases and all different."""
        generator = self.generator("corners")
        tiles = [math.ceil(side / self.patch) for side in self.size]
        shape = (self.in_channels, *tiles)
        if 2 ** math.prod(shape) < self.num_classes:
            raise ValueError(f"patch is {self.patch}: {math.prod(shape)} tiles are too few; use smaller ones.")
        signs: list[torch.Tensor] = []
        while len(signs) < self.num_classes:
            drawn = torch.randint(0, 2, shape, generator=generator) * 2.0 - 1
            if not any(torch.equal(drawn, other) for other in signs):
                signs.append(drawn)
        return self.class_sep * torch.stack(signs)

    def fields(self, generator: torch.Generator) -> torch.Tensor:
        corners = self.corners()
        spread = math.sqrt(corners[0].numel() / 3)
        mosaic = corners + spread * torch.randn(corners.shape, generator=generator)
        fields = F.interpolate(mosaic, scale_factor=self.patch, mode="nearest")
        return fields[(slice(None), slice(None), *(slice(side) for side in self.size))]
