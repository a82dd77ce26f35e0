"""The contour band is dilation minus erosion of every class, to both sides, and its width counts pixels."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from monai_umed.functional.contour_band import contour_band, half_widths

DTYPES = [torch.uint8, torch.int16, torch.int32, torch.int64, torch.float32, torch.float64]
# Class numbers per dtype: neighbors, and numbers that a narrower type would confuse (256 = 0 in 8 bits).
CLASSES = {
    torch.uint8: [0, 1, 2, 255],
    torch.int16: [0, 1, 256, 32767],
    torch.int32: [0, 1, 256, 65536],
    torch.int64: [0, 256, 2**32, 2**53 + 1],
    torch.float32: [0, 1, 2, 256],
    torch.float64: [0, 1, 300, 65536],
}


def band_by_scipy(label: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Union over the classes of dilation minus erosion, by scipy.ndimage; outside the image nothing erodes a class."""
    box = np.ones([2 * width + 1 for width in widths], dtype=bool)
    band = np.zeros(label.shape, dtype=bool)
    for number in np.unique(label[label != 0]):
        mask = label == number
        band |= ndimage.binary_dilation(mask, box) & ~ndimage.binary_erosion(mask, box, border_value=1)
    return band


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, torch.dtype, tuple[int, ...]]:
    """A label map with numbers 0 to 3 for the classes, the type to give it, and widths up to beyond the image."""
    spatial_dims = draw(st.sampled_from([2, 3]))
    longest = 13 if spatial_dims == 2 else 6
    shape = draw(hnp.array_shapes(min_dims=spatial_dims, max_dims=spatial_dims, min_side=1, max_side=longest))
    indices = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 3), fill=st.integers(0, 3)))
    widths = draw(st.tuples(*[st.integers(0, longest // 2 + 1)] * spatial_dims))
    return indices, draw(st.sampled_from(DTYPES)), widths


def with_classes(indices: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor(CLASSES[dtype], dtype=dtype)[torch.from_numpy(indices)]


@settings(max_examples=250, deadline=None)
@given(cases())
def test_band_is_the_union_of_dilation_minus_erosion_of_every_class(
    case: tuple[np.ndarray, torch.dtype, tuple[int, ...]],
) -> None:
    indices, dtype, widths = case
    band = contour_band(with_classes(indices, dtype), widths)
    assert band.dtype == torch.bool
    np.testing.assert_array_equal(band.numpy(), band_by_scipy(indices, widths))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_inner_and_outer_halves_make_up_the_band_and_lie_on_their_sides(
    case: tuple[np.ndarray, torch.dtype, tuple[int, ...]],
) -> None:
    indices, dtype, widths = case
    label = with_classes(indices, dtype)
    both, inner, outer = (contour_band(label, widths, side) for side in ("both", "inner", "outer"))
    assert torch.equal(inner | outer, both)
    assert (label[inner] > 0).all() and (label[outer] == 0).all()


@settings(max_examples=60, deadline=None)
@given(cases())
def test_boolean_masks_give_the_band_of_the_same_mask_as_numbers(
    case: tuple[np.ndarray, torch.dtype, tuple[int, ...]],
) -> None:
    indices, _, widths = case
    mask = torch.from_numpy(indices > 0)
    for side in ("both", "inner", "outer"):
        assert torch.equal(contour_band(mask, widths, side), contour_band(mask.long(), widths, side))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_leading_axes_are_independent_and_the_label_is_not_changed(
    case: tuple[np.ndarray, torch.dtype, tuple[int, ...]],
) -> None:
    indices, dtype, widths = case
    label = with_classes(indices, dtype)
    batch = torch.stack([label, label.flip(0), torch.zeros_like(label)])[:, None]
    before = batch.clone()
    bands = contour_band(batch, widths)
    assert torch.equal(batch, before)
    for band, single in zip(bands, batch, strict=True):
        assert torch.equal(band, contour_band(single, widths))


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_convention_band_is_two_sided_and_width_counts_pixels(width: int) -> None:
    label = torch.zeros(1, 30, 30, dtype=torch.uint8)
    label[..., 15:] = 1
    columns = contour_band(label, (width, width))[0, 7].nonzero().flatten().tolist()
    assert columns == list(range(15 - width, 15 + width))


def test_convention_the_border_of_the_image_makes_no_band() -> None:
    label = torch.zeros(1, 12, 12, dtype=torch.uint8)
    label[:, :6] = 1  # the class touches three borders of the image
    rows = contour_band(label, (2, 2))[0].any(dim=1).nonzero().flatten().tolist()
    assert rows == [4, 5, 6, 7]
    assert not contour_band(torch.ones(1, 12, 12), (2, 2)).any()


def test_convention_width_zero_means_no_band_along_that_axis() -> None:
    label = torch.zeros(1, 3, 9, 9, dtype=torch.int64)
    label[0, 1, 4, 4] = 1
    band = contour_band(label, (0, 1, 1))[0]
    assert not band[0].any() and not band[2].any() and band[1].sum() == 9


def test_convention_a_boundary_between_two_classes_has_a_band_on_both() -> None:
    label = torch.ones(1, 8, 8)
    label[..., 4:] = 2
    assert contour_band(label, (1, 1))[0, 0].tolist() == [False] * 3 + [True] * 2 + [False] * 3
    assert torch.equal(contour_band(label, (1, 1), "inner"), contour_band(label, (1, 1)))
    assert not contour_band(label, (1, 1), "outer").any()


def test_labels_of_unsigned_16_bit_files_are_an_integer_type_as_well() -> None:
    label = torch.zeros(1, 6, 6, dtype=torch.int32)
    label[..., 3:] = 40000
    assert torch.equal(contour_band(label.to(torch.uint16), (1, 1)), contour_band(label, (1, 1)))
    assert torch.equal(contour_band(label.to(torch.uint16), (1, 1), "inner"), contour_band(label, (1, 1), "inner"))


def test_an_unknown_side_or_too_many_widths_are_refused() -> None:
    label = torch.zeros(1, 4, 4)
    with pytest.raises(ValueError, match="side is 'left'; use one of both, inner, outer"):
        contour_band(label, (1, 1), side="left")
    with pytest.raises(ValueError, match=r"4 half-widths were given for a label of shape \(1, 4, 4\)"):
        contour_band(label, (1, 1, 1, 1))


def test_convention_a_radius_in_pixels_is_the_same_along_every_axis() -> None:
    assert half_widths(3, 2) == (3, 3)
    assert half_widths(2.0, 3, spacing=(5, 1, 1)) == (2, 2, 2)


def test_convention_a_radius_in_mm_is_rounded_to_the_pixels_of_each_axis() -> None:
    # 2 mm are 0.4 slices of 5 mm, 2 pixels of 1 mm, 4 pixels of 0.5 mm
    assert half_widths(2, 3, "mm", (5.0, 1.0, 0.5)) == (0, 2, 4)


def test_convention_an_axis_with_spacing_above_twice_the_radius_has_no_band() -> None:
    assert half_widths(2, 2, "mm", (4.0, 1.0)) == (1, 2)
    assert half_widths(2, 2, "mm", (4.01, 1.0)) == (0, 2)


@pytest.mark.parametrize(
    ("radius", "unit", "spacing", "message"),
    [
        (0, "pixel", None, "radius is 0; it must be positive"),
        (-1, "mm", (1.0, 1.0), "radius is -1; it must be positive"),
        (float("nan"), "pixel", None, "radius is nan; it must be positive"),
        (1.5, "pixel", None, "must be a whole number, got 1.5; use unit='mm'"),
        (2, "cm", (1.0, 1.0), "unit is 'cm'; use 'pixel' or 'mm'"),
        (2, "mm", None, "needs the spacing of 2 axes, got None"),
        (2, "mm", (1.0, 1.0, 1.0), "needs the spacing of 2 axes"),
        (0.4, "mm", (1.0, 3.0), "thinner than half a pixel on every axis .* at least 0.5 mm"),
    ],
)
def test_unusable_radii_are_refused_with_the_cure(
    radius: float, unit: str, spacing: tuple[float, ...] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        half_widths(radius, 2, unit, spacing)
