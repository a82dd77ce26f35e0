"""Use MONAI's dictionary transforms as an exploiter's augmentation of plain tensors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import Compose, Randomizable, Transform
from monai.utils import convert_to_tensor
from monai.utils.enums import CommonKeys as Keys

BOTH = (Keys.IMAGE, Keys.LABEL)
LINEAR = {2: "bilinear", 3: "trilinear"}


class Augment(Randomizable, Transform):
    """Apply MONAI's dictionary transforms, which are built at the first item of a size, to plain tensors.

    The results are plain tensors, the image clipped to [0, 1], the label in its own dtype. The tensors of the item are
    not changed.

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

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        size = tuple(data[Keys.IMAGE].shape[1:])
        if size not in self._made:
            self._made[size] = Compose(self.make(size)).set_random_state(state=self.R)
        # MONAI's coarse dropout changes its input in place.
        result = self._made[size]({**data, Keys.IMAGE: data[Keys.IMAGE].clone()})
        image, label = (convert_to_tensor(result[key], track_meta=False) for key in BOTH)
        return {**result, Keys.IMAGE: image.clamp(0, 1), Keys.LABEL: label.to(data[Keys.LABEL].dtype)}
