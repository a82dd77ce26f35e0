"""The segmentation networks that an exploiter may train, in a size for CPUs and in the published one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.swin_unetr import SwinUNETR
from monai.networks.nets.unet import UNet
from torch import nn

from .transunet import TransUNet
from .wrapped import AtHalfResolution, UNetPlusPlus

Builder = Callable[..., nn.Module]


@dataclass(frozen=True)
class Variant:
    """One size of an architecture.

    Attributes:
        build: makes the network from ``spatial_dims``, ``in_channels``, ``out_channels``, and from ``norm`` and
            ``img_size`` where the architecture has them.
        stride: spatial sizes are multiples of it, one of them of at least twice, because a single pixel at the deepest
            level cannot be normalized.
    """

    build: Builder
    stride: int


@dataclass(frozen=True)
class Architecture:
    """One line of the table of networks.

    Attributes:
        summary: what it is, with paper.
        encoder: matches, from their beginning, the names of the parameters and buffers that the image passes before
            features of different depth are joined: the contracting path with its bottom.
        small: trains on a CPU in two to three times the time of the small U-Net.
        paper: widths of the publication.
        norms: normalizations to choose from, ``"batch"`` or ``"instance"``, the default first; empty without a choice.
        other_norms: kinds of normalization that are in it whatever is chosen: ``"batch"``, ``"instance"``,
            ``"group"``, ``"layer"``.
        dims: numbers of spatial axes.
        fixed_size: whether a network works for no other image size than the one it was built for.
        precise_batch_norm: whether the running statistics of batch normalization are to be computed anew over all
            training images after the last epoch (Wu and Johnson 2021, arXiv 2105.07576, Section 3). A network whose
            statistics swing with the last few batches would be measured by chance.
    """

    summary: str
    encoder: re.Pattern[str]
    small: Variant
    paper: Variant
    norms: tuple[str, ...] = ()
    other_norms: tuple[str, ...] = ()
    dims: tuple[int, ...] = (2, 3)
    fixed_size: bool = False
    precise_batch_norm: bool = False


def _encoder(beginning: str) -> re.Pattern[str]:
    """Names below modules that match ``beginning``, inside this module's wrappers too."""
    return re.compile(rf"(?:network\.)*(?:strided|{beginning})\.")


_WIDTHS = (64, 128, 256, 512, 1024)
_SIX_STAGES: dict[str, Any] = {"kernel_size": (3,) * 6, "strides": (1, *(2,) * 5), "upsample_kernel_size": (2,) * 5}
_LIGHT_TRANSUNET: dict[str, Any] = {
    **{"stem_width": 8, "stem_layers": (1, 1, 1), "head_channels": 96, "decoder_channels": (32, 16, 8)},
    **{"hidden_size": 128, "mlp_dim": 512, "num_layers": 3, "num_heads": 4, "dropout_rate": 0.0},
}

ARCHITECTURES: dict[str, Architecture] = {
    "unet": Architecture(
        "U-Net, Ronneberger et al. 2015, arXiv 1505.04597; small: MONAI's, strided convolutions and no pooling",
        _encoder(r"model\.(?:1\.submodule\.)*(?:0|conv|adn)|conv_0|down_\d"),
        Variant(partial(UNet, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2)), stride=16),
        Variant(partial(BasicUNet, features=(*_WIDTHS, 64)), stride=16),
        norms=("batch", "instance"),
    ),
    "basicunet": Architecture(
        "U-Net with pooling, Falk et al. 2019, doi 10.1038/s41592-018-0261-2; MONAI's BasicUNet at its default widths",
        _encoder(r"conv_0|down_\d"),
        Variant(partial(BasicUNet, features=(8, 8, 16, 32, 64, 8)), stride=16),
        Variant(partial(BasicUNet, features=(32, 32, 64, 128, 256, 32)), stride=16),
        norms=("batch", "instance"),
    ),
    "unetplusplus": Architecture(
        "U-Net++, Zhou et al. 2018, arXiv 1807.10165, without deep supervision; small: at half the resolution",
        _encoder(r"conv_\d_0"),
        Variant(partial(AtHalfResolution, partial(UNetPlusPlus, (8, 16, 32, 64, 128, 8)), 8), stride=32),
        Variant(partial(UNetPlusPlus, (*_WIDTHS, 64)), stride=16),
        norms=("batch", "instance"),
    ),
    "attentionunet": Architecture(
        "Attention U-Net, Oktay et al. 2018, arXiv 1804.03999; MONAI normalizes by batch, merged skips by instance",
        _encoder(r"model\.0|model\.1\.(?:submodule\.1\.)*submodule\.(?:0|conv)"),
        Variant(partial(AttentionUnet, channels=(8, 16, 32, 64, 128), strides=(2, 2, 2, 2)), stride=16),
        Variant(partial(AttentionUnet, channels=_WIDTHS, strides=(2, 2, 2, 2)), stride=16),
        other_norms=("batch", "instance"),
    ),
    "transunet": Architecture(
        "TransUNet, Chen et al. 2021, arXiv 2102.04306; GroupNorm in the stem, LayerNorm in the transformer",
        _encoder(r"stem|embedding|transformer"),
        Variant(partial(TransUNet, **_LIGHT_TRANSUNET), stride=16),
        Variant(TransUNet, stride=16),
        norms=("batch", "instance"),
        other_norms=("group", "layer"),
        fixed_size=True,
        precise_batch_norm=True,
    ),
    "swinunetr": Architecture(
        "Swin UNETR, Hatamizadeh et al. 2022, arXiv 2201.01266, LayerNorm in the transformer; small: at half the "
        "resolution",
        _encoder(r"swinViT|encoder\d+"),
        # twelve channels a head, close to the published sixteen
        Variant(
            partial(AtHalfResolution, partial(SwinUNETR, feature_size=12, num_heads=(1, 2, 4, 8)), 6, multiple=32),
            stride=32,
        ),
        Variant(partial(SwinUNETR, feature_size=48), stride=32),
        other_norms=("instance", "layer"),
    ),
    "segresnet": Architecture(
        "SegResNet, Myronenko 2018, arXiv 1810.11654, without the autoencoder; small: at half the resolution",
        _encoder(r"convInit|down_layers"),
        Variant(
            partial(AtHalfResolution, partial(SegResNet, init_filters=16, blocks_down=(1, 1, 1, 2)), 16), stride=16
        ),
        Variant(partial(SegResNet, init_filters=32), stride=8),
        other_norms=("group",),
    ),
    "dynunet": Architecture(
        "nnU-Net's network with six stages, Isensee et al. 2021, arXiv 1809.10486, without deep supervision",
        # MONAI registers every block a second time in skip_layers, so a state dict has two names for it
        _encoder(r"input_block|downsamples|bottleneck|skip_layers\.(?:next_layer\.)*(?:downsample|conv\d|norm\d)"),
        Variant(partial(DynUNet, filters=(8, 16, 32, 64, 128, 128), **_SIX_STAGES), stride=32),
        Variant(partial(DynUNet, **_SIX_STAGES), stride=32),
        other_norms=("instance",),
    ),
}
