"""One contract for every setting of TransUNet, and the published one's size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from monai_umed.networks.transunet import TransUNet, WeightStandardizedConv

# A new setting is a new line; the tests come by themselves.
SETTINGS: list[dict[str, Any]] = [
    {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "img_size": 32},
    {"spatial_dims": 2, "in_channels": 3, "out_channels": 4, "img_size": (32, 48), "norm": "instance"},
    {"spatial_dims": 2, "in_channels": 2, "out_channels": 2, "img_size": (16, 48), "stem_layers": (1, 2, 3)},
    {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "img_size": 64, "decoder_channels": (8, 6, 4)},
    {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "img_size": 32},
    {"spatial_dims": 3, "in_channels": 2, "out_channels": 1, "img_size": (32, 16, 48), "norm": "instance"},
    {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "img_size": 32, "decoder_channels": (8, 6, 4)},
]
LIGHT: dict[str, Any] = {
    "stem_width": 4,
    "stem_layers": (1, 1, 1),
    "hidden_size": 16,
    "mlp_dim": 32,
    "num_layers": 2,
    "num_heads": 2,
    "head_channels": 8,
    "decoder_channels": (8, 6, 4, 4),
}

each_setting = pytest.mark.parametrize("setting", SETTINGS, ids=str)
each_dims = pytest.mark.parametrize("spatial_dims", [2, 3])


def make_network(setting: dict[str, Any]) -> TransUNet:
    torch.manual_seed(0)
    return TransUNet(**{**LIGHT, **setting})


def make_images(network: TransUNet, channels: int, batch: int = 2) -> torch.Tensor:
    return torch.rand((batch, channels, *network.img_size), generator=torch.Generator().manual_seed(1))


@contextmanager
def zeroed(network: TransUNet, level: int) -> Iterator[None]:
    """The network with the stem's features of one level set to zero, 0 being the finest."""

    def blank(_: nn.Module, __: Any, features: list[torch.Tensor]) -> list[torch.Tensor]:
        return [x * (index != level) for index, x in enumerate(features)]

    handle = network.stem.register_forward_hook(blank)
    yield
    handle.remove()


def test_the_defaults_have_the_published_number_of_parameters() -> None:
    network = TransUNet(2, in_channels=3, out_channels=9, img_size=224)
    # R50-ViT-B/16 of the public implementation with the 9 classes of Synapse; its bottlenecks have 1920 more
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(105.28e6, rel=0.01)


@each_setting
@torch.no_grad()
def test_the_logits_have_the_size_of_the_image(setting: dict[str, Any]) -> None:
    network = make_network(setting).eval()
    logits = network(make_images(network, setting["in_channels"]))
    assert logits.shape == (2, setting["out_channels"], *network.img_size)
    assert logits.isfinite().all()


