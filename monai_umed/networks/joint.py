"""UMed's two fitted generators as one network, whose convolutions have two groups of channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .central_difference import CentralDifferenceConv, folded
from .generators import SLOPE, Perturbator, UMedPerturbator

_VECTOR = 16  # numbers that a processor computes at once, at most
Kernel = tuple[torch.Tensor, torch.Tensor | None]


class JointGenerators:
    """Raw noise of two-dimensional generators without normalization, in half the time for a single image.

    Kernels are folded and joined once. The noise of an image is the same, bit by bit, alone and in any place of any
    batch; it differs from that of :class:`UMedPerturbator` by rounding, a few millionths, as its own does between
    a single image and a batch, for which PyTorch has other implementations.

    Args:
        perturbator: the generators, see :meth:`supports`; a later change of their weights has no effect.
    """

    def __init__(self, perturbator: UMedPerturbator) -> None:
        both = (perturbator.contour, perturbator.texture)
        self._patch, self._padding = perturbator.patch, perturbator.contour.padding
        [self._fold] = _joined(*([network.fold] for network in both))
        self._encoder = [_joined(*stages) for stages in zip(*(network.encoder for network in both), strict=True)]
        self._decoder = [_joined(*stages) for stages in zip(*(network.decoder for network in both), strict=True)]
        self._unfold = torch.cat([_centered(network) for network in both])

    @staticmethod
    def supports(perturbator: UMedPerturbator) -> bool:
        """Whether it computes the noise of these generators."""
        return perturbator.spatial_dims == 2 and perturbator.patch > 1 and perturbator.norm is None

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return raw noise ``(B, 2 * C, H, W)`` of ``(B, C, H, W)``, see :class:`UMedPerturbator`."""
        height, width = image.shape[2:]
        padding = self._padding(list(image.shape[2:]))
        image = F.pad(image, padding, mode="replicate") if any(padding) else image
        # With groups, PyTorch takes the same implementation for one image as for many. In another order in memory, it
        # rounds otherwise, and a fit may have its weights in another one than a checkpoint; this one is the fastest.
        both = torch.cat([image, image], dim=1).contiguous(memory_format=torch.channels_last)
        x = F.conv2d(both, *self._fold, stride=self._patch, groups=2)
        skips: list[torch.Tensor] = []
        for stage in self._encoder:
            x = _convolve(F.avg_pool2d(x, 2) if skips else x, stage)
            skips.append(x)
        for stage, skip in zip(self._decoder, skips[-2::-1], strict=True):
            deep = F.interpolate(x, scale_factor=2.0, mode="nearest").chunk(2, dim=1)
            x = _convolve(torch.cat([deep[0], skip.chunk(2, dim=1)[0], deep[1], skip.chunk(2, dim=1)[1]], dim=1), stage)
        pixels = F.conv2d(x, self._unfold, groups=2).unflatten(1, (2, -1))
        noise = F.pixel_shuffle(pixels[:, :, : image.shape[1] * self._patch**2].flatten(1, 2), self._patch)
        return noise[:, :, :height, :width].contiguous()


def _joined(first: Sequence[nn.Module] | nn.Module, second: Sequence[nn.Module] | nn.Module) -> list[Kernel]:
    """Kernels and biases of the convolutions in two stages, one after the other along their output channels."""
    joined: list[Kernel] = []
    for (kernel, bias), (other, more) in zip(_kernels(first), _kernels(second), strict=True):
        kernels = torch.cat([kernel, other]).contiguous(memory_format=torch.channels_last)
        joined.append((kernels, None if bias is None or more is None else torch.cat([bias, more])))
    return joined


def _kernels(stage: Sequence[nn.Module] | nn.Module) -> Iterator[Kernel]:
    for layer in stage:  # type: ignore[union-attr]
        if isinstance(layer, CentralDifferenceConv):
            yield folded(layer.vanilla.contiguous(), layer.difference.contiguous()), layer.bias
        elif isinstance(layer, nn.Conv2d):
            yield layer.weight, layer.bias


def _centered(network: Perturbator) -> torch.Tensor:
    """The kernel ``(C * patch ** 2, F, 1, 1)`` of a convolution from features to patches with a mean of 0, and zeros.

    For numbers of outputs that fill no vector, the implementation would depend on the size of the batch.
    """
    kernel = network.unfold.weight
    assert isinstance(kernel, torch.Tensor)
    kernel = kernel.contiguous()  # the order in memory decides how a mean is rounded
    kernel = kernel - kernel.mean(dim=(2, 3), keepdim=True)
    kernel = kernel.permute(1, 2, 3, 0).reshape(-1, len(kernel), 1, 1)
    return F.pad(kernel, [0, 0, 0, 0, 0, 0, 0, -len(kernel) % _VECTOR])


def _convolve(x: torch.Tensor, stage: Sequence[Kernel]) -> torch.Tensor:
    for kernel, bias in stage:
        x = F.leaky_relu_(F.conv2d(x, kernel, bias, padding=1, groups=2), SLOPE)
    return x
