"""UEraser's strong augmentation: plasma fractals, shuffled colors, and one operation of TrivialAugment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch.nn import functional as F

ROUGHNESS = (0.3, 0.7)  # range for plasma fractals, from UEraser
INTENSITY = (0.5, 1.0)  # range for plasma brightness, from UEraser


def plasma(count: int, size: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Draw cloudy random fields: octaves of noise, each twice as fine and weaker by the field's roughness.

    This is midpoint displacement, the idea of the diamond-square algorithm (Fournier et al. 1982), on a grid of any
    size in 2D or 3D.

    Args:
        count: number of fields, each of its own roughness.
        size: spatial size of the fields.
        generator: random generator on the CPU.

    Returns:
        Fields ``(count, 1, *size)``, each of which ranges from 0 to 1.
    """
    low, high = ROUGHNESS
    roughness = (low + (high - low) * torch.rand(count, generator=generator)).reshape(-1, *[1] * (len(size) + 1))
    mode = "bilinear" if len(size) == 2 else "trilinear"
    field = torch.zeros(count, 1, *size)
    for octave in range(max(1, math.ceil(math.log2(max(size)))) + 1):
        coarse = torch.rand(count, 1, *[min(2**octave + 1, length) for length in size], generator=generator)
        field += roughness**octave * F.interpolate(coarse, size=tuple(size), mode=mode, align_corners=True)
    axes = tuple(range(1, field.ndim))
    field -= field.amin(axes, keepdim=True)
    return field / field.amax(axes, keepdim=True).clamp(min=torch.finfo(field.dtype).tiny)


def _contrast(image: torch.Tensor, draw: float) -> torch.Tensor:
    return image.mean() + (image - image.mean()) * (0.01 + 1.98 * draw)


def _sharpness(image: torch.Tensor, draw: float) -> torch.Tensor:
    pool = F.avg_pool2d if image.ndim == 3 else F.avg_pool3d
    smooth = pool(image[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    return smooth + (image - smooth) * (0.01 + 1.98 * draw)


def _stretch(image: torch.Tensor, draw: float) -> torch.Tensor:
    low, high = image.aminmax()
    return (image - low) / (high - low) if high > low else image


def _posterize(image: torch.Tensor, draw: float) -> torch.Tensor:
    steps = 2 ** (2 + int(draw * 7)) - 1
    return (image * steps).round() / steps


def _turn(tensor: torch.Tensor, draw: float) -> torch.Tensor:
    axes = list(combinations(range(1, tensor.ndim), 2))
    turns = [
        (k, plane) for plane in axes for k in (1, 2, 3) if k == 2 or tensor.shape[plane[0]] == tensor.shape[plane[1]]
    ]
    return torch.rot90(tensor, *turns[int(draw * len(turns))])


def _shift(tensor: torch.Tensor, draw: float) -> torch.Tensor:
    """Shift along one axis by up to a seventh; the outermost pixels repeat, so that one-hot labels stay one-hot."""
    axis, along = divmod(draw * (tensor.ndim - 1), 1)
    length = tensor.shape[1 + int(axis)]
    offset = round((2 * along - 1) * length / 7)
    position = (torch.arange(length, device=tensor.device) - offset).clamp(0, length - 1)
    return tensor.index_select(1 + int(axis), position)


Operation = Callable[[torch.Tensor, float], torch.Tensor]
INTENSITY_OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, draw: image,
    "brightness": lambda image, draw: image * (0.01 + 1.98 * draw),
    "contrast": _contrast,
    "sharpness": _sharpness,
    "stretch": _stretch,
    "posterize": _posterize,
    "solarize": lambda image, draw: torch.where(image > draw, 1 - image, image),
}
"""Operations on an image ``(C, *spatial)`` in [0, 1], with a random number in [0, 1) that determines the result."""

SPATIAL_OPERATIONS: dict[str, Operation] = {
    "flip": lambda tensor, draw: tensor.flip(1 + int(draw * (tensor.ndim - 1))),
    "turn": _turn,
    "shift": _shift,
}
"""Operations that apply to an image and its label."""


def trivial_augment(
    image: torch.Tensor, label: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply one random operation of random strength to every case (Müller and Hutter 2021, arXiv 2103.10158).

    Strengths are those of the paper's wide space. Its spatial operations that would interpolate labels are left out.

    Args:
        image: ``(B, C, *spatial)`` in [0, 1].
        label: ``(B, 1 or classes, *spatial)``.
        generator: random generator on the CPU.
    """
    names = [*INTENSITY_OPERATIONS, *SPATIAL_OPERATIONS]
    chosen = torch.randint(len(names), (len(image),), generator=generator)
    draws = torch.rand(len(image), generator=generator)
    images, labels = [], []
    for one, mask, index, draw in zip(image, label, chosen.tolist(), draws.tolist(), strict=True):
        spatial = SPATIAL_OPERATIONS.get(names[index])
        images.append((spatial or INTENSITY_OPERATIONS[names[index]])(one, draw))
        labels.append(spatial(mask, draw) if spatial is not None else mask)
    return torch.stack(images).clamp(0, 1), torch.stack(labels)


def strong_augmentation(
    image: torch.Tensor, label: torch.Tensor, probability: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply plasma brightness, plasma contrast, shuffled colors, and one operation of TrivialAugment, as UEraser does.

    Args:
        image: ``(B, C, *spatial)`` in [0, 1]; the channels are shuffled if there are three.
        label: ``(B, 1 or classes, *spatial)``, transformed like the image.
        probability: probability of each of the first three, for each case.
        generator: random generator on the CPU.
    """
    count, channels, size = len(image), image.shape[1], image.shape[2:]
    chosen = (torch.rand(3, count, generator=generator) < probability).to(image.device)
    brighter, contrasted, shuffled = chosen.reshape(3, count, *[1] * (image.ndim - 1))
    low, high = INTENSITY
    intensity = (low + (high - low) * torch.rand(count, generator=generator)).reshape(brighter.shape)
    brightness = (intensity * (2 * plasma(count, size, generator) - 1)).to(image)
    image = torch.where(brighter, (image + brightness).clamp(0, 1), image)
    contrast = 4 * plasma(count, size, generator).to(image)
    image = torch.where(contrasted, (0.5 + (image - 0.5) * contrast).clamp(0, 1), image)
    if channels == 3:
        order = torch.rand(count, channels, generator=generator).argsort(1).to(image.device)
        image = torch.where(shuffled, image[torch.arange(count, device=image.device)[:, None], order], image)
    return trivial_augment(image, label, generator)
