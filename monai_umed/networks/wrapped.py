"""MONAI's networks with something around them: half the resolution, or one output instead of a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus
from torch import nn
from torch.nn import functional as F


class AtHalfResolution(nn.Module):
    """A network between a strided and a transposed convolution, as MONAI's U-Net has them: a quarter of the cost.

    Args:
        build: makes the network from ``spatial_dims``, ``in_channels``, ``out_channels`` and ``settings``.
        width: channels between the image and the network, and between the network and the logits.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: channels of the logits.
        multiple: what the network's sides are multiples of, the last one at least twice; features are padded with
            their edge up to that and what comes back is cropped.

    Shape:
        ``(B, in_channels, *spatial)`` to ``(B, out_channels, *spatial)``, even sizes.
    """

    def __init__(
        self,
        build: Callable[..., nn.Module],
        width: int,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        multiple: int = 1,
        **settings: str,
    ) -> None:
        super().__init__()
        self.multiple = multiple
        self.strided = Convolution(spatial_dims, in_channels, width, strides=2, norm=None)
        self.network = build(spatial_dims=spatial_dims, in_channels=width, out_channels=width, **settings)
        self.transposed = Convolution(spatial_dims, width, out_channels, strides=2, is_transposed=True, conv_only=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.strided(image)
        size = features.shape[2:]
        missing = [-side % self.multiple for side in size]
        missing[-1] = max(missing[-1], 2 * self.multiple - size[-1])
        if any(missing):
            padding = [pixels for side in reversed(missing) for pixels in (0, side)]
            features = F.pad(features, padding, mode="replicate")
        features = self.network(features)
        for axis, side in enumerate(size, start=2):
            features = features.narrow(axis, 0, side)
        return self.transposed(features)


class UNetPlusPlus(nn.Module):
    """MONAI's U-Net++ with one tensor as output, the deepest head's, and without the heads that are not read.

    Args:
        features: channels of the five levels, then of the last upsampling.
        ports: ``spatial_dims``, ``in_channels``, ``out_channels`` and ``norm`` of MONAI's network.

    Shape:
        ``(B, in_channels, *spatial)`` to ``(B, out_channels, *spatial)``, sizes that 16 divides.
    """

    def __init__(self, features: Sequence[int], **ports: int | str) -> None:
        super().__init__()
        self.network = BasicUNetPlusPlus(features=features, **ports)  # type: ignore[arg-type]
        for unread in ("final_conv_0_1", "final_conv_0_2", "final_conv_0_3"):
            setattr(self.network, unread, nn.Identity())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)[0]
