"""All-foreground noise from a prompted generator, in the manner of UnSeg (Sun et al. 2024, arXiv 2410.09909)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from .generated import GeneratedProtector


class UnSeg(GeneratedProtector):
    r"""A generator whose noise makes a surrogate predict the object everywhere (Sun et al. 2024, NeurIPS).

    The surrogate :math:`f` learns the true masks of protected images; in the turns between, the generator minimizes
    :math:`L(f(x + d), 1)`, the loss for a mask of ones, with
    :math:`d = (y \epsilon + (1 - y) \epsilon_{bg}) \tanh G(x, y)`: the object gets the full budget, the background a
    fraction of it. Networks that find the object by this noise have learned nothing about the image.

    Differs from the paper, hence "in the manner of": generator and surrogate are small U-Nets trained on the dataset,
    not the Segment Anything model on 44,000 photographs; the prompt is the foreground as one more input channel; the
    budget is the same for fit and use instead of being enlarged afterwards. All foreground classes are one object.

    Args:
        background: budget of the background as a fraction of the object's; a quarter in the paper.
        rounds, surrogate_steps, passes, options: see :class:`GeneratedProtector`; 3 passes as in the paper.
    """

    paper: ClassVar[str] = "Sun et al. 2024, arXiv 2410.09909 (in its manner)"
    union: ClassVar[bool] = True
    prompted: ClassVar[bool] = True

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        background: float = 0.25,
        rounds: int = 5,
        surrogate_steps: int = 30,
        passes: int = 3,
        **options: Any,
    ) -> None:
        super().__init__(
            spatial_dims, in_channels, rounds=rounds, surrogate_steps=surrogate_steps, passes=passes, **options
        )
        if not 0 <= background <= 1:
            raise ValueError(f"background is {background}; it must be from 0 to 1, a fraction of the object's budget.")
        self.background = background

    def fractions(self, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        foreground = (label > 0).to(image.dtype)
        return super().fractions(image, label) * (foreground + (1 - foreground) * self.background)

    def generator_loss(
        self, surrogate: torch.nn.Module, image: torch.Tensor, label: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        return self.loss(surrogate, torch.ones_like(label))(image + noise)
