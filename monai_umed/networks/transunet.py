"""TransUNet: a residual stem and a vision transformer as the encoder of a U-Net (Chen et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.blocks.patchembedding import PatchEmbeddingBlock
from monai.networks.blocks.transformerblock import TransformerBlock
from monai.networks.blocks.upsample import UpSample
from monai.networks.layers.factories import Pool
from monai.utils.misc import ensure_tuple_rep
from torch import nn
from torch.nn import functional as F

NORMS = ("batch", "instance")
STRIDE = 16


class WeightStandardizedConv(nn.Module):
    """A convolution without bias whose kernels have mean 0 and variance 1 at every call (Qiao et al. 2019, Eq. 5).

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input, shape ``(B, in_channels, *spatial)``.
        out_channels: channels of the output, shape ``(B, out_channels, *(spatial / stride))``.
        kernel_size: side of the kernel, odd; the input is padded with zeros by half of it.
        stride: step of the kernel, the same along all axes.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.stride = stride
        self.padding = kernel_size // 2
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *[kernel_size] * spatial_dims))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # layer normalization over all axes of a kernel is what weight standardization computes
        kernel = F.layer_norm(self.weight, self.weight.shape[1:], eps=1e-5)
        if self.spatial_dims == 2:
            return F.conv2d(image, kernel, stride=self.stride, padding=self.padding)
        return F.conv3d(image, kernel, stride=self.stride, padding=self.padding)


