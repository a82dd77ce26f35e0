"""The segmentation networks that an exploiter may train, in a size for CPUs and in the published one."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
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

from ..names import did_you_mean
from .transunet import TransUNet
from .wrapped import AtHalfResolution, UNetPlusPlus

SIZES = ("small", "paper")
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


def exploiter_names() -> list[str]:
    """Every network once: ``"unet-batch"``, ``"unet-instance"``, ..., the plain name where there is no choice."""
    return [
        f"{name}-{norm}" if norm else name
        for name, architecture in ARCHITECTURES.items()
        for norm in architecture.norms or ("",)
    ]


def canonical_name(name: str) -> str:
    """The name with its normalization, one of :func:`exploiter_names`, of a name that may leave it out.

    Raises:
        ValueError: if there is no such network.
    """
    norm = _look_up(name)[1]
    return name if norm is None or name.endswith(f"-{norm}") else f"{name}-{norm}"


def _look_up(name: str) -> tuple[Architecture, str | None]:
    """The architecture and its normalization, where it has a choice."""
    names = exploiter_names()
    if name not in names and name not in ARCHITECTURES:
        hint = did_you_mean(name, [*ARCHITECTURES, *names])
        raise ValueError(f"There is no network {name!r}.{hint} Use one of {', '.join(names)}.")
    key, _, norm = name.partition("-")
    return ARCHITECTURES[key], norm or next(iter(ARCHITECTURES[key].norms), None)


def encoder_of(name: str) -> Callable[[str], bool]:
    """Tell from the name of a parameter or buffer whether it belongs to the encoder of network ``name``.

    Returns:
        A function of one name out of ``named_parameters()`` or ``state_dict()``, right for both sizes.

    Raises:
        ValueError: if there is no such network.
    """
    encoder = _look_up(name)[0].encoder
    return lambda parameter: encoder.match(parameter) is not None


def wants_precise_batch_norm(name: str) -> bool:
    """The argument ``precise_batch_norm`` of :func:`monai_umed.exploiter.train_exploiter` for network ``name``.

    Raises:
        ValueError: if there is no such network.
    """
    return _look_up(name)[0].precise_batch_norm


def _fits(image_size: Sequence[int], stride: int) -> bool:
    return all(side >= stride and side % stride == 0 for side in image_size) and max(image_size) > stride


def _sizes_that_fit(image_size: Sequence[int], stride: int) -> list[tuple[int, ...]]:
    """The two sizes nearest to one that does not fit; only the sides that are wrong differ."""
    all_single = set(image_size) == {stride}
    wrong = [side < stride or side % stride > 0 or all_single for side in image_size]
    candidates = [
        tuple(
            (max(1, side // stride) + step) * stride if change else side
            for side, change in zip(image_size, wrong, strict=True)
        )
        for step in range(3)
    ]
    return [candidate for candidate in candidates if _fits(candidate, stride)][:2]


def check_exploiter(name: str, size: str, image_size: Sequence[int]) -> None:
    """Refuse what :func:`build_exploiter` would refuse, without building anything.

    Raises:
        ValueError: if there is no such network or size, if the network does not exist for so many axes, or if it does
            not fit the image size.
    """
    architecture = _look_up(name)[0]
    if size not in SIZES:
        raise ValueError(f"size is {size!r}; use one of {', '.join(SIZES)}.")
    if len(image_size) not in architecture.dims:
        raise ValueError(
            f"spatial_dims is {len(image_size)}; {name} takes {' or '.join(str(dim) for dim in architecture.dims)}."
        )
    variant: Variant = getattr(architecture, size)
    if not _fits(image_size, variant.stride):
        nearest = " or ".join(str(fitting) for fitting in _sizes_that_fit(image_size, variant.stride))
        raise ValueError(
            f"image_size is {tuple(image_size)}; the {size} {name} needs multiples of {variant.stride}, one of them at "
            f"least {2 * variant.stride}. Resample the images to {nearest}."
        )


def build_exploiter(
    name: str,
    in_channels: int,
    num_classes: int = 2,
    size: str = "small",
    spatial_dims: int = 2,
    image_size: Sequence[int] | None = None,
) -> nn.Module:
    """Make an untrained network, its weights drawn from torch's global generator.

    Args:
        name: one of :func:`exploiter_names`, or an architecture's plain name for its first normalization.
        in_channels: channels of the images.
        num_classes: classes, background included.
        size: ``"small"``, made for CPUs, or ``"paper"``, the published widths.
        spatial_dims: 2 or 3.
        image_size: side lengths in pixels of the images to come; 128 each by default.

    Returns:
        A network from ``(B, in_channels, *image_size)`` to logits of the same size, ``(B, 1, *image_size)`` for two
        classes and ``(B, num_classes, *image_size)`` for more.

    Raises:
        ValueError: if there is no such network or size, if the network does not exist for so many axes, if it does not
            fit the image size, or if there are fewer than two classes.
    """
    architecture, norm = _look_up(name)
    image_size = tuple(image_size) if image_size is not None else (128,) * spatial_dims
    if len(image_size) != spatial_dims:
        raise ValueError(f"image_size {image_size} has {len(image_size)} numbers; give one per axis, {spatial_dims}.")
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; it must be at least 2, background included.")
    check_exploiter(name, size, image_size)
    variant: Variant = getattr(architecture, size)
    choices: dict[str, Any] = {"norm": norm} if norm is not None else {}
    if architecture.fixed_size:
        choices["img_size"] = image_size
    with redirect_stdout(io.StringIO()):  # some releases of BasicUNet print their widths
        return variant.build(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=1 if num_classes == 2 else num_classes,
            **choices,
        )
