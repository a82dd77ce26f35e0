"""Central-difference convolution (UMed, Lin et al. 2024, Eq. 3), folded into one ordinary convolution."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


def folded(vanilla: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
    """Return the one kernel that equals both sums of :class:`CentralDifferenceConv`, of the shape of both kernels."""
    axes = difference.dim() - 2
    total = difference.flatten(2).sum(-1)
    for _ in range(axes):
        total = total.unsqueeze(-1)
    return vanilla + difference - F.pad(total, [1, 1] * axes)


class CentralDifferenceConv(nn.Module):
    r"""A convolution plus a convolution over differences to the central pixel, each with a kernel of its own.

    .. math:: f_{out}(r) = \sum_{\Delta} w_v(\Delta) f_{in}(r - \Delta)
              + \sum_{\Delta} w_c(\Delta) [f_{in}(r - \Delta) - f_{in}(r)]

    Both sums are linear in the same 9 pixels (27 voxels), so they equal one convolution with the kernel
    :math:`w_v + w_c` whose central tap is lowered by :math:`\sum w_c`. The kernel is folded at every call, also in
    training: gradients stay exact, and the cost is that of one convolution. The image is padded with zeros.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input, shape ``(B, in_channels, *spatial)``.
        out_channels: channels of the output, shape ``(B, out_channels, *spatial)``.
        bias: whether to add a bias per output channel.

    Raises:
        ValueError: If ``spatial_dims`` is neither 2 nor 3.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims}; it must be 2 or 3.")
        self.spatial_dims = spatial_dims
        shape = (out_channels, in_channels) + (3,) * spatial_dims
        self.vanilla = nn.Parameter(torch.empty(shape))
        self.difference = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        for kernel in (self.vanilla, self.difference):
            nn.init.kaiming_uniform_(kernel, a=math.sqrt(5))

    def folded_kernel(self) -> torch.Tensor:
        """Return the one kernel that equals both sums, of shape ``(out_channels, in_channels, 3, 3[, 3])``."""
        return folded(self.vanilla, self.difference)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if self.spatial_dims == 2:
            return F.conv2d(image, self.folded_kernel(), self.bias, padding=1)
        return F.conv3d(image, self.folded_kernel(), self.bias, padding=1)
