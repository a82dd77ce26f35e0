"""Volumes: native windows, slices, and bounds that are those of the whole volume although only a part is looked at."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import SpatialPad

from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed
from monai_umed.protectors.extent import looked_at

STRIDE = 8  # of the generators below


def make_protector(spatial_dims: int = 3, roi_size: int = 16, **arguments: object) -> UMed:
    torch.manual_seed(0)
    network = UMedPerturbator(spatial_dims, 1, features=(4, 6), patch=4).eval().requires_grad_(False)
    return UMed(network, **{"working_size": (roi_size,) * spatial_dims, "native": True, **arguments})  # type: ignore[arg-type]


def make_volume(*size: int, box: tuple[slice, ...] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise and a box of foreground, by default the middle half of each axis."""
    image = torch.rand((1, *size), generator=torch.Generator().manual_seed(1))
    label = torch.zeros((1, *size), dtype=torch.uint8)
    label[(0, *(box or [slice(side // 4, -(-3 * side // 4)) for side in size]))] = 1
    return image, label


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 40)] * 3),
    corner=st.tuples(*[st.floats(0, 1)] * 3),
    extent=st.tuples(*[st.integers(1, 20)] * 3),
    thick=st.sampled_from([1.0, 2.5, 5.0]),
)
def test_looking_at_the_box_around_the_structure_changes_no_bound(
    size: tuple[int, ...], corner: tuple[float, ...], extent: tuple[int, ...], thick: float
) -> None:
    starts = [int(where * (side - 1)) for where, side in zip(corner, size, strict=True)]
    box = tuple(slice(start, start + length) for start, length in zip(starts, extent, strict=True))
    image, label = make_volume(*size, box=box)
    protector, spacing = make_protector(), (1.0, 1.0, thick)
    delta, bound = protector(image, label, spacing, levels=255)
    whole = protector.native_bounds(image, label, spacing, levels=255).sum(0, keepdim=True)
    assert torch.equal(bound, whole)
    assert (delta.abs() <= bound + 2.0**-24).all()


def test_the_pattern_does_not_depend_on_what_lies_far_away() -> None:
    box = (slice(20, 30),) * 3
    image, label = make_volume(80, 72, 64, box=box)
    smaller, smaller_label = image[:, :56, :56, :56], label[:, :56, :56, :56]
    protector = make_protector()
    large, small = protector(image, label).delta, protector(smaller, smaller_label).delta
    assert torch.equal(large[:, :56, :56, :56], small)
    assert small.abs().max() > 0


@pytest.mark.parametrize("size", [(21, 20, 23), (20, 21, 22), (23, 23, 23)])
def test_volumes_that_are_centered_on_one_grid_have_their_pattern_at_the_same_voxels(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = UMedPerturbator(3, 1, features=(4, 6), patch=2).eval().requires_grad_(False)
    protector = UMed(network, (16, 16, 16), native=True, texture="flat")
    center = SpatialPad((32, 32, 32))
    signs = []
    for shape in (size, (24, 24, 24)):
        image, label = torch.full((1, *shape), 0.5), torch.zeros((1, *shape), dtype=torch.uint8)
        label[(slice(None), *[slice(side // 2 - 5, side // 2 + 5) for side in shape])] = 1
        signs.append(torch.as_tensor(center(protector(image, label).delta)).sign()[0, 13:19, 13:19, 13:19])
    assert signs[0].abs().min() == 1
    assert torch.equal(*signs)


def test_windows_of_a_volume_meet_without_a_seam() -> None:
    """The generators repeat one pattern; where windows begin must not show in it."""
    torch.manual_seed(0)
    network = UMedPerturbator(3, 1, features=(4, 6), patch=4).eval().requires_grad_(False)
    protector = UMed(network, (16, 16, 16), native=True, texture="flat")
    image, label = torch.full((1, 48, 48, 48), 0.5), torch.ones(1, 48, 48, 48, dtype=torch.uint8)
    label[:, :, :, 47:] = 0
    delta = protector(image, label).delta[0, 16:32, 16:32, 16:28]
    period = protector(image, label).delta[0, 20:36, 16:32, 16:28]
    assert torch.allclose(delta, period, atol=2e-4)


def test_a_band_in_pixels_reaches_equally_far_in_mm_along_every_axis() -> None:
    image, label = make_volume(40, 40, 20, box=(slice(16, 24), slice(16, 24), slice(8, 12)))
    bound = make_protector(texture="flat")(image, label, (1.0, 1.0, 2.0)).bound[0]
    touched = [torch.nonzero(bound.amax(tuple(o for o in range(3) if o != axis))).flatten() for axis in range(3)]
    assert [(int(found[0]), int(found[-1])) for found in touched] == [(14, 25), (14, 25), (7, 12)]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_protected_as_the_images_they_are_and_put_back(axis: int) -> None:
    image, label = make_volume(24, 20, 28)
    protector = make_protector(2, slice_axis=axis)
    spacing = (1.0, 1.0, 3.0)
    delta, bound = protector(image, label, spacing, levels=255)
    in_plane = spacing[:axis] + spacing[axis + 1 :]
    for index in range(image.shape[axis + 1]):
        part = [volume.select(axis + 1, index) for volume in (image, label, delta, bound)]
        expected = make_protector(2)(part[0], part[1], in_plane, levels=255)
        assert torch.equal(part[2], expected.delta) and torch.equal(part[3], expected.bound)
    assert delta.abs().max() > 0


def test_a_stack_of_three_slices_is_protected() -> None:
    image, label = make_volume(40, 40, 3, box=(slice(10, 30), slice(10, 30), slice(0, 3)))
    for protector in (make_protector(), make_protector(2, slice_axis=2)):
        assert protector(image, label, (1.0, 1.0, 5.0), levels=255).delta.abs().amax(dim=(0, 1, 2)).min() > 0


def test_a_volume_without_foreground_stays_as_it_is() -> None:
    image, label = make_volume(20, 20, 20, box=(slice(0, 0),) * 3)
    for protector in (make_protector(), make_protector(2, slice_axis=0)):
        assert protector(image, label).delta.abs().max() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"roi_size": 20}, "stride of 8"),
        ({"slice_axis": 1}, "spatial_dims 3"),
        ({"spatial_dims": 2, "slice_axis": 3}, "slice_axis is 3"),
    ],
)
def test_windows_and_axes_that_cannot_be_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_protector(**arguments)


def test_a_protector_for_images_says_how_to_take_volumes() -> None:
    with pytest.raises(ValueError, match="give slice_axis"):
        make_protector(2)(*make_volume(20, 20, 20))


@pytest.mark.parametrize(("dims", "axis"), [(3, None), (2, 0), (2, 1), (2, 2)])
def test_what_lies_outside_of_what_is_looked_at_does_not_matter(dims: int, axis: int | None) -> None:
    image, label = make_volume(40, 48, 36, box=(slice(9, 20), slice(22, 30), slice(5, 9)))
    label[0, 12:25, 25:33, 12] = 1
    protector, spacing = make_protector(dims, slice_axis=axis), (1.0, 1.0, 2.5)
    box = (slice(None), *looked_at(protector, label, spacing))
    seen = torch.zeros_like(image)
    seen[box] = image[box]
    whole, part = protector(image, label, spacing), protector(seen, label, spacing)
    assert torch.equal(whole.delta, part.delta) and torch.equal(whole.bound, part.bound)
    assert image[box].numel() < image.numel() / 2


def test_noise_follows_weights_that_change() -> None:
    protector = make_protector(2)
    image, label = (part[..., 10] for part in make_volume(40, 21, 20))
    first, again = protector(image, label).delta, protector(image, label).delta
    assert torch.equal(first, again)
    state = {name: weight + 0.01 for name, weight in protector.state().items()}
    protector.load_state(state)
    changed, other = protector(image, label).delta, make_protector(2)
    other.load_state(state)
    assert not torch.equal(first, changed)
    assert torch.equal(changed, other(image, label).delta)


def test_a_copy_has_generators_of_its_own() -> None:
    protector = make_protector(2)
    image, label = (part[..., 10] for part in make_volume(40, 21, 20))
    before = protector(image, label).delta
    copy = deepcopy(protector)
    copy.load_state({name: weight + 0.01 for name, weight in copy.state().items()})
    assert not torch.equal(copy(image, label).delta, before)
    assert torch.equal(protector(image, label).delta, before)
