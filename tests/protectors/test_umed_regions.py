"""Where UMed may change pixels, how far, and what becomes of settings of version 0.1 that are gone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from umed_toys import ROUNDING, disk, make_image, make_protector

from monai_umed.protectors import UMed

FRACTION = st.floats(0.05, 1)
SIZE = (20, 24)


def half_flat(*size: int) -> torch.Tensor:
    """Noise to the left, one gray level to the right, at a distance from both ends of the range."""
    image = 0.3 + 0.4 * make_image(1, *size)
    image[..., size[-1] // 2 :] = 0.5
    return image


@settings(max_examples=60, deadline=None)
@given(contour=FRACTION, texture=FRACTION, levels=st.sampled_from([None, 255.0, 65535.0]))
def test_regions_do_not_overlap_and_no_pixel_leaves_its_bound(
    contour: float, texture: float, levels: float | None
) -> None:
    image, label = half_flat(*SIZE), disk(*SIZE)
    protector = make_protector(eps=16 / 255, contour_share=contour, texture_share=texture)
    native_bounds = protector.native_bounds(image, label, levels=levels)
    assert len(native_bounds) == 2 and ((native_bounds > 0).sum(dim=0) <= 1).all()
    delta, bound = protector(image, label, levels=levels)
    torch.testing.assert_close(bound[0], native_bounds.sum(dim=0))
    assert (delta.abs() <= bound + ROUNDING).all()
    assert (image + delta).min() >= 0 and (image + delta).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texture_share": 1.5}, "texture_share is 1.5; it must be from 0 to 1"),
        ({"contour_share": -0.1}, "contour_share is -0.1; it must be from 0 to 1"),
        ({"contour_share": 0, "texture_share": 0}, "texture_share and contour_share are both 0"),
    ],
)
def test_shares_that_make_no_sense_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_protector(**arguments)


def test_settings_bring_the_shares_back() -> None:
    again = UMed.from_settings(make_protector(texture_share=0.25, contour_share=0.5).settings())
    assert (again.texture_share, again.contour_share) == (0.25, 0.5)


@pytest.mark.parametrize("name", ["background_share", "perceptual_weight"])
def test_a_setting_that_is_gone_is_ignored_if_it_was_off_and_refused_if_not(name: str) -> None:
    old = make_protector().settings()
    assert UMed.from_settings({**old, name: 0.0}).settings() == old
    with pytest.raises(ValueError, match=f"{name} of version 0.1 are gone; use that version"):
        UMed.from_settings({**old, name: 0.25})
