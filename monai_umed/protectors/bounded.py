"""The base of methods with one bound map and noise on a working grid: all methods except UMed."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from ..data.patches import tile, untile
from ..data.slices import window_id
from ..functional.resampling import resize
from .base import Protector
from .bounds import Bound, parse_bound


class BoundedProtector(Protector):
    """A method that contributes :meth:`raw` noise, while the bound decides where it applies and how strongly.

    Images and labels are resampled to the working grid, and the noise to the image's own size. So the pattern has the
    scale of the grid at which exploiters train, while bounds and gray levels are those of the file. Exploiters resample
    images, but see volumes in windows of native voxels, for which ``native`` is made.

    Args:
        size: working grid, one number per spatial axis.
        bound: where changes are allowed, see :func:`monai_umed.protectors.bounds.parse_bound`: ``"full"``, ``"roi"``,
            ``"band"``, ``"lbp"``, a product such as ``"roi*lbp"``, or a mapping with options; None for the method's
            :attr:`default_bound`.
        num_classes: classes of the labels, background included.
        seed: seed of all random numbers.
        native: whether the image is divided into windows of native pixels, as large as the working grid, instead of
            being resampled to it.
    """

    default_bound: ClassVar[str] = "full"

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        eps: float = 4 / 255,
        size: Sequence[int] = (128, 128),
        bound: str | Mapping[str, Any] | Bound | None = None,
        num_classes: int = 2,
        seed: int = 0,
        slice_axis: int | None = None,
        native: bool = False,
    ) -> None:
        super().__init__(spatial_dims, in_channels, eps, slice_axis)
        if len(size) != spatial_dims or min(size) < 1:
            raise ValueError(f"size is {tuple(size)}; give {spatial_dims} positive numbers, one per axis.")
        if num_classes < 2:
            raise ValueError(f"num_classes is {num_classes}; it must be at least 2, the background included.")
        self.size = tuple(int(side) for side in size)
        if not isinstance(native, bool):
            raise ValueError(f"native is {native!r}; use True or False.")
        self.native = native
        self.bound_map = parse_bound(self.default_bound if bound is None else bound, self.grid)
        self.num_classes = int(num_classes)
        self.seed = int(seed)

    @property
    def grid(self) -> tuple[int, ...] | None:
        return None if self.native else self.size

    @property
    def bound(self) -> str | dict[str, Any]:
        """The argument of this name, as plain values."""
        return self.bound_map.settings()

    @abstractmethod
    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        """Return noise on the working grid in units of the bound, ``(C, *size)``; it is clipped to [-1, 1] later.

        Args:
            image: intensities in [0, 1], shape ``(C, *size)``.
            label: class numbers as float, shape ``(1, *size)``.
            case_id: see :meth:`noise`.
        """

    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        """Return one region, ``eps`` times the strength of the bound map.

        Raises:
            ValueError: If the label has more classes than the protector was made for.
        """
        highest = int(label.to(torch.float32).max())  # PyTorch has no maximum of uint16
        if highest >= self.num_classes:
            raise ValueError(
                f"The label has class {highest}, the protector was made for {self.num_classes} classes with "
                f"the numbers 0 to {self.num_classes - 1}; give num_classes={highest + 1}, or merge classes."
            )
        return self.bound_map.strength(image, label, spacing).mul_(self.eps)

    def noise(
        self, image: torch.Tensor, label: torch.Tensor, bounds: torch.Tensor, case_id: str | None
    ) -> torch.Tensor:
        raws = [self.raw(*window) for window in self.to_grid(image, label, case_id)]
        return self.to_native(raws, bounds)

    def to_grid(
        self, image: torch.Tensor, label: torch.Tensor, case_id: str | None
    ) -> list[tuple[torch.Tensor, torch.Tensor, str | None]]:
        """Return the arguments of :meth:`raw` for one image: the image on the working grid, or its windows."""
        image, label = image.to(torch.float32), label.to(torch.float32)
        if not self.native:
            classes = F.interpolate(label[None], size=self.size, mode="nearest")
            return [(resize(image[None], self.size)[0], classes[0], case_id)]
        images, labels = tile(image, self.size), tile(label, self.size)
        names = [None if case_id is None else window_id(case_id, index, len(images)) for index in range(len(images))]
        return list(zip(images, labels, names, strict=True))

    def to_native(self, raws: Sequence[torch.Tensor], bounds: torch.Tensor) -> torch.Tensor:
        """Convert the results of :meth:`raw` for :meth:`to_grid` to noise in [0, 1] units on the grid of the bounds."""
        spatial = bounds.shape[1:]
        noise = untile(torch.stack(list(raws)), spatial) if self.native else resize(raws[0][None], spatial)[0]
        return noise.to(bounds.device) * bounds

    def generator(self, case_id: str | None) -> torch.Generator:
        """Return a random generator that depends on the seed and, unless it is None, on the case."""
        name = f"{self.seed}" if case_id is None else f"{self.seed} {case_id}"
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        return torch.Generator().manual_seed(number)

    def case_generator(self, case_id: str | None) -> torch.Generator:
        """Return the :meth:`generator` for a method that must not give two cases the same noise.

        Raises:
            ValueError: If ``case_id`` is None.
        """
        if case_id is None:
            raise ValueError(f"{type(self).__name__} draws new noise for each case; pass case_id, the case's name.")
        return self.generator(case_id)