@each_setting
def test_every_parameter_gets_a_gradient(setting: dict[str, Any]) -> None:
    network = make_network(setting).train()
    logits = network(make_images(network, setting["in_channels"]))
    (logits * torch.randn_like(logits)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@each_setting
@torch.no_grad()
def test_every_level_of_the_stem_reaches_the_logits(setting: dict[str, Any]) -> None:
    network = make_network(setting).eval()
    images = make_images(network, setting["in_channels"])
    expected = network(images)
    for level in range(4):  # three skips and the transformer's input
        with zeroed(network, level):
            assert not torch.allclose(network(images), expected), level
    assert torch.equal(network(images), expected)


@each_dims
@torch.no_grad()
def test_the_stem_halves_the_resolution_four_times(spatial_dims: int) -> None:
    network = make_network({"spatial_dims": spatial_dims, "in_channels": 1, "out_channels": 1, "img_size": 32})
    features = network.stem(make_images(network, 1))
    for level, x in enumerate(features):
        assert x.shape == (2, network.stem.channels[level], *[16 // 2**level] * spatial_dims)


@pytest.mark.parametrize("setting", SETTINGS[3:6:2], ids=str)  # both dimensions, norms and decoders
@torch.no_grad()
def test_the_scripted_network_equals_the_eager_one(setting: dict[str, Any]) -> None:
    network = make_network(setting).eval()
    scripted = torch.jit.script(network)
    images = make_images(network, setting["in_channels"])
    torch.testing.assert_close(scripted(images), network(images))
    with pytest.raises(torch.jit.Error, match="Resize the image or build the network for its size"):
        scripted(images.repeat_interleave(2, dim=2))


@each_setting
@torch.no_grad()
def test_a_saved_state_rebuilds_an_equal_network(setting: dict[str, Any], tmp_path: Any) -> None:
    network = make_network(setting)
    images = make_images(network, setting["in_channels"])
    network(images)  # running statistics other than those of a new network
    torch.save(network.state_dict(), tmp_path / "network.pt")
    rebuilt = TransUNet(**{**LIGHT, **setting})
    rebuilt.load_state_dict(torch.load(tmp_path / "network.pt", weights_only=True))
    assert torch.equal(rebuilt.eval()(images), network.eval()(images))


@each_setting
@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other_in_evaluation(setting: dict[str, Any]) -> None:
    network = make_network(setting).eval()
    images = make_images(network, setting["in_channels"])
    torch.testing.assert_close(network(images), torch.cat([network(images[:1]), network(images[1:])]))


@each_dims
@torch.no_grad()
def test_a_constant_added_to_a_standardized_kernel_changes_nothing(spatial_dims: int) -> None:
    torch.manual_seed(0)
    conv = WeightStandardizedConv(spatial_dims, 3, 4, kernel_size=3, stride=2).double()
    image = torch.rand((2, 3) + (8,) * spatial_dims, dtype=torch.float64)
    expected = conv(image)
    conv.weight.add_(torch.arange(4).reshape(4, *[1] * (spatial_dims + 1)))  # one constant per output channel
    torch.testing.assert_close(conv(image), expected)


@each_dims
@pytest.mark.parametrize("factor", [0.5, 100.0])
@torch.no_grad()
def test_the_scale_of_a_standardized_kernel_changes_nothing(spatial_dims: int, factor: float) -> None:
    torch.manual_seed(0)
    conv = WeightStandardizedConv(spatial_dims, 3, 4, kernel_size=3).double()
    image = torch.rand((2, 3) + (8,) * spatial_dims, dtype=torch.float64)
    expected = conv(image)
    variance = conv.weight.flatten(1).var(dim=1, correction=0).min().item()
    conv.weight.mul_(factor)
    # 1e-5 is added to the variance; its square root in both kernels is all that remains of the scale
    tolerance = 1e-5 / (2 * variance) * max(1, factor**-2)
    torch.testing.assert_close(conv(image), expected, rtol=tolerance, atol=0)


@torch.no_grad()
def test_the_whole_stem_is_standardized() -> None:
    network = make_network(SETTINGS[0]).double().eval()
    images = make_images(network, 1).double()
    expected = network(images)
    kernels = [module for module in network.stem.modules() if isinstance(module, WeightStandardizedConv)]
    assert not any(isinstance(module, nn.Conv2d) for module in network.stem.modules())
    for conv in kernels:
        conv.weight.add_(1)
    torch.testing.assert_close(network(images), expected)


def test_the_position_of_a_token_is_learned() -> None:
    network = make_network({**SETTINGS[0], "img_size": (32, 48)})
    positions = network.embedding.position_embeddings
    assert isinstance(positions, nn.Parameter)
    assert positions.shape == (1, 2 * 3, LIGHT["hidden_size"])


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_few_steps_learn_to_find_a_bright_disk(norm: str) -> None:
    network = make_network({**SETTINGS[0], "norm": norm, "dropout_rate": 0.0})
    generator = torch.Generator().manual_seed(2)
    centers = torch.randint(8, 24, (4, 2, 1, 1), generator=generator)
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    disk = (((rows - centers[:, 0]) ** 2 + (columns - centers[:, 1]) ** 2) < 36).float().unsqueeze(1)
    images = disk + 0.3 * torch.randn(disk.shape, generator=generator)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(24):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(network(images), disk)
        loss.backward()
        optimizer.step()
    without_looking = torch.special.entr(torch.stack([disk.mean(), 1 - disk.mean()])).sum()
    assert loss < without_looking / 2


def test_bfloat16_autocast_gives_nearly_the_same_logits() -> None:
    network = make_network(SETTINGS[0]).eval()
    images = make_images(network, 1)
    with torch.no_grad():
        expected = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images).float()
    assert logits.isfinite().all()
    assert (logits - expected).abs().max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_dims": 1}, "spatial_dims is 1; it must be 2 or 3"),
        ({"img_size": 40}, r"img_size is \[40, 40\]; every axis must be a multiple of 16.*Pad or resize"),
        ({"img_size": (32, 100)}, r"img_size is \[32, 100\]; every axis must be a multiple of 16"),
        ({"img_size": 0}, r"img_size is \[0, 0\]; every axis must be a multiple of 16"),
        ({"img_size": 16}, r"img_size is \[16, 16\].*one of them 32 or more"),
        ({"img_size": (32, 32, 32)}, "length 2"),
        ({"stem_width": 7}, "stem_width is 7; it must be a positive even number"),
        ({"stem_width": 0}, "stem_width is 0; it must be a positive even number"),
        ({"stem_layers": (1, 1)}, r"stem_layers is \(1, 1\); give three numbers of at least 1"),
        ({"stem_layers": (1, 0, 1)}, r"stem_layers is \(1, 0, 1\); give three numbers of at least 1"),
        ({"decoder_channels": (8, 8)}, r"decoder_channels is \(8, 8\); give three or four numbers of at least 1"),
        ({"decoder_channels": (8, 8, 0, 8)}, r"decoder_channels is \(8, 8, 0, 8\); give three or four"),
        ({"norm": "group"}, "norm is 'group'; use one of batch, instance"),
        ({"hidden_size": 15}, "15 should be divisible by num_heads 2"),
        ({"dropout_rate": 1.5}, "dropout_rate 1.5 should be between 0 and 1"),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_network({**SETTINGS[0], **arguments})


@each_dims
def test_an_image_of_another_size_is_refused_and_both_sizes_named(spatial_dims: int) -> None:
    network = make_network({"spatial_dims": spatial_dims, "in_channels": 1, "out_channels": 1, "img_size": 32})
    given, wanted = [48] * spatial_dims, [32] * spatial_dims
    with pytest.raises(ValueError) as raised:
        network(torch.zeros(1, 1, *given))
    assert f"size {given}, the network img_size {wanted}. Resize the image or build" in str(raised.value)
