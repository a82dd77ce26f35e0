"""One contract for every setting of the generators: any size, all gradients, scriptable, rebuilt by settings."""

from typing import Any

import pytest
import torch

from monai_umed.networks import Perturbator, UMedPerturbator

# A new setting is a new line; the tests come by themselves.
SETTINGS: list[dict[str, Any]] = [
    {"spatial_dims": 2, "in_channels": 1},
    {"spatial_dims": 2, "in_channels": 3, "patch": 1},
    {"spatial_dims": 2, "in_channels": 3, "patch": 2, "norm": "instance", "central_difference": False},
    {"spatial_dims": 2, "in_channels": 1, "patch": 1, "norm": "batch", "output": "clip"},
    {"spatial_dims": 2, "in_channels": 1, "patch": 2, "convs": 2, "features": (4, 6)},
    {"spatial_dims": 3, "in_channels": 1, "patch": 4, "features": (4, 8)},
    {"spatial_dims": 3, "in_channels": 3, "patch": 1, "norm": "batch"},
    {"spatial_dims": 3, "in_channels": 1, "patch": 2, "norm": "instance", "output": "clip"},
    {"spatial_dims": 3, "in_channels": 1, "patch": 1, "central_difference": False, "features": (4, 6)},
]
# Whole multiples of the stride, odd sizes, and sizes below it.
SIZES: dict[int, list[tuple[int, ...]]] = {
    2: [(16, 32), (17, 23), (5, 9), (1, 1)],
    3: [(16, 16, 32), (17, 9, 5), (3, 5, 2), (1, 1, 1)],
}

each_setting = pytest.mark.parametrize("setting", SETTINGS, ids=str)


def make_network(setting: dict[str, Any]) -> UMedPerturbator:
    torch.manual_seed(0)
    return UMedPerturbator(**{"features": (4, 6, 8), **setting})


def make_images(setting: dict[str, Any], size: tuple[int, ...], batch: int = 2) -> torch.Tensor:
    return torch.rand((batch, setting["in_channels"], *size), generator=torch.Generator().manual_seed(1))


@each_setting
@torch.no_grad()
def test_any_spatial_size_gives_contour_then_texture_noise_of_that_size(setting: dict[str, Any]) -> None:
    network = make_network(setting).eval()
    for size in SIZES[setting["spatial_dims"]]:
        images = make_images(setting, size)
        noise = network(images)
        assert noise.shape == (2, 2 * setting["in_channels"], *size)
        assert noise.isfinite().all()
        assert torch.equal(noise, torch.cat([network.contour(images), network.texture(images)], dim=1))


@each_setting
def test_every_parameter_gets_a_gradient(setting: dict[str, Any]) -> None:
    network = make_network(setting).train()
    noise = network(make_images(setting, (16,) * setting["spatial_dims"]))
    (noise * torch.randn_like(noise)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if parameter.ndim > 1:  # a normalization or the removed mean may cancel a bias, never a kernel
            assert parameter.grad.any(), name


@each_setting
@torch.no_grad()
def test_the_scripted_network_equals_the_eager_one(setting: dict[str, Any]) -> None:
    network = make_network(setting).eval()
    scripted = torch.jit.script(network)
    for size in SIZES[setting["spatial_dims"]][:2]:
        images = make_images(setting, size)
        torch.testing.assert_close(scripted(images), network(images))


@each_setting
@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other_in_evaluation(setting: dict[str, Any]) -> None:
    network = make_network(setting).eval()
    images = make_images(setting, (17,) * setting["spatial_dims"])
    # One image and two go through other kernels, whose rounding grows through the layers: to 6.8e-5 on CPUs with AVX2.
    alone = torch.cat([network(images[:1]), network(images[1:])])
    torch.testing.assert_close(network(images), alone, rtol=1e-3, atol=5e-4)


@pytest.mark.parametrize(("spatial_dims", "patch"), [(2, 4), (2, 8), (3, 4)])
@torch.no_grad()
def test_a_mirrored_checkerboard_lies_the_same_way_on_flipped_images(spatial_dims: int, patch: int) -> None:
    torch.manual_seed(0)
    network = UMedPerturbator(spatial_dims, 1, features=(4, 8), patch=patch, mirrored=True)
    noise = network(torch.rand(1, 1, *(4 * patch,) * spatial_dims))
    for axis in range(2, noise.ndim):
        assert torch.equal(noise.sign(), noise.flip(axis).sign())


def test_a_checkerboard_of_odd_patches_is_refused() -> None:
    with pytest.raises(ValueError, match="patch is 5; a checkerboard of half patches needs an even number"):
        UMedPerturbator(2, 1, patch=5)


@each_setting
@torch.no_grad()
def test_settings_rebuild_an_equal_network(setting: dict[str, Any]) -> None:
    network = make_network(setting).eval()
    rebuilt = UMedPerturbator(**network.settings())
    assert rebuilt.settings() == network.settings()
    assert {**network.settings(), **setting} == network.settings()
    rebuilt.load_state_dict(network.state_dict())
    images = make_images(setting, (16,) * setting["spatial_dims"])
    assert torch.equal(rebuilt.eval()(images), network(images))


@each_setting
@torch.no_grad()
def test_the_same_seed_gives_the_same_network(setting: dict[str, Any]) -> None:
    images = make_images(setting, (16,) * setting["spatial_dims"])
    assert torch.equal(make_network(setting).eval()(images), make_network(setting).eval()(images))


@pytest.mark.parametrize("central_difference", [True, False])
def test_only_the_contour_generator_has_central_differences(central_difference: bool) -> None:
    network = UMedPerturbator(2, 1, features=(4, 8), central_difference=central_difference)
    assert any("difference" in name for name in network.contour.state_dict()) == central_difference
    assert not any("difference" in name for name in network.texture.state_dict())


@pytest.mark.parametrize(("patch", "features", "stride"), [(1, (4, 8), 2), (4, (4, 8, 16), 16), (2, (4, 4, 4, 4), 16)])
def test_convention_the_stride_is_patch_times_two_per_pooling(
    patch: int, features: tuple[int, ...], stride: int
) -> None:
    assert Perturbator(2, 1, features=features, patch=patch).stride == stride


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch": 0}, r"patch \(0\) and convs \(1\) must be at least 1"),
        ({"convs": 0}, r"convs \(0\) must be at least 1"),
        ({"features": (8,)}, r"features \(\(8,\)\) at least two"),
        ({"spatial_dims": 4}, "spatial_dims is 4; it must be 2 or 3"),
        ({"output": "sigmoid"}, "output is 'sigmoid'; use one of tanh, clip"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UMedPerturbator(**{"spatial_dims": 2, "in_channels": 1, "patch": 1, **arguments})


@pytest.mark.parametrize("spatial_dims", [1, 4])
@pytest.mark.parametrize("patch", [1, 4])
@pytest.mark.parametrize("central_difference", [True, False])
def test_other_than_two_or_three_axes_are_refused_by_every_generator(
    spatial_dims: int, patch: int, central_difference: bool
) -> None:
    with pytest.raises(ValueError, match=f"spatial_dims is {spatial_dims}; it must be 2 or 3"):
        Perturbator(spatial_dims, 1, patch=patch, central_difference=central_difference)
