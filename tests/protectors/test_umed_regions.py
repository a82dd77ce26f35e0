"""What UMed may change beyond the paper: less in flat parts of the contour, the opposite pattern in the background."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from umed_toys import ROUNDING, disk, make_image, make_protector

from monai_umed.protectors import UMed, bound_noise

FRACTION = st.floats(0.05, 1)
SIZE = (20, 24)


def half_flat(*size: int) -> torch.Tensor:
    """Noise to the left, one gray level to the right, at a distance from both ends of the range."""
    image = 0.3 + 0.4 * make_image(1, *size)
    image[..., size[-1] // 2 :] = 0.5
    return image


@settings(max_examples=60, deadline=None)
@given(share=FRACTION, weight=FRACTION, levels=st.sampled_from([None, 255.0, 65535.0]))
def test_regions_do_not_overlap_and_no_pixel_leaves_its_bound(
    share: float, weight: float, levels: float | None
) -> None:
    image, label = half_flat(*SIZE), disk(*SIZE)
    protector = make_protector(eps=16 / 255, background_share=share, perceptual_weight=weight)
    native_bounds = protector.native_bounds(image, label, levels=levels)
    assert len(native_bounds) == 3 and ((native_bounds > 0).sum(dim=0) <= 1).all()
    assert not native_bounds[2][label[0] > 0].any()
    delta, bound = protector(image, label, levels=levels)
    torch.testing.assert_close(bound[0], native_bounds.sum(dim=0))
    assert (delta.abs() <= bound + ROUNDING).all()
    assert (image + delta).min() >= 0 and (image + delta).max() <= 1


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("native", [False, True])
def test_background_carries_the_opposite_of_the_contour_noise(spatial_dims: int, native: bool) -> None:
    size = (16,) * spatial_dims
    image, label = half_flat(*size), disk(*size)

    def perturb(classes: torch.Tensor, **shares: Any) -> torch.Tensor:
        return make_protector(spatial_dims, native=native, texture="flat", **shares)(image, classes).delta

    outside = perturb(label, contour_share=0.0, texture_share=0.0, background_share=0.5)
    # One class everywhere and a band that covers all of it: contour noise at each pixel.
    edge = torch.ones_like(label)
    edge.view(-1)[0] = 0
    contour = perturb(edge, texture_share=0.0, band_radius=40)
    background = outside != 0
    assert background.any() and not outside[label > 0].any()
    torch.testing.assert_close(outside[background], -0.5 * contour[background], rtol=0, atol=2e-7)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_pattern_of_a_background_is_anchored_to_the_middle_of_native_images(spatial_dims: int) -> None:
    size = (32,) * spatial_dims
    image, label = half_flat(*size), disk(*size)
    smaller = (slice(None), *(slice(1, -1),) * spatial_dims)  # as padded evenly afterwards
    protector = make_protector(spatial_dims, native=True, texture="flat", background_share=1.0)
    # Without their image, generators that start from a pattern make the same one everywhere.
    large, small = (
        protector(torch.full_like(part, 0.5), classes).delta
        for part, classes in ((image, label), (image[smaller], label[smaller]))
    )
    inner = (slice(None), *(slice(8, -8),) * spatial_dims)
    assert torch.equal(large[smaller][inner].sign(), small[inner].sign())
    assert small[(slice(None), *(slice(1, None),) * spatial_dims)].ne(0).all()


@pytest.mark.parametrize("output", ["tanh", "clip"])
def test_background_of_both_kinds_of_output(output: str) -> None:
    raw = torch.tensor([0.5, 9.0]).reshape(1, 2, 1)
    bounds = torch.tensor([0.0, 0.0, 0.25]).reshape(1, 3, 1)
    noise = bound_noise(raw, bounds, eps=0.5, output=output)
    expected = -0.25 * torch.tensor(0.5).tanh() if output == "tanh" else torch.tensor(-0.25)
    torch.testing.assert_close(noise.flatten()[0], expected)


@given(weight=st.floats(0, 1))
def test_perceptual_weight_takes_from_flat_parts_of_the_contour_only(weight: float) -> None:
    image, label = half_flat(*SIZE), disk(*SIZE)
    contour, texture = make_protector().native_bounds(image, label)
    weighted, same = make_protector(perceptual_weight=weight).native_bounds(image, label)
    assert torch.equal(texture, same)
    on_band, flat = contour > 0, torch.zeros_like(contour, dtype=torch.bool)
    flat[:, SIZE[1] // 2 + 1 :] = True  # a pixel from the noise
    assert (on_band & flat).any() and (on_band & ~flat).any()
    torch.testing.assert_close(weighted[on_band & flat], contour[on_band & flat] * (1 - weight))
    noisy = weighted[on_band & ~flat].mean() / contour[on_band & ~flat].mean()
    assert noisy >= 1 - weight / 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"background_share": 1.5}, "background_share is 1.5; it must be from 0 to 1"),
        ({"perceptual_weight": -0.1}, "perceptual_weight is -0.1; it must be from 0 to 1"),
        ({"contour_share": 0, "texture_share": 0}, "background_share are all 0"),
        ({"perceptual_weight": 0.5, "texture": "flat"}, "perceptual_weight is 0.5 with texture 'flat'"),
    ],
)
def test_shares_that_make_no_sense_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_protector(**arguments)


def test_settings_bring_the_shares_back() -> None:
    protector = make_protector(background_share=0.25, perceptual_weight=0.5)
    again = UMed.from_settings(protector.settings())
    assert (again.background_share, again.perceptual_weight) == (0.25, 0.5)
