"""One contract for every network that an exploiter may train; a new line in the table is tested by itself."""

import io
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet
from torch import nn

from monai_umed.networks.architectures import ARCHITECTURES, Architecture
from monai_umed.networks.exploiters import SIZES, build_exploiter, canonical_name, encoder_of, exploiter_names

NORM_LAYERS: dict[str, type[nn.Module]] = {
    "batch": nn.modules.batchnorm._BatchNorm,
    "instance": nn.modules.instancenorm._InstanceNorm,
    "group": nn.GroupNorm,
    "layer": nn.LayerNorm,
}
# Millions of parameters of the paper size, 1 channel, 2 classes.
PUBLISHED = [
    ("unet-batch", 2, 31.04),  # 31 037 633: 2 convolutions and batch norm a level, 2x2 transposed ones, by hand
    ("swinunetr", 3, 62.1),  # table in SwinUNETR/BTCV/README.md of Project-MONAI/research-contributions
]
COUNTED = [  # monai 1.6.1 as it is, no outside reference: tells when a release or a line of the table changes them
    ("unetplusplus-batch", 2, 36.45),
    ("attentionunet", 2, 31.74),
    ("transunet-batch", 2, 105.17),
    ("segresnet", 3, 18.80),
    ("dynunet", 2, 20.61),
    ("dynunet", 3, 31.19),
]
# Channels of the encoder's convolutions in the publications.
WIDTHS = [
    ("unet-batch", 2, {64, 128, 256, 512, 1024}),
    ("unetplusplus-batch", 2, {64, 128, 256, 512, 1024}),
    ("attentionunet", 2, {64, 128, 256, 512, 1024}),
    ("swinunetr", 3, {48, 96, 192, 768}),  # the stage of 384 channels has no convolution beside it
    ("segresnet", 3, {32, 64, 128, 256}),
    ("dynunet", 2, {32, 64, 128, 256, 512}),
    ("dynunet", 3, {32, 64, 128, 256, 320}),
]

each_name = pytest.mark.parametrize("name", exploiter_names())
each_dim = pytest.mark.parametrize("dims", [2, 3])
# U-Net's two sizes are different classes with other names of parameters; the others' differ by a prefix at most.
each_size_with_own_names = pytest.mark.parametrize(
    ("name", "size"),
    [*((name, "small") for name in exploiter_names()), ("unet-batch", "paper")],
)


def architecture_of(name: str) -> Architecture:
    return ARCHITECTURES[name.partition("-")[0]]


def smallest(name: str, dims: int, size: str = "small") -> tuple[int, ...]:
    stride = getattr(architecture_of(name), size).stride
    return (*[stride] * (dims - 1), 2 * stride)


def make_network(name: str, dims: int = 2, size: str = "small", seed: int = 0, **arguments: Any) -> nn.Module:
    torch.manual_seed(seed)
    arguments = {"in_channels": 1, "image_size": smallest(name, dims, size), **arguments}
    return build_exploiter(name, size=size, spatial_dims=dims, **arguments)


def make_images(shape: tuple[int, ...], channels: int = 1, batch: int = 1) -> torch.Tensor:
    return torch.rand((batch, channels, *shape), generator=torch.Generator().manual_seed(1))


def make_hollow_network(name: str, dims: int, **arguments: Any) -> nn.Module:
    """Without numbers in it: shapes and counts cost nothing."""
    if name == "swinunetr":  # reads numbers from a tensor while it is built
        return make_network(name, dims, **arguments).to("meta")
    with torch.device("meta"):
        return make_network(name, dims, **arguments)


@cache
def make_paper_network(name: str, dims: int) -> nn.Module:
    return make_hollow_network(name, dims, size="paper", image_size=(224,) * dims)


def leaves(network: nn.Module, is_encoder: Callable[[str], bool], encoder: bool) -> Iterator[nn.Module]:
    """Modules with parameters of their own, all of one side."""
    for name, module in network.named_modules(remove_duplicate=True):
        own = [f"{name}.{key}" for key, _ in module.named_parameters(recurse=False)]
        if own and is_encoder(own[0]) == encoder:
            yield module