def _norm_relu(channels: int) -> nn.Sequential:
    # 32 groups as published, but at least two channels in each: fewer would be instance normalization
    return nn.Sequential(nn.GroupNorm(math.gcd(32, channels // 2), channels, eps=1e-6), nn.ReLU())


class Bottleneck(nn.Module):
    """Pre-activation residual unit (He et al. 2016, arXiv 1603.05027): GroupNorm and ReLU before each convolution.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input, shape ``(B, in_channels, *spatial)``.
        out_channels: channels of the output, shape ``(B, out_channels, *(spatial / stride))``; four times the inner
            ones.
        stride: step of the inner 3x3 convolution and of the shortcut.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        inner = out_channels // 4
        self.activation = _norm_relu(in_channels)
        self.residual = nn.Sequential(
            WeightStandardizedConv(spatial_dims, in_channels, inner, 1),
            _norm_relu(inner),
            WeightStandardizedConv(spatial_dims, inner, inner, 3, stride),
            _norm_relu(inner),
            WeightStandardizedConv(spatial_dims, inner, out_channels, 1),
        )
        self.projection = (
            WeightStandardizedConv(spatial_dims, in_channels, out_channels, 1, stride)
            if stride > 1 or in_channels != out_channels
            else None
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        active = self.activation(image)
        shortcut = image if self.projection is None else self.projection(active)
        return shortcut + self.residual(active)


class ResidualStem(nn.Module):
    """ResNet-V2 without its last stage: features at 1/2, 1/4, 1/8 and 1/16 of the resolution.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        width: channels at 1/2; 4, 8 and 16 times as many follow. Even.
        layers: bottlenecks at 1/4, 1/8 and 1/16.

    Shape:
        ``(B, in_channels, *spatial)`` to four tensors ``(B, channels, *(spatial / step))``, the finest first.
    """

    def __init__(self, spatial_dims: int, in_channels: int, width: int, layers: Sequence[int]) -> None:
        super().__init__()
        self.channels = [width, 4 * width, 8 * width, 16 * width]
        self.root = nn.Sequential(
            WeightStandardizedConv(spatial_dims, in_channels, width, 7, stride=2), _norm_relu(width)
        )
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=3, stride=2, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(
                Bottleneck(spatial_dims, before, after, stride),
                *[Bottleneck(spatial_dims, after, after) for _ in range(count - 1)],
            )
            for (before, after), count, stride in zip(pairwise(self.channels), layers, (1, 2, 2), strict=True)
        )
        # A pre-activation network ends with this; the skips need it too, because standardized kernels multiply the
        # size of features and what comes up from the transformer would drown in the decoder.
        self.closings = nn.ModuleList(_norm_relu(after) for after in self.channels[1:])

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        features = [self.root(image)]
        x = self.pool(features[0])
        for stage, closing in zip(self.stages, self.closings):  # noqa: B905 - TorchScript knows no strict
            x = stage(x)
            features.append(closing(x))
        return features


def _transformer_block(hidden_size: int, mlp_dim: int, num_heads: int, dropout_rate: float) -> TransformerBlock:
    block = TransformerBlock(hidden_size, mlp_dim, num_heads, dropout_rate, qkv_bias=True)
    # MONAI makes this normalization without cross-attention too: parameters that never get a gradient.
    block.register_module("norm_cross_attn", nn.Identity())
    block.attn.drop_weights.p = block.attn.drop_output.p = 0.0  # published: dropout in the MLP, not in attention
    return block


class TransUNet(nn.Module):
    """TransUNet (Chen et al. 2021, arXiv 2102.04306, Sections 3.1 and 3.2), without pretrained weights.

    A ResNet-V2 stem brings the image to 1/16 of its resolution; every pixel there is one token of a vision
    transformer; a cascade of upsampling, skip from the stem and two convolutions brings the tokens back. The defaults
    are the published R50-ViT-B/16 size: 105 million parameters in 2D.

    Where it differs from the public implementation: any number of image channels (gray is not repeated to three);
    the pool after the first convolution is padded, so that no feature map has to be; bottlenecks are truly
    pre-activated, whereas the public ones normalize after each convolution and apply ReLU after the sum.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: channels of the logits.
        img_size: size of the image in pixels, one number or one per axis; multiples of 16. Fixed, since every
            token has a learned position.
        stem_width: channels at 1/2 of the resolution; 4, 8 and 16 times as many follow. Even.
        stem_layers: bottlenecks at 1/4, 1/8 and 1/16.
        hidden_size: length of a token, a multiple of ``num_heads``.
        mlp_dim: inner width of the transformer's MLPs.
        num_layers: transformer blocks.
        num_heads: attention heads.
        dropout_rate: in the MLPs and after the position embedding, from 0 to 1.
        head_channels: channels between transformer and decoder.
        decoder_channels: channels of the decoder at 1/8, 1/4, 1/2 and full resolution. The last costs most; without
            it, with three numbers, features at 1/2 are interpolated before the logits.
        norm: normalization of the decoder, ``"batch"`` as published or ``"instance"``.

    Shape:
        ``(B, in_channels, *img_size)`` to ``(B, out_channels, *img_size)``.

    Raises:
        ValueError: if an argument is out of range, or an image has another size than ``img_size``.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        img_size: Sequence[int] | int,
        stem_width: int = 64,
        stem_layers: Sequence[int] = (3, 4, 9),
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_layers: int = 12,
        num_heads: int = 12,
        dropout_rate: float = 0.1,
        head_channels: int = 512,
        decoder_channels: Sequence[int] = (256, 128, 64, 16),
        norm: str = "batch",
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims}; it must be 2 or 3.")
        self.img_size = list(ensure_tuple_rep(img_size, spatial_dims))
        if any(size < STRIDE or size % STRIDE != 0 for size in self.img_size) or max(self.img_size) == STRIDE:
            raise ValueError(
                f"img_size is {self.img_size}; every axis must be a multiple of {STRIDE}, one of them {2 * STRIDE} or "
                "more. Pad or resize the images."
            )
        if stem_width < 2 or stem_width % 2 != 0:
            raise ValueError(f"stem_width is {stem_width}; it must be a positive even number.")
        if len(stem_layers) != 3 or min(stem_layers) < 1:
            raise ValueError(f"stem_layers is {tuple(stem_layers)}; give three numbers of at least 1.")
        if len(decoder_channels) not in (3, 4) or min(decoder_channels) < 1:
            raise ValueError(
                f"decoder_channels is {tuple(decoder_channels)}; give three or four numbers of at least 1."
            )
        if norm not in NORMS:
            raise ValueError(f"norm is {norm!r}; use one of {', '.join(NORMS)}.")

        def convolution(before: int, after: int) -> Convolution:
            return Convolution(
                spatial_dims, before, after, adn_ordering="NA", act="relu", norm=(norm, {"affine": True}), bias=False
            )

        self.stem = ResidualStem(spatial_dims, in_channels, stem_width, stem_layers)
        *skips, deepest = self.stem.channels
        self.embedding = PatchEmbeddingBlock(
            deepest,
            [size // STRIDE for size in self.img_size],
            patch_size=1,
            hidden_size=hidden_size,
            num_heads=num_heads,
            dropout_rate=dropout_rate,
            spatial_dims=spatial_dims,
        )
        self.transformer = nn.Sequential(
            *[_transformer_block(hidden_size, mlp_dim, num_heads, dropout_rate) for _ in range(num_layers)],
            nn.LayerNorm(hidden_size),
        )
        self.head = convolution(hidden_size, head_channels)
        self.upsample = UpSample(spatial_dims, mode="nontrainable")
        widths = pairwise((head_channels, *decoder_channels))
        self.decoder = nn.ModuleList(
            nn.Sequential(convolution(before + skip, after), convolution(after, after))
            for (before, after), skip in zip(widths, (*reversed(skips), 0), strict=False)
        )
        last_step = UpSample(spatial_dims, mode="nontrainable") if len(decoder_channels) == 3 else nn.Identity()
        self.logits = nn.Sequential(
            last_step, Convolution(spatial_dims, decoder_channels[-1], out_channels, conv_only=True)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if list(image.shape[2:]) != self.img_size:
            raise ValueError(
                f"The image has size {list(image.shape[2:])}, the network img_size {self.img_size}. "
                "Resize the image or build the network for its size."
            )
        features = self.stem(image)
        tokens = self.transformer(self.embedding(features[-1]))
        x = self.head(tokens.transpose(1, 2).unflatten(2, features[-1].shape[2:]))
        for level, stage in enumerate(self.decoder):
            x = self.upsample(x)
            if level < 3:
                x = torch.cat([x, features[2 - level]], dim=1)
            x = stage(x)
        return self.logits(x)
