"""Synthetic noise with one field per class, composed by the label: the base of LSP and AR."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch

from .base import Needs
from .bounded import BoundedProtector

NORMS = ("linf", "rms")


def composite(fields: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Take every pixel from the field of its class.

    Args:
        fields: one field per class, shape ``(classes, C, *spatial)``.
        label: class numbers, shape ``(1, *spatial)``.

    Returns:
        The noise, ``(C, *spatial)``.
    """
    return fields.gather(0, label.to(fields.device, torch.int64).expand(fields.shape[1:])[None])[0]


class ClassNoise(BoundedProtector):
    """Noise that tells the class of a pixel and nothing else about the image.

    Args:
        per_image: whether each case has fields of its own instead of sharing them.
        norm: ``"linf"`` scales each field to a peak of eps, ``"rms"`` to a root mean square of ``rms * eps``, before
            the bound clips it.
        rms: see ``norm``.
        common: see :class:`BoundedProtector`.
    """

    needs = Needs.nothing
    protects_new_images = True

    def __init__(
        self, spatial_dims: int, in_channels: int, *, per_image: bool, norm: str, rms: float, **common: Any
    ) -> None:
        super().__init__(spatial_dims, in_channels, **common)
        if norm not in NORMS:
            raise ValueError(f"norm is {norm!r}; use one of {', '.join(NORMS)}.")
        if not rms > 0:
            raise ValueError(f"rms is {rms}; it must be positive, in units of eps.")
        self.per_image = per_image
        self.norm = norm
        self.rms = float(rms)

    @abstractmethod
    def fields(self, generator: torch.Generator) -> torch.Tensor:
        """Draw fields of any amplitude, ``(num_classes, C, *size)``."""

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        fields = self.fields(self.case_generator(case_id) if self.per_image else self.generator(None))
        every = tuple(range(1, fields.ndim))
        if self.norm == "linf":
            fields = fields / fields.abs().amax(every, keepdim=True)
        else:
            fields = fields * (self.rms / fields.square().mean(every, keepdim=True).sqrt())
        return composite(fields.to(torch.float32), label)
