"""Use MONAI's dictionary transforms as an exploiter's augmentation of batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.transforms import Compose, Randomizable, Transform
from monai.utils.enums import CommonKeys as Keys

from .batch_operations import Pair, augment_batch

BOTH = (Keys.IMAGE, Keys.LABEL)
LINEAR = {2: "bilinear", 3: "trilinear"}


class Augment(Randomizable):
    """Apply MONAI's dictionary transforms, which are built at the first batch of a size, to whole batches.

    Every case gets what the transforms would draw for one case after the other. The image is clipped to [0, 1].

    Args:
        make: builds the transforms for a spatial size, which :meth:`~monai_umed.defenses.Defense.augmentation` does not
            know.
    """

    def __init__(self, make: Callable[[tuple[int, ...]], Sequence[Transform]]) -> None:
        self.make = make
        self._made: dict[tuple[int, ...], Compose] = {}

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> Augment:
        super().set_random_state(seed, state)
        self._made.clear()
        return self

    def __call__(self, image: torch.Tensor, label: torch.Tensor) -> Pair:
        """Change a batch.

        Args:
            image: ``(B, C, *spatial)`` in [0, 1].
            label: class numbers ``(B, 1, *spatial)``.
        """
        size = tuple(image.shape[2:])
        if size not in self._made:
            self._made[size] = Compose(self.make(size)).set_random_state(state=self.R)
        dtype = label.dtype
        image, label = image.clone(), label.to(image.dtype, copy=True)
        for transform in self._made[size].transforms:
            image, label = augment_batch(transform, image, label)
        return image.clamp(0, 1), label.to(dtype)


@augment_batch.register
def _(transform: Augment, image: torch.Tensor, label: torch.Tensor) -> Pair:
    return transform(image, label)
