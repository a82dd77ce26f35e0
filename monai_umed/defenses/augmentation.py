"""Random changes of gray values, and nnU-Net's of all kinds, drawn anew for every item at every epoch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import (
    MapTransform,
    RandAdjustContrastd,
    RandAffined,
    RandCoarseDropoutd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandomizableTransform,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandSimulateLowResolutiond,
    RandZoomd,
    Transform,
)
from monai.utils.enums import CommonKeys as Keys

from .augment import BOTH, LINEAR, Augment
from .base import Defense, Materials

GAMMA = (0.7, 1.5)
ROTATION = {2: (math.pi,), 3: (math.pi / 6,) * 3}  # radians, about the only axis of an image and all of a volume
BLUR = (0.5, 1.0)  # pixels


class RandRelativeNoised(RandGaussianNoised):
    """MONAI's Gaussian noise in units of each image's own standard deviation."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        noisy: dict[Hashable, Any] = super().__call__(data)
        if self._do_transform:
            for key in self.key_iterator(noisy):
                noisy[key] = torch.lerp(data[key], noisy[key], data[key].std())
        return noisy


class RandUniformNoised(RandomizableTransform, MapTransform):
    """Adds independent noise from ``[-amount, amount)`` to every value, every time.

    Args:
        keys: of the items to change.
        amount: in the units of the image.
    """

    def __init__(self, keys: KeysCollection, amount: float) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.amount = amount

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            noise = self.R.uniform(-self.amount, self.amount, size=tuple(result[key].shape))
            result[key] = result[key] + torch.from_numpy(noise).to(result[key].dtype)
        return result


def nnunet_transforms(size: tuple[int, ...]) -> list[Transform]:
    """The transforms of :class:`NNUNet` in nnU-Net's order."""
    spatial_dims = len(size)
    linear, image = LINEAR[spatial_dims], Keys.IMAGE
    return [
        RandAffined(
            BOTH, prob=0.2, rotate_range=ROTATION[spatial_dims], mode=("bilinear", "nearest"), padding_mode="zeros"
        ),
        # RandAffined would draw one factor for each axis
        RandZoomd(BOTH, prob=0.2, min_zoom=0.7, max_zoom=1.4, mode=(linear, "nearest-exact"), padding_mode="constant"),
        RandRelativeNoised(image, prob=0.1, std=0.1),
        RandGaussianSmoothd(image, prob=0.2, sigma_x=BLUR, sigma_y=BLUR, sigma_z=BLUR),
        RandScaleIntensityd(image, prob=0.15, factors=0.25, channel_wise=True),
        RandScaleIntensityFixedMeand(image, prob=0.15, factors=0.25, preserve_range=True, channel_wise=True),
        RandSimulateLowResolutiond(
            image, prob=0.25, zoom_range=(0.5, 1), downsample_mode="nearest-exact", upsample_mode=linear
        ),
        RandAdjustContrastd(image, prob=0.1, gamma=GAMMA, invert_image=True, retain_stats=True),
        RandAdjustContrastd(image, prob=0.3, gamma=GAMMA, retain_stats=True),
        *[RandFlipd(BOTH, prob=0.5, spatial_axis=axis) for axis in range(len(size))],
    ]


def gamma_contrast_transforms(size: tuple[int, ...]) -> list[Transform]:
    """The transforms of :class:`GammaContrast`, the same for every size."""
    return [
        RandAdjustContrastd(Keys.IMAGE, prob=1, gamma=GAMMA),
        RandScaleIntensityd(Keys.IMAGE, prob=1, factors=0.25),
        RandScaleIntensityFixedMeand(Keys.IMAGE, prob=1, factors=0.25),
    ]


def noise_transforms(size: tuple[int, ...], amount: float) -> list[Transform]:
    """The transform of :class:`RandomNoise`, the same for every size."""
    return [RandUniformNoised(Keys.IMAGE, amount)]


def cutout_transforms(size: tuple[int, ...], side: float) -> list[Transform]:
    """The transform of :class:`Cutout` for one size."""
    box = [max(1, round(side * length)) for length in size]
    return [RandCoarseDropoutd(Keys.IMAGE, prob=1, holes=1, spatial_size=box, fill_value=0)]


@dataclass(frozen=True)
class NNUNet(Defense):
    """The default augmentation of nnU-Net (Isensee et al. 2021, Nature Methods 18, 203-211), its 2nd version.

    With probability: rotation 0.2 (up to 180 degrees in 2D, 30 about every axis in 3D), one scale of 0.7 to 1.4 for
    all axes 0.2, Gaussian noise 0.1, blur of sigma 0.5 to 1 pixel 0.2, brightness times 0.75 to 1.25 0.15, contrast
    times 0.75 to 1.25 0.15, resolution times 0.5 to 1 0.25, gamma 0.7 to 1.5 of the inverted image 0.1 and of the
    image 0.3, mirroring 0.5 for every axis. What turns into view is 0, background in the label.

    nnU-Net works on images of mean 0 and standard deviation 1, here they are in [0, 1]. So the noise has up to 0.1 of
    each image's own standard deviation (nnU-Net calls 0.1 a variance and uses it as a standard deviation), and
    brightness multiplies gray values, not distances from the mean. Blur, resolution, noise and gamma are the same for
    all channels. Factors are drawn evenly from their range, nnU-Net draws half of them below 1. MONAI's blur takes
    what lies outside the image for 0, so that it darkens the outermost pixels.
    """

    def augmentation(self, materials: Materials) -> list[Transform]:
        return [Augment(nnunet_transforms)]


@dataclass(frozen=True)
class GammaContrast(Defense):
    """Gamma of 0.7 to 1.5, brightness and contrast times 0.75 to 1.25, all three every time."""

    def augmentation(self, materials: Materials) -> list[Transform]:
        return [Augment(gamma_contrast_transforms)]


@dataclass(frozen=True)
class RandomNoise(Defense):
    """Uniform noise, drawn anew every time: the cheapest stand-in for adversarial training.

    Args:
        amount: largest change of a gray value in [0, 1], or ``"eps"`` for the largest change of the files under test.

    Raises:
        ValueError: If ``amount`` is neither positive nor ``"eps"``.
    """

    needs = frozenset({"eps"})
    amount: float | str = "eps"

    def __post_init__(self) -> None:
        if self.amount != "eps" and (isinstance(self.amount, str) or not 0 < self.amount < math.inf):
            raise ValueError(f"amount is {self.amount!r}; use a positive number, for example 4 / 255, or 'eps'.")

    def augmentation(self, materials: Materials) -> list[Transform]:
        amount = materials.eps if isinstance(self.amount, str) else self.amount
        return [Augment(partial(noise_transforms, amount=amount))]


@dataclass(frozen=True)
class Cutout(Defense):
    """One box of the image set to 0, every time (DeVries and Taylor 2017, arXiv:1708.04552).

    The box lies inside the image. The label stays as it is: the network has to guess from the surroundings.

    Args:
        side: of the box, a share of every side of the image; 0.5 is the usual 16 of CIFAR-10's 32 pixels.

    Raises:
        ValueError: If ``side`` is not between 0 and 1.
    """

    side: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.side < 1:
            raise ValueError(f"side is {self.side!r}; it must be a share between 0 and 1, for example 0.5.")

    def augmentation(self, materials: Materials) -> list[Transform]:
        return [Augment(partial(cutout_transforms, side=self.side))]