def test_names_carry_the_normalization_where_there_is_a_choice() -> None:
    names = exploiter_names()
    assert {"unet-batch", "unet-instance", "transunet-batch", "transunet-instance", "attentionunet"} <= set(names)
    assert len(names) == len(set(names)) == sum(max(1, len(line.norms)) for line in ARCHITECTURES.values())
    assert {name.partition("-")[0] for name in names} == set(ARCHITECTURES)


@pytest.mark.parametrize("name", [key for key, line in ARCHITECTURES.items() if line.norms])
def test_a_plain_name_means_the_first_normalization(name: str) -> None:
    plain, first = make_network(name), make_network(f"{name}-{ARCHITECTURES[name].norms[0]}")
    assert str(plain) == str(first)
    assert canonical_name(name) == f"{name}-{ARCHITECTURES[name].norms[0]}"


@each_name
def test_a_full_name_is_its_own_canonical_name(name: str) -> None:
    assert canonical_name(name) == name


def test_convention_every_network_takes_multiples_of_32() -> None:
    strides = {variant.stride for line in ARCHITECTURES.values() for variant in (line.small, line.paper)}
    assert all(32 % stride == 0 for stride in strides)


@torch.no_grad()
def test_every_small_network_takes_a_square_of_64_and_sides_that_differ() -> None:
    for name in exploiter_names():
        for shape in [(64, 64), (96, 32), (64, 160)]:
            assert make_network(name, image_size=shape)(make_images(shape)).shape[2:] == shape


@each_name
@each_dim
@pytest.mark.parametrize(("channels", "num_classes"), [(1, 2), (3, 2), (1, 3), (3, 3)])
@torch.no_grad()
def test_one_tensor_of_logits_comes_out_at_the_resolution_of_the_input(
    name: str, dims: int, channels: int, num_classes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = smallest(name, dims)
    make = make_network if dims == 2 else make_hollow_network  # the test of gradients computes in 3D
    network = make(name, dims, in_channels=channels, num_classes=num_classes).train()
    logits = network(make_images(shape, channels).to(next(network.parameters()).device))
    assert isinstance(logits, torch.Tensor)
    assert logits.shape == (1, 1 if num_classes == 2 else num_classes, *shape)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@each_name
@each_dim
def test_every_parameter_gets_a_gradient(name: str, dims: int) -> None:
    network = make_network(name, dims).train()
    logits = network(make_images(smallest(name, dims)))
    assert logits.isfinite().all()
    (logits * torch.randn_like(logits)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        # normalization cancels biases and what comes before a deepest level of two pixels, never a kernel
        if dims == 2 and parameter.ndim > 1:
            assert parameter.grad.any(), key


@each_name
@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other_in_evaluation(name: str) -> None:
    shape = tuple(2 * side for side in smallest(name, 2))  # statistics over two pixels would amplify rounding
    network, images = make_network(name, image_size=shape).eval(), make_images(shape, batch=2)
    torch.testing.assert_close(network(images), torch.cat([network(images[:1]), network(images[1:])]))
    assert torch.equal(network(images), network(images))


@each_name
@torch.no_grad()
def test_weights_survive_a_checkpoint(name: str) -> None:
    network, other = make_network(name).train(), make_network(name, seed=1)
    images = make_images(smallest(name, 2))
    network(images)  # moves running statistics
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(network.eval()(images), other.eval()(images))


@each_name
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name: str) -> None:
    first, again, other = (list(make_network(name, seed=seed).parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


@each_name
@pytest.mark.parametrize("size", SIZES)
def test_normalizations_are_exactly_those_that_the_name_and_the_table_promise(name: str, size: str) -> None:
    network = make_network(name) if size == "small" else make_paper_network(name, 2)
    found = {
        kind for kind, layer in NORM_LAYERS.items() if any(isinstance(module, layer) for module in network.modules())
    }
    chosen = name.partition("-")[2]
    assert found == {*architecture_of(name).other_norms, *([chosen] if chosen else [])}


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("num_classes", "out_channels"), [(2, 1), (4, 4)])
def test_the_small_unet_is_monais_with_the_same_weights(
    norm: str, dims: int, num_classes: int, out_channels: int
) -> None:
    ours = make_network(f"unet-{norm}", dims, in_channels=3, num_classes=num_classes).state_dict()
    torch.manual_seed(0)
    reference = UNet(
        dims, 3, out_channels, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2), norm=norm
    ).state_dict()
    assert list(ours) == list(reference)
    assert all(torch.equal(ours[key], reference[key]) for key in ours)


@each_size_with_own_names
@torch.no_grad()
def test_the_decoder_sees_the_image_only_through_the_encoder(name: str, size: str) -> None:
    network, is_encoder = make_network(name, size=size).eval(), encoder_of(name)
    shape = smallest(name, 2, size)
    first, other = make_images(shape), torch.zeros(1, 1, *shape)
    assert not torch.equal(network(first), network(other))
    for key, parameter in network.named_parameters():
        # the convolution in front of some networks would hide whether anything behind it is missing
        if is_encoder(key) and not key.startswith("strided."):
            parameter.zero_()
    assert torch.equal(network(first), network(other))


@each_size_with_own_names
@torch.no_grad()
def test_the_decoder_does_not_change_what_the_encoder_computes(name: str, size: str) -> None:
    network, is_encoder = make_network(name, size=size).eval(), encoder_of(name)
    seen: list[torch.Tensor] = []
    for module in leaves(network, is_encoder, encoder=True):
        module.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    image = make_images(smallest(name, 2, size))
    before = network(image)
    for key, parameter in network.named_parameters():
        if not is_encoder(key):
            parameter.add_(torch.randn_like(parameter))
    after = network(image)
    half = len(seen) // 2
    assert half > 0 and all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))
    assert not torch.equal(before, after)


