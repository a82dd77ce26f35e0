"""What takes a shift of colors off an image, whatever its shape: the enemies of a tint."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform, Transform
from monai.utils.enums import CommonKeys as Keys

from ..functional.filters import gray_world, middle_channel, rotate_hue, standardize_channels
from .augment import Augment
from .base import Defense, Materials


class RandColorJitterd(RandomizableTransform, MapTransform):
    """Turns the hue of colors and multiplies every channel by a factor of its own, both drawn anew every time.

    Args:
        keys: of the items to change.
        degrees: largest turn of the hue in either direction; images of other than three channels have none.
        factor: largest part by which a channel grows or shrinks.
    """

    def __init__(self, keys: KeysCollection, degrees: float, factor: float) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.degrees, self.factor = degrees, factor

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            image = rotate_hue(result[key], math.radians(self.R.uniform(-self.degrees, self.degrees)))
            factors = self.R.uniform(1 - self.factor, 1 + self.factor, size=len(image))
            result[key] = image * torch.from_numpy(factors).to(image).reshape(-1, *[1] * (image.ndim - 1))
        return result


def color_jitter_transforms(size: tuple[int, ...], degrees: float, factor: float) -> list[Transform]:
    """The transform of :class:`ColorJitter`, the same for every size."""
    return [RandColorJitterd(Keys.IMAGE, degrees, factor)]


@dataclass(frozen=True)
class ColorJitter(Defense):
    """Hue turned and channels scaled at random, every time.

    Args:
        degrees: largest turn of the hue.
        factor: largest part by which a channel grows or shrinks.

    Raises:
        ValueError: If ``degrees`` or ``factor`` is out of range.
    """

    degrees: float = 36
    factor: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.degrees <= 180:
            raise ValueError(f"degrees is {self.degrees!r}; it must be from 0 to 180.")
        if not 0 <= self.factor < 1:
            raise ValueError(f"factor is {self.factor!r}; it must be at least 0 and below 1, for example 0.2.")

    def augmentation(self, materials: Materials) -> list[Transform]:
        return [Augment(partial(color_jitter_transforms, degrees=self.degrees, factor=self.factor))]


@dataclass(frozen=True)
class GrayWorld(Defense):
    """White balance: all channels are scaled to one mean, as cameras do; without effect on images of one channel."""

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return gray_world(image)


@dataclass(frozen=True)
class SingleChannel(Defense):
    """All channels but the middle one thrown away, whatever they are; without effect on images of one channel."""

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return middle_channel(image)


@dataclass(frozen=True)
class ChannelStandardize(Defense):
    """Every channel of every image brought to one mean and one standard deviation, as many pipelines do."""

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        return standardize_channels(image)
