"""LBP codes are scikit-image's; texture activity is 0 where the image is flat and keeps the image's symmetries."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import local_binary_pattern

from monai_umed.functional.local_binary_pattern import lbp_bound, lbp_code, texture_activity

KINDS = ("noise", "levels", "flat", "nearly flat", "ramp")


@st.composite
def images(draw: st.DrawFn, tallest: int = 70, widest: int = 50) -> np.ndarray:
    """2D images whose codes are decided by contrast, by ties, or by the last bit of an interpolation."""
    shape = (draw(st.integers(3, tallest)), draw(st.integers(3, widest)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(KINDS))
    level = draw(st.floats(0, 1))
    if kind == "noise":
        image = rng.random(shape)
    elif kind == "levels":
        image = rng.integers(0, 3, shape) / 255 + level
    elif kind == "ramp":
        image = np.add.outer(np.arange(shape[0]) * level, np.arange(shape[1]) * draw(st.floats(0, 1))) / 128
    else:
        image = np.full(shape, level)
        if kind == "nearly flat":
            image = image * (1 + 2.0**-52 * rng.integers(-2, 3, shape))
    if draw(st.booleans()):
        return np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    return image


@pytest.mark.filterwarnings("ignore:Applying `local_binary_pattern` to floating-point images")
@settings(max_examples=200, deadline=None)
@given(images())
def test_codes_equal_scikit_image_in_the_interior_bit_for_bit(image: np.ndarray) -> None:
    # Reference: skimage.feature.local_binary_pattern, run here, in the version that is installed.
    expected = local_binary_pattern(image, P=8, R=1, method="default")
    codes = lbp_code(torch.from_numpy(image))
    assert codes.dtype == torch.uint8
    np.testing.assert_array_equal(codes.numpy()[1:-1, 1:-1], expected[1:-1, 1:-1])


@settings(max_examples=50, deadline=None)
@given(images(12, 12))
def test_convention_border_pixels_take_the_code_of_the_nearest_interior_pixel(image: np.ndarray) -> None:
    codes = lbp_code(torch.from_numpy(image)).numpy()
    np.testing.assert_array_equal(codes, np.pad(codes[1:-1, 1:-1], 1, mode="edge"))


def test_codes_of_several_images_are_those_of_each() -> None:
    batch = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(lbp_code(batch)[1, 2], lbp_code(batch[1, 2]))


def test_convention_bits_go_counter_clockwise_from_the_right() -> None:
    for bit, (row, column) in enumerate([(1, 2), (0, 2), (0, 1), (0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]):
        image = torch.zeros(3, 3)
        image[1, 1] = 0.1
        image[row, column] = 1
        # On the circle, diagonal samples also see the two axis neighbors beside them, but half as much.
        assert int(lbp_code(image)[1, 1]) & (1 << bit)


def test_a_flat_image_has_the_full_code_but_no_activity() -> None:
    flat = torch.full((1, 16, 16), 0.5)
    assert (lbp_code(flat) == 255).all()
    assert (lbp_bound(flat, mode="code") == 1).all()
    assert (lbp_bound(flat, mode="activity") == 0).all()


def test_activity_is_the_share_of_existing_neighbors_that_differ() -> None:
    image = torch.tensor([[10, 10, 10], [10, 10, 50], [10, 10, 10]]) / 255
    # By hand: the bright pixel is one of 8 neighbors of the center, of 5 at an edge, of 3 in a corner.
    expected = torch.tensor([[0, 1 / 5, 1 / 3], [0, 1 / 8, 1], [0, 1 / 5, 1 / 3]])
    assert torch.equal(texture_activity(image), expected)


def test_convention_3d_activity_counts_the_18_neighbors_without_the_corners() -> None:
    image = torch.zeros(3, 3, 3)
    image[1, 1, 1] = 1
    # By hand: all 18 neighbors of the center differ. A voxel in the middle of a face has 13 neighbors within the
    # image, in the middle of an edge 9; the center is one of them. It is no neighbor of a corner.
    face, edge, corner = 1 / 13, 1 / 9, 0
    outer = [[corner, edge, corner], [edge, face, edge], [corner, edge, corner]]
    expected = torch.tensor([outer, [[edge, face, edge], [face, 1, face], [edge, face, edge]], outer])
    assert torch.equal(texture_activity(image), expected)
    image = torch.zeros(3, 3, 3)
    image[0, 1, 1] = image[0, 0, 1] = image[0, 0, 0] = 1
    assert texture_activity(image)[1, 1, 1] == torch.tensor(2 / 18)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_convention_whether_a_step_of_whole_gray_levels_is_texture_does_not_depend_on_its_gray_level(
    dtype: torch.dtype,
) -> None:
    gray = torch.arange(256, dtype=dtype) / 255
    verdicts = []
    for levels in range(1, 11):
        steps = [gray[[low, low + levels]][:, None] for low in range(256 - levels)]
        (verdict,) = {bool(texture_activity(step).any()) for step in steps}
        verdicts.append(verdict)
    assert verdicts == sorted(verdicts) and not verdicts[0] and verdicts[-1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3]), st.data())
def test_activity_turns_with_the_image(seed: int, spatial_dims: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(*[st.integers(1, 7)] * spatial_dims))
    image = torch.from_numpy(rng.integers(0, 9, shape) / np.float32(255))
    axes = data.draw(st.permutations(range(spatial_dims)))
    flips = data.draw(st.lists(st.sampled_from(range(spatial_dims)), unique=True))
    turned = image.permute(axes).flip(flips)
    assert torch.equal(texture_activity(turned), texture_activity(image).permute(axes).flip(flips))


def test_color_is_judged_by_its_luma() -> None:
    rgb = torch.full((3, 8, 8), 100 / 255)
    rgb[2, :, 4:] += 10 / 255  # blue: 0.114 * 10 = 1.14 levels of luma, below the threshold
    assert not lbp_bound(rgb).any()
    rgb[1, :, 4:] += 10 / 255  # green: 0.587 * 10 = 5.87 levels more
    assert lbp_bound(rgb)[0, 4].tolist() == pytest.approx([0, 0, 0, 3 / 8, 3 / 8, 0, 0, 0])


def test_gray_stored_as_rgb_has_the_texture_of_the_gray_image() -> None:
    gray = torch.from_numpy(np.random.default_rng(0).integers(0, 51, (1, 20, 20)) * 5 / 255)
    assert torch.equal(lbp_bound(gray.expand(3, -1, -1)), lbp_bound(gray))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([(5, 9), (3, 3), (3, 4, 6)]),
    st.sampled_from(["activity", "code"]),
)
def test_the_bound_is_one_float32_channel_between_0_and_1(
    seed: int, dtype: torch.dtype, channels: int, size: tuple[int, ...], mode: str
) -> None:
    image = torch.rand((channels, *size), dtype=dtype, generator=torch.Generator().manual_seed(seed))
    before = image.clone()
    bound = lbp_bound(image, mode)
    assert bound.shape == (1, *size) and bound.dtype == torch.float32
    assert bound.min() >= 0 and bound.max() <= 1
    assert torch.equal(image, before)


def test_convention_3d_codes_are_the_mean_of_three_orthogonal_planes() -> None:
    volume = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = np.zeros(volume.shape)
    for axis in range(3):
        planes = [lbp_code(plane).numpy() for plane in volume.unbind(axis)]
        expected += np.stack(planes, axis) / 255 / 3
    # at most 3 * 255 in float32, one division: two roundings
    np.testing.assert_allclose(lbp_bound(volume[None], "code")[0].numpy(), expected, rtol=2 * 2.0**-24)


def test_unusable_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 x 3 pixels, got 2 x 8"):
        lbp_code(torch.zeros(2, 8))
    with pytest.raises(ValueError, match="mode is 'uniform'; use one of activity, code"):
        lbp_bound(torch.zeros(1, 8, 8), mode="uniform")
    with pytest.raises(ValueError, match=r"\(C, H, W\) or \(C, D, H, W\), got \(8, 8\)"):
        lbp_bound(torch.zeros(8, 8))
