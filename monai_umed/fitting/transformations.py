"""What a fit expects exploiters to do to the files: random changes of image and label that gradients pass through.

Expectation over transformations (Athalye et al. 2018, arXiv 1707.07397): a perturbation that is optimized through
random filters keeps what survives them. The filters are those of :mod:`monai_umed.defenses`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..functional.filters import adjust_contrast, gaussian_blur, halve, jpeg, straight_through

Pair = tuple[torch.Tensor, torch.Tensor]


def _uniform(limits: Sequence[float], generator: torch.Generator) -> float:
    low, high = limits
    return low + (high - low) * torch.rand((), generator=generator).item()


def _check_limits(name: str, limits: Sequence[float], lowest: float, highest: float = float("inf")) -> None:
    if len(limits) != 2 or not lowest <= limits[0] <= limits[1] <= highest:
        raise ValueError(
            f"{name} is {tuple(limits)}; it must be two numbers in order, at least {lowest}"
            + (f" and at most {highest}." if highest < float("inf") else ".")
        )


class Transformation(ABC):
    """One random change of one case, drawn anew at every call."""

    @abstractmethod
    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        """Change a case.

        Args:
            image: ``(C, *spatial)`` in [0, 1].
            label: ``(1, *spatial)``, class numbers as floats.
            generator: source of randomness, on the CPU.

        Returns:
            Image in [0, 1] and label in the same shapes; the image's gradient reaches the one that was given.
        """


@dataclass(frozen=True)
class Identity(Transformation):
    """The files as they are."""

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        return image, label


@dataclass(frozen=True)
class RandomBlur(Transformation):
    """Gaussian blur over 7 pixels a side.

    Args:
        sigma: limits in pixels of the grid.
    """

    sigma: tuple[float, float] = (0.5, 1.2)

    def __post_init__(self) -> None:
        _check_limits("sigma", self.sigma, 1e-3)

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        return gaussian_blur(image, _uniform(self.sigma, generator), 7), label


@dataclass(frozen=True)
class RandomJpeg(Transformation):
    """JPEG through the real codec; gradients pass as if it were not there.

    Args:
        quality: limits, 1 to 100.
    """

    quality: tuple[int, int] = (30, 90)

    def __post_init__(self) -> None:
        _check_limits("quality", self.quality, 1, 100)

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        return straight_through(jpeg, image, round(_uniform(self.quality, generator))), label


@dataclass(frozen=True)
class HalfSize(Transformation):
    """Half the size and back, see :func:`monai_umed.functional.filters.halve`."""

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        return halve(image), label


@dataclass(frozen=True)
class RandomContrast(Transformation):
    """Gamma and contrast, see :func:`monai_umed.functional.filters.adjust_contrast`.

    Args:
        gamma: limits of the exponent.
        contrast: limits of the factor.
    """

    gamma: tuple[float, float] = (0.7, 1.5)
    contrast: tuple[float, float] = (0.75, 1.25)

    def __post_init__(self) -> None:
        _check_limits("gamma", self.gamma, 1e-3)
        _check_limits("contrast", self.contrast, 1e-3)

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        # The slope of x**gamma at 0 is infinite below 1.
        image = image.clamp(min=1 / 255)
        return adjust_contrast(image, _uniform(self.gamma, generator), _uniform(self.contrast, generator)), label


@dataclass(frozen=True)
class GaussianNoise(Transformation):
    """Independent normal noise.

    Args:
        std: standard deviation as a share of the [0, 1] window.
    """

    std: float = 0.01

    def __post_init__(self) -> None:
        _check_limits("std", (self.std, 1), 0)

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        noise = torch.randn(image.shape, generator=generator).to(image)
        return (image + self.std * noise).clamp(0, 1), label


@dataclass(frozen=True)
class Shift(Transformation):
    """A shift by whole pixels along every axis; what leaves on one side comes in on the other.

    Patterns that networks find because they always lie at the same pixels of the grid do not survive it, nor any
    exploiter that crops at random.

    Args:
        pixels: largest shift in either direction.
    """

    pixels: int = 8

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise ValueError(f"pixels is {self.pixels}; it must be at least 1.")

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        axes = tuple(range(1, image.ndim))
        steps = torch.randint(-self.pixels, self.pixels + 1, (len(axes),), generator=generator).tolist()
        return torch.roll(image, steps, axes), torch.roll(label, steps, axes)


@dataclass(frozen=True)
class Flip(Transformation):
    """Mirrored along every axis, each with probability 0.5."""

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        axes = [axis for axis in range(1, image.ndim) if torch.rand((), generator=generator) < 0.5]
        return image.flip(axes), label.flip(axes)


@dataclass(frozen=True)
class Affine(Transformation):
    """Rotation in the plane of the last two axes and one scale for all axes, about the center.

    Args:
        degrees: largest rotation in either direction.
        scale: limits of the factor by which structures grow.
    """

    degrees: float = 20
    scale: tuple[float, float] = (0.8, 1.25)

    def __post_init__(self) -> None:
        _check_limits("degrees", (0, self.degrees), 0, 180)
        _check_limits("scale", self.scale, 1e-3)

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        dims, (height, width) = image.ndim - 1, image.shape[-2:]
        angle = torch.deg2rad(torch.tensor(_uniform((-self.degrees, self.degrees), generator)))
        matrix = torch.eye(dims, dims + 1)
        # affine_grid counts the axes from the last one, and every side from -1 to 1.
        rows = [angle.cos(), -angle.sin() * height / width, angle.sin() * width / height, angle.cos()]
        matrix[:2, :2] = torch.stack(rows).reshape(2, 2)
        matrix /= _uniform(self.scale, generator)
        grid = F.affine_grid(matrix[None].to(image), [1, 1, *image.shape[1:]], align_corners=False)
        moved = F.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0]
        return moved, F.grid_sample(label[None], grid, mode="nearest", align_corners=False)[0]


@dataclass(frozen=True)
class OneOf(Transformation):
    """One of several, each as likely as the others.

    Args:
        transformations: at least one.
    """

    transformations: tuple[Transformation, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "transformations", tuple(self.transformations))
        if not self.transformations:
            raise ValueError("transformations is empty; give at least one, Identity() for none.")

    def __call__(self, image: torch.Tensor, label: torch.Tensor, generator: torch.Generator) -> Pair:
        chosen = int(torch.randint(len(self.transformations), (), generator=generator))
        return self.transformations[chosen](image, label, generator)


def transform_batch(
    transformations: Sequence[Transformation],
    image: torch.Tensor,
    label: torch.Tensor,
    generator: torch.Generator,
) -> Pair:
    """Apply transformations one after the other to every case of a batch.

    Args:
        transformations: in order; none leaves the batch as it is.
        image: ``(B, C, *spatial)`` in [0, 1].
        label: ``(B, 1, *spatial)``.
        generator: see :class:`Transformation`.
    """
    if not transformations:
        return image, label
    cases = []
    for case in zip(image, label, strict=True):
        for transformation in transformations:
            case = transformation(*case, generator)
        cases.append(case)
    images, labels = zip(*cases, strict=True)
    return torch.stack(images), torch.stack(labels)