@each_size_with_own_names
def test_a_frozen_encoder_leaves_every_parameter_of_the_decoder_to_train(name: str, size: str) -> None:
    network, is_encoder = make_network(name, size=size), encoder_of(name)
    for key, parameter in network.named_parameters():
        parameter.requires_grad_(not is_encoder(key))
    network(make_images(smallest(name, 2, size))).square().sum().backward()
    trained = {key for key, parameter in network.named_parameters() if parameter.grad is not None}
    assert trained == {key for key, _ in network.named_parameters() if not is_encoder(key)}
    assert 0 < len(trained) < len(list(network.parameters()))


@each_name
@pytest.mark.parametrize("size", SIZES)
def test_the_convolution_with_most_channels_the_bottom_belongs_to_the_encoder(name: str, size: str) -> None:
    network = make_network(name) if size == "small" else make_paper_network(name, 2)
    widths = {
        encoder: max(
            (
                module.out_channels
                for module in leaves(network, encoder_of(name), encoder)
                if isinstance(module, nn.Conv2d)
            ),
            default=0,  # MONAI's U-Net has transposed convolutions alone on its way up
        )
        for encoder in (True, False)
    }
    assert widths[True] >= widths[False]


@each_name
@pytest.mark.parametrize("size", SIZES)
def test_nothing_goes_up_inside_the_encoder(name: str, size: str) -> None:
    network = make_network(name) if size == "small" else make_paper_network(name, 2)
    encoder = list(leaves(network, encoder_of(name), True))
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in encoder)


@each_name
def test_every_name_that_a_state_dict_has_for_one_tensor_is_on_the_same_side(name: str) -> None:
    sides: dict[int, set[bool]] = {}
    for key, value in make_network(name).state_dict().items():
        sides.setdefault(value.data_ptr(), set()).add(encoder_of(name)(key))
    assert all(len(side) == 1 for side in sides.values())


