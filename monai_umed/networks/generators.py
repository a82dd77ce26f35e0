"""UMed's generators: the central-difference contour perturbator and the plain texture perturbator."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Pool
from monai.networks.layers.utils import get_norm_layer
from torch import nn
from torch.nn import functional as F

from .central_difference import CentralDifferenceConv

OUTPUTS = ("tanh", "clip")
SLOPE = 0.1
"""Of the leaky ReLU below 0."""


def _conv(spatial_dims: int, in_channels: int, out_channels: int, central_difference: bool) -> nn.Module:
    if central_difference:
        return CentralDifferenceConv(spatial_dims, in_channels, out_channels)
    return Conv[Conv.CONV, spatial_dims](in_channels, out_channels, kernel_size=3, padding=1)


def _stage(
    spatial_dims: int, in_channels: int, out_channels: int, convs: int, norm: str | None, central_difference: bool
) -> nn.Sequential:
    """Repeat convolution, normalization and leaky ReLU ``convs`` times."""
    layers: list[nn.Module] = []
    for index in range(convs):
        layers.append(_conv(spatial_dims, out_channels if index else in_channels, out_channels, central_difference))
        if norm is not None:
            layers.append(get_norm_layer(norm, spatial_dims, out_channels))
        layers.append(nn.LeakyReLU(SLOPE))
    return nn.Sequential(*layers)


class Perturbator(nn.Module):
    """A U-Net that generates raw noise (:math:`F_c` or :math:`F_t` in UMed, Lin et al. 2024, Section 3.2).

    The noise is unbounded; :func:`monai_umed.protectors.bound_noise` brings it under a bound.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        features: channels of each level, at least two levels; each halves the resolution.
        convs: convolutions per level.
        central_difference: use :class:`CentralDifferenceConv` for all convolutions of the encoder.
        norm: MONAI's name of the normalization layer (``"batch"``, ``"instance"``), or None.
        patch: side of the pixel blocks that are folded into channels before the first level and unfolded after the
            last. The paper uses 1. With 4, a step is several times cheaper, because most of the cost lies in
            full-resolution convolutions, and the noise can repeat every 4 pixels, which survives resampling.
        checkerboard: with patches, start from a checkerboard of squares of half a patch instead of random noise.
        mirrored: shift the checkerboard by a quarter of a patch. If 4 divides the patch, the checkerboard is then its
            own mirror image, so that flips of the image do not change it.

    Shape:
        ``(B, in_channels, *spatial)`` to ``(B, in_channels, *spatial)``, any spatial size: the input is padded with
        its edge values to a multiple of :attr:`stride`, and the output is cropped.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        features: Sequence[int] = (16, 32, 64),
        convs: int = 1,
        central_difference: bool = True,
        norm: str | None = None,
        patch: int = 4,
        checkerboard: bool = True,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims}; it must be 2 or 3.")
        if patch < 1 or convs < 1 or len(features) < 2:
            raise ValueError(
                f"patch ({patch}) and convs ({convs}) must be at least 1, features ({tuple(features)}) at least two."
            )
        if checkerboard and patch > 1 and patch % 2:
            raise ValueError(f"patch is {patch}; a checkerboard of half patches needs an even number of pixels.")
        self.patch = patch
        self.stride = patch * 2 ** (len(features) - 1)
        first, last = features[0], features[0]
        # Instance normalization needs more than one value at the deepest level.
        self.smallest = self.stride * (2 if norm is not None and norm.lower() == "instance" else 1)
        self.fold = (
            nn.Identity()
            if patch == 1
            else Conv[Conv.CONV, spatial_dims](in_channels, first, kernel_size=patch, stride=patch)
        )
        widths = (in_channels if patch == 1 else first, *features)
        self.encoder = nn.ModuleList(
            _stage(spatial_dims, before, after, convs, norm, central_difference) for before, after in pairwise(widths)
        )
        self.decoder = nn.ModuleList(
            _stage(spatial_dims, deep + skip, skip, convs, norm, False)
            for deep, skip in zip(features[:0:-1], features[-2::-1], strict=True)
        )
        self.pool = Pool[Pool.AVG, spatial_dims](kernel_size=2)
        self.upsample = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.unfold = (
            Conv[Conv.CONV, spatial_dims](last, in_channels, kernel_size=1)
            if patch == 1
            else Conv[Conv.CONVTRANS, spatial_dims](last, in_channels, kernel_size=patch, stride=patch, bias=False)
        )

        # A constant offset of a region is the most visible and least learnable noise, but the first that a generator
        # finds. Subtracting the mean of each block leaves the budget to a pattern.
        self.average = Pool[Pool.AVG, spatial_dims](kernel_size=patch)
        self.spread = nn.Upsample(scale_factor=float(patch), mode="nearest")
        self._initialize(checkerboard, self.patch // 4 if mirrored else 0)

    def _initialize(self, checkerboard: bool, aside: int) -> None:
        """Draw weights that keep the scale of features, and start from a checkerboard of half-patch squares if asked.

        Networks first learn a pattern that repeats everywhere. From random noise, generators also find one, but a
        worse one: they saturate in the pattern that they happen to start with.
        """
        for module in self.modules():
            if isinstance(module, CentralDifferenceConv):
                for kernel in (module.vanilla, module.difference):
                    nn.init.kaiming_normal_(kernel, a=0.1)
            elif isinstance(module, nn.modules.conv._ConvNd):
                nn.init.kaiming_normal_(module.weight, a=0.1)
        assert isinstance(self.unfold.weight, torch.Tensor)
        inputs = self.unfold.weight.shape[1 if self.patch == 1 else 0]
        nn.init.normal_(self.unfold.weight, std=0.3 / inputs**0.5)
        if checkerboard and self.patch > 1:
            half = (torch.arange(self.patch) + aside) // (self.patch // 2) % 2
            color = torch.stack(torch.meshgrid([half] * (self.unfold.weight.ndim - 2), indexing="ij")).sum(0) % 2
            self.start_from(1 - 2 * color)

    @torch.no_grad()
    def start_from(self, tile: torch.Tensor) -> None:
        """Make the noise repeat a tile whatever the image is; noise from the other weights is small in comparison.

        Args:
            tile: values between -1 and 1, shape ``(patch, patch[, patch])``.

        Raises:
            ValueError: If the tile has another shape, or a patch is a single pixel.
        """
        kernel = self.unfold.weight
        assert isinstance(kernel, torch.Tensor)
        if self.patch == 1 or tile.shape != kernel.shape[2:]:
            raise ValueError(
                f"The tile's shape is {tuple(tile.shape)}, a patch has {(self.patch,) * (kernel.ndim - 2)} pixels; "
                "make both equal and larger than one pixel."
            )
        kernel += tile.to(kernel) * (6 / kernel.shape[0])
        last_conv = [module for module in self.decoder.modules() if isinstance(module, nn.modules.conv._ConvNd)][-1]
        assert last_conv.bias is not None
        # Features of about 1, so that the strength of the pattern depends neither on the seed nor on the brightness.
        last_conv.weight *= 0.1
        last_conv.bias.fill_(1)

    def padding(self, size: list[int]) -> list[int]:
        """Return pixels to add to an image of a spatial size on both sides of each axis, the last one first."""
        padding: list[int] = []
        for axis in range(len(size) - 1, -1, -1):
            padding += [0, max(self.smallest - size[axis], -size[axis] % self.stride)]
        return padding

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        size = image.shape[2:]
        padding = self.padding(list(size))
        x = self.fold(F.pad(image, padding, mode="replicate") if sum(padding) > 0 else image)
        skips: list[torch.Tensor] = []
        for stage in self.encoder:
            if len(skips) > 0:
                x = self.pool(x)
            x = stage(x)
            skips.append(x)
        for level, stage in enumerate(self.decoder):
            x = stage(torch.cat([self.upsample(x), skips[len(skips) - 2 - level]], dim=1))
        x = self.unfold(x)
        if self.patch > 1:
            x = x - self.spread(self.average(x))
        for axis in range(len(size)):
            x = x.narrow(axis + 2, 0, size[axis])
        return x


class UMedPerturbator(nn.Module):
    """UMed's two generators: raw contour noise and raw texture noise for one image.

    The contour generator's encoder uses central-difference convolutions (Eq. 3, 4); the texture generator is a plain
    U-Net (Eq. 5). It maps one tensor to one tensor, so that it can be exported to TorchScript.

    Args:
        spatial_dims, in_channels, features, convs, norm, patch, checkerboard, mirrored: see :class:`Perturbator`.
        central_difference: False for the ablation with a plain contour generator.
        output: how raw noise is bounded, ``"tanh"`` or ``"clip"``, see :func:`monai_umed.protectors.bound_noise`.

    Shape:
        ``(B, C, *spatial)`` to ``(B, 2 * C, *spatial)``: C channels of contour noise, then C of texture noise.

    Raises:
        ValueError: If ``output`` is unknown, or for the reasons of :class:`Perturbator`.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        features: Sequence[int] = (16, 32, 64),
        convs: int = 1,
        central_difference: bool = True,
        norm: str | None = None,
        patch: int = 4,
        output: str = "tanh",
        checkerboard: bool = True,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        if output not in OUTPUTS:
            raise ValueError(f"output is {output!r}; use one of {', '.join(OUTPUTS)}.")
        self.in_channels = in_channels
        self.spatial_dims = spatial_dims
        self.features = tuple(features)
        self.convs = convs
        self.central_difference = central_difference
        self.norm = norm
        self.patch = patch
        self.output = output
        self.checkerboard = checkerboard
        self.mirrored = mirrored
        shared: dict[str, Any] = {"norm": norm, "patch": patch, "checkerboard": checkerboard, "mirrored": mirrored}
        self.contour = Perturbator(spatial_dims, in_channels, features, convs, central_difference, **shared)
        self.texture = Perturbator(spatial_dims, in_channels, features, convs, False, **shared)

    def settings(self) -> dict[str, Any]:
        """Return the arguments of this network as plain values, for a checkpoint."""
        names = ("spatial_dims", "in_channels", "features", "convs", "central_difference", "norm", "patch", "output")
        return {name: getattr(self, name) for name in (*names, "checkerboard", "mirrored")}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.contour(image), self.texture(image)], dim=1)
