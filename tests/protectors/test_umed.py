"""What every protected image keeps: its bound, its range, everything outside the region; and that it changes inside."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from umed_toys import ROUNDING, disk, make_image, make_protector

from monai_umed.functional.bounded_addition import add_bounded
from monai_umed.functional.resampling import resize
from monai_umed.protectors import UMed
from monai_umed.protectors.raw_noise import RawNoise
from monai_umed.protectors.umed import bound_noise


@st.composite
def cases(draw: st.DrawFn) -> tuple[UMed, torch.Tensor, torch.Tensor, float | None]:
    spatial_dims = draw(st.sampled_from([2, 3]))
    longest = 40 if spatial_dims == 2 else 12
    size = draw(st.tuples(*[st.integers(3, longest)] * spatial_dims))
    channels = draw(st.sampled_from([1, 3]))
    seed = draw(st.integers(0, 2**32 - 1))
    protector = make_protector(
        spatial_dims,
        channels,
        seed,
        working=draw(st.sampled_from([4, 9, 16])),
        output=draw(st.sampled_from(["tanh", "clip"])),
        eps=draw(st.one_of(st.integers(1, 32).map(lambda level: level / 255), st.floats(1e-4, 32 / 255))),
        band_radius=draw(st.sampled_from([1, 2, 5])),
        texture=draw(st.sampled_from(["activity", "code", "flat"])),
    )
    image = make_image(channels, *size, seed=seed)
    if draw(st.booleans()):
        image = (image * 2 - 0.5).clamp(0, 1)  # a quarter of the pixels at each end of the range
    blocks = torch.randint(0, 4, (1, 1, *[2] * spatial_dims), generator=torch.Generator().manual_seed(seed))
    label = F.interpolate(blocks.float(), size=size, mode="nearest")[0].long()
    return protector, image, label, draw(st.sampled_from([None, 255.0, 65535.0]))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_no_pixel_moves_by_more_than_its_bound_or_leaves_the_range(
    case: tuple[UMed, torch.Tensor, torch.Tensor, float | None],
) -> None:
    protector, image, label, levels = case
    delta, bound = protector(image, label, levels=levels)
    assert delta.shape == image.shape and bound.shape == (1, *image.shape[1:])
    assert (delta.abs() <= bound + ROUNDING).all()
    # product with eps and quotient by the levels are rounded once each; 1e-3 of a level is the documented slack
    slack = 0 if levels is None else 1e-3 / levels
    assert bound.min() >= 0 and bound.max() <= protector.eps * (1 + 2 * 2.0**-24) + slack
    assert (image + delta).min() >= 0 and (image + delta).max() <= 1


@settings(max_examples=100, deadline=None)
@given(cases())
def test_nothing_changes_outside_the_region_and_its_band(
    case: tuple[UMed, torch.Tensor, torch.Tensor, float | None],
) -> None:
    protector, image, label, levels = case
    # dilation of the foreground by the band's radius, in pixels of the working grid brought to this image's grid
    sizes = zip(image.shape[1:], protector.working_size, strict=True)
    radii = [max(1, round(protector.band_radius * native / working)) for native, working in sizes]
    pool = F.max_pool2d if len(radii) == 2 else F.max_pool3d
    padded = F.pad((label > 0).float()[None], [radius for radius in reversed(radii) for _ in range(2)])
    reached = pool(padded, [2 * radius + 1 for radius in radii], stride=1)[0] > 0
    delta, bound = protector(image, label, levels=levels)
    assert not bound[~reached].any()
    assert not delta[~reached.expand_as(delta)].any()


@settings(max_examples=100, deadline=None)
@given(cases())
def test_contour_and_texture_regions_are_disjoint_and_whole_levels(
    case: tuple[UMed, torch.Tensor, torch.Tensor, float | None],
) -> None:
    protector, image, label, levels = case
    contour, texture = protector.native_bounds(image, label, levels=levels)
    assert not ((contour > 0) & (texture > 0)).any()
    assert not texture[label[0] == 0].any()
    assert set(contour.unique().tolist()) <= {0, contour.max().item()}
    if levels is not None:
        whole = torch.stack([contour, texture]).double() * levels
        # a float32 quotient: half an ulp of relative error on numbers up to eps * levels
        assert ((whole - whole.round()).abs() <= 2.0**-24 * protector.eps * levels + 1e-9).all()


@settings(max_examples=60, deadline=None)
@given(cases())
def test_arguments_are_not_changed_and_the_same_call_gives_the_same_bits(
    case: tuple[UMed, torch.Tensor, torch.Tensor, float | None],
) -> None:
    protector, image, label, levels = case
    copies = image.clone(), label.clone()
    first = protector(image, label, levels=levels)
    assert torch.equal(image, copies[0]) and torch.equal(label, copies[1])
    second = protector(image, label, levels=levels)
    assert torch.equal(first.delta, second.delta) and torch.equal(first.bound, second.bound)


@pytest.mark.parametrize("output", ["tanh", "clip"])
@pytest.mark.parametrize("texture", ["activity", "code", "flat"])
@pytest.mark.parametrize("size", [(40, 31), (12, 20, 17)])
def test_every_setting_changes_the_image_on_the_contour_and_inside(
    size: tuple[int, ...], texture: str, output: str
) -> None:
    protector = make_protector(len(size), output=output, texture=texture, band_radius=1)
    image, label = make_image(1, *size), disk(*size)
    delta, _ = protector(image, label)
    contour, inside = protector.native_bounds(image, label)
    assert delta[0][contour > 0].any() and delta[0][inside > 0].any()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    image, label = make_image(1, 40, 30), disk(40, 30)
    first, again, other = (make_protector(seed=seed)(image, label).delta for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_an_empty_label_leaves_the_image_as_it_is() -> None:
    delta, bound = make_protector()(make_image(1, 20, 20), torch.zeros(1, 20, 20))
    assert not delta.any() and not bound.any()


def test_convention_flat_interiors_get_no_texture_noise_but_their_contour_does() -> None:
    label = disk(40, 40)
    delta, _ = make_protector(band_radius=1)(torch.full((1, 40, 40), 0.5), label)
    contour, texture = make_protector(band_radius=1).native_bounds(torch.full((1, 40, 40), 0.5), label)
    assert not texture.any()
    assert delta[0][contour > 0].any() and not delta[0][contour == 0].any()


@pytest.mark.parametrize(("native", "band"), [(8, 2), (16, 4), (32, 8), (64, 16)])
def test_convention_the_band_in_pixels_of_the_working_grid_scales_with_the_image(native: int, band: int) -> None:
    label = torch.zeros(1, native, native, dtype=torch.uint8)
    label[..., native // 2 :] = 1
    contour = make_protector(working=16, band_radius=2).native_bounds(make_image(1, native, native), label)[0]
    assert (contour > 0).sum(dim=1).tolist() == [band] * native


def test_convention_a_band_in_mm_follows_the_spacing_of_each_axis() -> None:
    protector = make_protector(band_radius=2, band_unit="mm")
    label = torch.zeros(1, 30, 30, dtype=torch.uint8)
    label[..., 15:] = 1
    for spacing, width in [((1.0, 1.0), 2), ((1.0, 0.5), 4), ((0.5, 1.0), 2)]:
        contour = protector.native_bounds(make_image(1, 30, 30), label, spacing)[0]
        assert (contour > 0).sum(dim=1).tolist() == [2 * width] * 30
    with pytest.raises(ValueError, match="radius in mm needs the spacing of 2 axes, got None"):
        protector(make_image(1, 30, 30), label)


def test_repr_names_every_setting_with_its_value() -> None:
    protector = make_protector(eps=8 / 255, band_radius=3, texture="code", output="clip")
    settings = protector.settings()
    network = settings.pop("perturbator")
    for name, value in {**settings, **network}.items():
        assert f"{name}={value!r}" in repr(protector)


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (make_image(3, 20, 20), disk(20, 20), r"3 channel\(s\), the protector was fitted on 1"),
        (make_image(1, 20, 20, 20), disk(20, 20, 20), "works on 2D images .* use a checkpoint fitted on 3D images"),
        (make_image(20, 20), disk(20, 20), "works on 2D images"),
        (make_image(1, 20, 20), disk(20, 21), r"label's shape is \(1, 20, 21\), the image needs \(1, 20, 20\)"),
        (make_image(1, 20, 20), disk(20, 20)[0], r"label's shape is \(20, 20\)"),
        (make_image(1, 20, 20), disk(20, 20).expand(2, -1, -1), "one channel of class numbers"),
        (make_image(1, 20, 20) / 0, disk(20, 20), "NaN or infinite"),
        (make_image(1, 20, 20).masked_fill(disk(20, 20) > 0, torch.nan), disk(20, 20), "NaN or infinite"),
        (make_image(1, 20, 20) * 255, disk(20, 20), r"not over \[0, 1\]; scale the image first"),
        (make_image(1, 20, 20) - 0.5, disk(20, 20), r"Intensities range from -0.*, not over \[0, 1\]"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(image: torch.Tensor, label: torch.Tensor, message: str) -> None:
    for call in (make_protector(), make_protector().native_bounds):
        with pytest.raises(ValueError, match=message):
            call(image, label)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"working_size": (16, 3)}, r"working_size \(16, 3\) is smaller than the generators' stride of 4 pixels"),
        ({"working_size": (16, 16, 16)}, "needs one number per axis, 2"),
        ({"eps": 0}, "eps is 0; it must be above 0"),
        ({"eps": 4}, "eps is 4; .* write 4/255 = 0.0157"),
        ({"band_radius": 0}, "radius is 0; it must be positive"),
        ({"band_radius": -1}, "radius is -1; it must be positive"),
        ({"band_unit": "cm"}, "unit is 'cm'; use 'pixel' or 'mm'"),
        ({"texture": "lbp"}, "'lbp'; use one of"),
    ],
)
def test_settings_out_of_range_are_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_protector(**arguments)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_what_is_left_out_of_the_box_changes_no_bit(
    case: tuple[UMed, torch.Tensor, torch.Tensor, float | None],
) -> None:
    protector, image, label, levels = case
    bounds = protector.native_bounds(image, label, levels=levels)
    if protector.native:
        return
    with torch.no_grad():
        raw = resize(RawNoise(protector.perturbator)(resize(image[None], protector.working_size)), image.shape[1:])
    noise = bound_noise(raw, bounds[None], protector.eps, protector.perturbator.output)[0]
    delta, bound = protector(image, label, levels=levels)
    limit = bounds.sum(dim=0, keepdim=True)
    assert torch.equal(bound, limit)
    assert torch.equal(delta, add_bounded(image, noise, limit) - image)
