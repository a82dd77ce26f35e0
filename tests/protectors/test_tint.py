"""A tint: the direction against hand-made colors, where it lies, what it refuses, and what a key decides."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from monai_umed.functional.local_binary_pattern import luma
from monai_umed.protectors.channels import in_channels_of, perturb_as_known
from monai_umed.protectors.tint import Tint, directions

SIDE = 40
EPS = 8 / 255


def make_items(weights: tuple[float, ...] = (0.2, 0.2, 0.2), noise: float = 0.01) -> list[dict]:
    """Brightness varies by ``weights``, one number for all channels of an image; colors vary by ``noise`` beside it."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for index in range(12):
        brightness = torch.rand(1, generator=generator) * torch.tensor(weights)
        colors = 0.3 + brightness + noise * torch.randn(len(weights), generator=generator)
        items.append({"id": f"{index}", "image": colors.reshape(-1, 1, 1).expand(-1, SIDE, SIDE).clamp(0, 1)})
    return items


def fitted(secret: int = 0, items: list[dict] | None = None, **arguments: Any) -> Tint:
    tint = Tint.from_settings({"spatial_dims": 2, "in_channels": 3, "eps": EPS, "size": (SIDE, SIDE), **arguments})
    assert isinstance(tint, Tint)
    tint.choose(secret)
    tint.fit(items or make_items(), progress=False)
    return tint


def make_case(channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    label = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    label[:, 8:32, 8:32] = 1
    return torch.full((channels, SIDE, SIDE), 0.5), label


def levels(tint: Tint) -> torch.Tensor:
    return (tint(*make_case(), levels=255).delta * 255).round()


def test_neutral_directions_leave_luma_and_reach_the_limit() -> None:
    for channels in (2, 3, 4):
        for direction in directions(channels, neutral=True):
            assert abs(float(luma(direction.reshape(channels, 1, 1)))) < 1e-12
            assert direction.abs().max() == 1
    assert len(directions(3)) == 4 and len(directions(4)) == 8


def test_the_direction_is_one_that_brightness_does_not_vary_along() -> None:
    # Red rises by as much as green and blue together, so that only (1, -1, -1) does not follow brightness.
    tint = fitted(items=make_items((0.4, 0.2, 0.2)), outside=0.0)
    assert tint.separability > 1
    assert (levels(tint)[:, 20, 20] / levels(tint)[0, 20, 20]).tolist() == [1, -1, -1]


def test_inside_and_outside_move_in_opposite_ways_and_nothing_is_lost_on_any_grid() -> None:
    delta = levels(fitted())
    inside, outside = delta[:, 20, 20], delta[:, 2, 2]
    assert torch.equal(inside, -2 * outside) and inside.abs().tolist() == [8, 8, 8]
    assert all(len(delta[channel].unique()) == 2 for channel in range(3))


def test_a_feathered_tint_grows_from_the_contour_inward() -> None:
    delta = levels(fitted(feather=4))[0, 20].abs()
    signed = levels(fitted(feather=4))[0, 20] * levels(fitted())[0, 20, 20].sign()
    assert (signed[:8] == -4).all() and delta[20] == 8
    assert (signed[8:16].diff() >= 0).all() and signed[8] < signed[12] <= 8


def test_the_neutral_tint_leaves_luma() -> None:
    delta = fitted(neutral=True, outside=0.0)(*make_case()).delta
    assert luma(delta).abs().max() < 1e-6 and delta.abs().max() == pytest.approx(EPS)


def test_separability_is_announced_and_a_weak_tint_warns(capsys: pytest.CaptureFixture[str]) -> None:
    tint = fitted()
    tint.announce()
    assert f"d' of {tint.separability:.2f}" in capsys.readouterr().out
    weak = fitted(items=make_items(noise=0.2))
    with pytest.warns(UserWarning, match=r"below 1: natural colors vary more .* Raise eps to"):
        weak.announce()
    weak.eps = 1.01 * EPS / weak.separability
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weak.announce()


def test_a_number_decides_among_near_optimal_tints_and_leaves_no_trace_in_the_settings() -> None:
    tints = [fitted(secret) for secret in range(8)]
    inside = {tuple(levels(tint)[:, 20, 20].tolist()) for tint in tints}
    assert len(inside) >= 2 and len({repr(tint) for tint in tints}) == 1
    best = max(tint.separability for tint in tints)
    assert all(tint.separability >= 0.75 * best for tint in tints) and tints[0].separability == best


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 1}, r"one channel.*use the preset strong"),
        ({"in_channels": 9}, "at most 8"),
        ({"outside": 1.5}, r"outside is 1.5; it must be from 0 to 1"),
        ({"feather": 30}, r"feather is 30; it must be from 0 to 20 pixels"),
    ],
)
def test_what_cannot_be_tinted_is_refused_with_what_to_take(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fitted(**arguments)


def test_gray_images_stored_as_color_are_refused() -> None:
    with pytest.raises(ValueError, match="channels are equal: the images are gray"):
        fitted(items=make_items(noise=0.0))


def test_a_gray_image_among_colors_is_refused_and_not_moved_as_a_whole() -> None:
    image, label = make_case(1)
    tint = fitted()
    assert in_channels_of(image, tint) is image
    with pytest.raises(ValueError, match=r"has 1 channel\(s\), the protector was fitted on 3"):
        perturb_as_known(tint, image, label, spacing=None, levels=255, case_id="a")