@each_name
@torch.no_grad()
def test_another_size_than_built_for_is_refused_if_and_only_if_the_table_says_so(name: str) -> None:
    network, other = make_network(name).eval(), tuple(2 * side for side in smallest(name, 2))
    if architecture_of(name).fixed_size:
        with pytest.raises(ValueError, match="img_size"):
            network(make_images(other))
    else:
        assert network(make_images(other)).shape[2:] == other


@each_name
@pytest.mark.parametrize("size", SIZES)
def test_sizes_beside_the_stride_are_refused(name: str, size: str) -> None:
    stride = getattr(architecture_of(name), size).stride
    for wrong in [(stride, stride), (2 * stride, 2 * stride + 1), (stride // 2, 2 * stride), (0, 2 * stride)]:
        with pytest.raises(ValueError, match=rf"needs multiples of {stride}, one of them at least {2 * stride}"):
            build_exploiter(name, 1, size=size, image_size=wrong)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["unet-batch", "attentionunet"]),
    image_size=st.lists(st.integers(0, 200), min_size=2, max_size=3),
)
def test_a_size_is_accepted_or_two_sizes_are_named_that_are(name: str, image_size: list[int]) -> None:
    arguments: dict[str, Any] = {"name": name, "in_channels": 1, "spatial_dims": len(image_size)}
    with torch.device("meta"):
        try:
            build_exploiter(**arguments, image_size=image_size)
        except ValueError as error:
            cures = re.findall(r"\(([\d, ]+)\)", str(error))[1:]
            assert len(set(cures)) == 2
            for cure in cures:
                build_exploiter(**arguments, image_size=[int(side) for side in cure.split(",")])


@pytest.mark.parametrize(
    ("image_size", "nearest"),
    [
        ((100, 100), "(96, 96) or (112, 112)"),
        ((100, 64), "(96, 64) or (112, 64)"),
        ((20, 20), "(32, 32) or (48, 48)"),
        ((16, 16), "(32, 32) or (48, 48)"),
        ((5, 64), "(16, 64) or (32, 64)"),
    ],
)
def test_convention_only_the_wrong_sides_change_in_the_sizes_that_an_error_names(
    image_size: tuple[int, int], nearest: str
) -> None:
    with pytest.raises(ValueError, match=rf"Resample the images to {re.escape(nearest)}\."):
        build_exploiter("unet", 1, image_size=image_size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "unett"}, r"no network 'unett'\. Did you mean 'unet'\? Use one of unet-batch, unet-instance, "),
        ({"name": "unet-group"}, r"no network 'unet-group'\. Did you mean"),
        ({"name": "attentionunet-batch"}, r"Did you mean 'attentionunet'\?"),
        ({"name": "xyz"}, r"no network 'xyz'\. Use one of"),
        ({"size": "huge"}, "size is 'huge'; use one of small, paper"),
        ({"spatial_dims": 1, "image_size": (64,)}, "spatial_dims is 1; unet-batch takes 2 or 3"),
        ({"spatial_dims": 3}, r"image_size \(64, 64\) has 2 numbers; give one per axis, 3"),
        ({"num_classes": 1}, "num_classes is 1; it must be at least 2"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_exploiter(**{"name": "unet-batch", "in_channels": 1, "image_size": (64, 64), **arguments})


def test_an_encoder_of_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'dynunet'"):
        encoder_of("dynunnet")


@pytest.mark.parametrize(("name", "dims", "millions"), PUBLISHED + COUNTED)
def test_the_paper_size_has_the_published_number_of_parameters(name: str, dims: int, millions: float) -> None:
    parameters = sum(parameter.numel() for parameter in make_paper_network(name, dims).parameters())
    assert parameters / 1e6 == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize(("name", "dims", "widths"), WIDTHS)
def test_the_paper_size_has_the_published_widths(name: str, dims: int, widths: set[int]) -> None:
    encoder = leaves(make_paper_network(name, dims), encoder_of(name), True)
    assert {module.out_channels for module in encoder if isinstance(module, nn.Conv2d | nn.Conv3d)} == widths
