"""Bounds named by text: where they are one, where zero, how they combine, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_umed.functional.contour_band import contour_band
from monai_umed.functional.local_binary_pattern import lbp_bound
from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import Bound, UMed, parse_bound
from monai_umed.protectors.bounds import FACTORS

GRID = (16, 16)


def make_case(side: int = 32, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.rand(channels, side, side, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(1, side, side)
    label[:, side // 4 : side // 2, side // 4 : side // 2] = 1
    label[:, side // 3 : side // 2, side // 3 : side // 2] = 2
    return image, label


@pytest.mark.parametrize("channels", [1, 3])
def test_each_name_is_the_map_that_it_says(channels: int) -> None:
    image, label = make_case(channels=channels)
    expected = {
        "full": torch.ones_like(label),
        "roi": (label > 0).float(),
        "band": contour_band(label, (4, 4)).float(),  # two pixels of a grid of half the size
        "lbp": lbp_bound(image),
    }
    assert expected.keys() == FACTORS.keys()
    for name, strength in expected.items():
        assert torch.equal(parse_bound(name, GRID).strength(image, label), strength)


@given(names=st.lists(st.sampled_from([*FACTORS]), min_size=1, max_size=3), blanks=st.booleans())
def test_a_product_is_the_product_of_its_maps(names: list[str], blanks: bool) -> None:
    image, label = make_case()
    expected = torch.ones_like(label)
    for name in names:
        expected = expected * parse_bound(name, GRID).strength(image, label)
    strength = parse_bound((" * " if blanks else "*").join(names), GRID).strength(image, label)
    torch.testing.assert_close(strength, expected)
    assert strength.shape == label.shape and strength.min() >= 0 and strength.max() <= 1


def test_the_band_is_that_of_umed_at_every_size() -> None:
    torch.manual_seed(0)
    protector = UMed(UMedPerturbator(2, 1, features=(4, 6), patch=2), GRID, 4 / 255, band_radius=3, band_side="inner")
    for side in (12, 16, 40):
        image, label = make_case(side)
        strength = parse_bound("band", GRID, band_radius=3, band_side="inner").strength(image, label)
        assert torch.equal(strength[0] > 0, protector.native_bounds(image, label)[0] > 0)


@pytest.mark.parametrize(
    ("options", "spacing", "width"),
    [
        ({"band_unit": "mm", "band_radius": 3}, (1.0, 1.5), (6, 4)),
        ({"band_radius": 2}, None, (4, 4)),
        ({"band_radius": 2}, (1.0, 0.5), (2, 4)),
    ],
)
def test_convention_a_band_without_a_grid_counts_mm_or_pixels_of_the_finest_axis(
    options: dict[str, Any], spacing: tuple[float, float] | None, width: tuple[int, int]
) -> None:
    image, label = torch.rand(1, 32, 32), torch.zeros(1, 32, 32)
    label[:, 16:] = 1
    for axis in (0, 1):
        turned = label if axis == 0 else label.mT
        band = parse_bound("band", **options).strength(image, turned, spacing)[0]
        assert band.sum(dim=axis).tolist() == [width[axis]] * 32


def test_a_band_in_mm_asks_for_the_spacing() -> None:
    with pytest.raises(ValueError, match="radius in mm needs the spacing of 2 axes, got None"):
        parse_bound("band", GRID, band_unit="mm").strength(*make_case())


@pytest.mark.parametrize("bound", ["band*roi", {"text": "band", "band_radius": 3}, Bound("lbp", texture="code")])
def test_the_settings_of_a_bound_make_the_same_bound(bound: Any) -> None:
    made = parse_bound(bound, GRID)
    assert parse_bound(made.settings(), GRID) == made == parse_bound(made)
    assert made.working_size == GRID


@pytest.mark.parametrize(
    ("bound", "options", "message"),
    [
        ("rois", {}, r"'rois' is not one of full, roi, band, lbp .* Did you mean 'roi'\?"),
        ("roi*", {}, "bound is 'roi\\*'; '' is not one of"),
        ("", {}, "'' is not one of"),
        ("xyz", {}, "'xyz' is not one of"),
        ("band*roi", {"band_side": "outer"}, "share no pixel, so nothing could change; use band_side 'both'"),
        ("band", {"band_side": "left"}, "band_side is 'left'; use one of both, inner, outer"),
        ("lbp", {"texture": "flat"}, "texture is 'flat'; use one of activity, code"),
        ("band", {"band_radius": 0}, "radius is 0; it must be positive"),
        ("band", {"band_unit": "cm"}, "unit is 'cm'"),
        ({"text": "band", "radius": 2}, {}, "bound has no setting radius; use text, band_radius"),
    ],
)
def test_bounds_that_cannot_be_are_refused(bound: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_bound(bound, GRID, **options)
