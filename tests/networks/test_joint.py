"""Both generators as one network: the noise of the two, and of an image the same wherever it is in a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_umed.networks import JointGenerators, UMedPerturbator

SETTINGS: list[dict[str, Any]] = [
    {},
    {"in_channels": 3, "patch": 8, "checkerboard": False},
    {"patch": 2, "features": (16, 32, 64)},
    {"patch": 2, "convs": 2, "central_difference": False},
]


def make_pair(setting: dict[str, Any]) -> tuple[UMedPerturbator, JointGenerators]:
    torch.manual_seed(0)
    network = UMedPerturbator(**{"spatial_dims": 2, "in_channels": 1, "features": (4, 6, 8), **setting})
    network.eval().requires_grad_(False)
    return network, JointGenerators(network)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("size", [(64, 48), (45, 70), (5, 9)])
def test_the_noise_is_that_of_both_generators(setting: dict[str, Any], size: tuple[int, int]) -> None:
    network, joint = make_pair(setting)
    images = torch.rand((2, network.in_channels, *size))
    torch.testing.assert_close(joint(images), network(images), rtol=0, atol=5e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_an_image_has_the_same_noise_alone_and_anywhere_in_a_batch(setting: dict[str, Any], threads: int) -> None:
    network, joint = make_pair(setting)
    images, before = torch.rand((16, network.in_channels, 48, 48)), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        alone = torch.cat([joint(image[None]) for image in images])
        for count in (2, 3, 7, 16):
            assert torch.equal(joint(images[:count]), alone[:count])
        assert torch.equal(joint(images.flip(0)), alone.flip(0))
        images[1:] = 0
        assert torch.equal(joint(images)[0], alone[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone[:1], joint(images[:1]))


def test_the_order_in_memory_does_not_matter() -> None:
    network, joint = make_pair(SETTINGS[1])
    images = torch.rand((2, 3, 48, 64))
    expected = joint(images)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert torch.equal(JointGenerators(network)(images), expected)
    assert torch.equal(joint(images.to(memory_format=torch.channels_last)), expected)
    gray, of_gray = make_pair({})[1], images[:1, :1]
    assert torch.equal(gray(of_gray.as_strided(of_gray.shape, (48 * 64, 1, 64, 1))), gray(of_gray))


def test_other_generators_are_not_supported() -> None:
    settings: list[dict[str, Any]] = [{"patch": 1}, {"norm": "batch"}, {"spatial_dims": 3}]
    for setting in settings:
        network = UMedPerturbator(**{"spatial_dims": 2, "in_channels": 1, "features": (4, 6), **setting})
        assert not JointGenerators.supports(network)
