"""What takes colors off: gray balance, standardized channels, turned hues."""

from __future__ import annotations

import colorsys
import math

import pytest
import torch
from monai.transforms import Compose

from monai_umed.defenses.color import ChannelStandardize, ColorJitter, GrayWorld, SingleChannel
from monai_umed.functional.filters import rotate_hue


def make_image(*shape: int) -> torch.Tensor:
    return 0.2 + 0.4 * torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_gray_world_removes_a_cast_of_the_light_and_leaves_gray_images() -> None:
    image = make_image(3, 16, 16)
    cast = image * torch.tensor([1.2, 0.9, 1.0]).reshape(3, 1, 1)
    means = GrayWorld().preprocess(cast).mean((1, 2))
    torch.testing.assert_close(means, means.mean().expand(3))
    torch.testing.assert_close(GrayWorld().preprocess(image[:1]), image[:1])
    black = torch.stack([image[0], torch.zeros(16, 16), image[1]])
    assert GrayWorld().preprocess(black)[1].max() == 0


def test_standardized_channels_do_not_tell_a_shift_of_one_of_them() -> None:
    image = make_image(3, 16, 16)
    shifted = image + torch.tensor([0.1, -0.1, 0.0]).reshape(3, 1, 1)
    found = ChannelStandardize().preprocess(shifted)
    torch.testing.assert_close(found, ChannelStandardize().preprocess(image), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.mean((1, 2)), torch.full((3,), 0.5), rtol=0, atol=1e-5)
    flat = torch.full((1, 8, 8), 0.3)
    assert torch.equal(ChannelStandardize().preprocess(flat), flat)


@pytest.mark.parametrize(("shape", "kept"), [((3, 8, 9), 1), ((4, 8, 9, 7), 2), ((2, 8, 9), 1), ((1, 8, 9), 0)])
def test_one_channel_is_all_that_a_network_sees(shape: tuple[int, ...], kept: int) -> None:
    image = make_image(*shape)
    before, found = image.clone(), SingleChannel().preprocess(image)
    assert found.shape == shape and all(torch.equal(channel, before[kept]) for channel in found)
    found += 1  # a copy: originals stay
    assert torch.equal(image, before)


@pytest.mark.parametrize("degrees", [30, 120, -75])
def test_hue_turns_by_its_angle_and_grays_stay(degrees: float) -> None:
    gray = torch.full((3, 2, 2), 0.4)
    torch.testing.assert_close(rotate_hue(gray, math.radians(degrees)), gray)
    red = torch.tensor([0.8, 0.4, 0.4]).reshape(3, 1, 1)
    if degrees == 120:  # elsewhere hexagon and circle of hues differ a little
        torch.testing.assert_close(rotate_hue(red, math.radians(120)).flatten(), torch.tensor([0.4, 0.8, 0.4]))
    turned = colorsys.rgb_to_hls(*rotate_hue(red, math.radians(degrees)).flatten().tolist())[0] * 360
    assert (turned - degrees + 180) % 360 - 180 == pytest.approx(0, abs=6)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 16), (4, 16, 16), (3, 8, 9, 7)])
def test_jitter_keeps_shape_range_and_label_and_differs_every_time(shape: tuple[int, ...]) -> None:
    item = {"image": make_image(*shape), "label": torch.ones(1, *shape[1:])}
    jitter = Compose(ColorJitter().augmentation(None)).set_random_state(0)  # type: ignore[arg-type]
    first, second = (jitter(item) for _ in range(2))
    assert first["image"].shape == shape and first["image"].min() >= 0 and first["image"].max() <= 1
    assert not torch.equal(first["image"], second["image"]) and torch.equal(first["label"], item["label"])


@pytest.mark.parametrize("arguments", [{"degrees": 200}, {"degrees": -1}, {"factor": 1}, {"factor": -0.1}])
def test_amounts_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} is"):
        ColorJitter(**arguments)
