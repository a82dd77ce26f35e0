"""What every filter keeps, each filter against an independent computation, and the grids of another size."""

from __future__ import annotations

import ast
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from monai_umed.defenses import Defense, filters
from monai_umed.defenses.filters import BitDepth, Contrast, GaussianBlur, Grayscale, Half, Jpeg, Median, TrainingSize

FILTERS: list[Defense] = [
    GaussianBlur(),
    GaussianBlur(sigma=1.0, kernel=5),
    Median(),
    Median(size=5),
    Jpeg(quality=100),
    Jpeg(quality=10),
    BitDepth(bits=1),
    BitDepth(bits=6),
    Grayscale(),
    Half(),
    Contrast(),
    Contrast(gamma=1.5, contrast=1.0),
]
SHAPES = [(1, 19, 24), (3, 19, 24), (1, 9, 12, 7), (3, 9, 12, 7)]
EPS = float(np.finfo(np.float32).eps)


def make_image(*shape: int, seed: int = 0) -> torch.Tensor:
    """Noise that also reaches 0 and 1, which ranges are proved on."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 1.4 - 0.2).clamp(0, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("defense", FILTERS, ids=repr)
def test_an_image_comes_back_in_its_shape_and_range_and_is_itself_unchanged(
    defense: Defense, shape: tuple[int, ...]
) -> None:
    image = make_image(*shape)
    before = image.clone()
    result = defense.preprocess(image)
    assert result.shape == image.shape and result.dtype == torch.float32 and result.is_contiguous()
    assert result.min() >= 0 and result.max() <= 1
    assert torch.equal(image, before)
    assert torch.equal(defense.preprocess(image), result)
    assert torch.equal(result, image) == (isinstance(defense, Grayscale) and shape[0] == 1)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FILTERS),
    st.integers(1, 4),
    st.lists(st.integers(1, 9), min_size=2, max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_every_number_of_channels_and_every_size_is_filtered(
    defense: Defense, channels: int, size: list[int], seed: int
) -> None:
    result = defense.preprocess(make_image(channels, *size, seed=seed))
    assert result.shape == (channels, *size)
    assert result.min() >= 0 and result.max() <= 1


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("defense", FILTERS, ids=repr)
def test_black_stays_black_and_white_stays_white(defense: Defense, level: float) -> None:
    image = torch.full((3, 16, 16), level)
    torch.testing.assert_close(defense.preprocess(image), image, rtol=0, atol=4 * EPS)


@pytest.mark.parametrize("defense", [*FILTERS, TrainingSize(factor=1.5), TrainingSize(size=(64, 96))], ids=repr)
def test_repr_holds_all_that_is_needed_to_make_the_same_filter_again(defense: Defense) -> None:
    call = ast.parse(repr(defense), mode="eval").body
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    arguments = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert getattr(filters, call.func.id)(**arguments) == defense


@pytest.mark.parametrize("sigma, kernel", [(0.8, 3), (1.0, 3), (1.5, 5)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_blur_is_the_convolution_with_the_normalized_kernel(shape: tuple[int, ...], sigma: float, kernel: int) -> None:
    offsets = np.stack(np.meshgrid(*[np.arange(kernel) - kernel // 2] * (len(shape) - 1), indexing="ij"))
    weights = np.exp(-(offsets**2).sum(0) / (2 * sigma**2))
    image = make_image(*shape)
    expected = ndimage.convolve(image.double().numpy(), weights[None] / weights.sum(), mode="nearest")
    # one rounding to float32 after each of up to three axes
    assert np.abs(GaussianBlur(sigma, kernel).preprocess(image).numpy() - expected).max() <= 3 * EPS


def test_blur_of_the_published_sigma_changes_nothing() -> None:
    image = make_image(1, 32, 32)
    # two neighbors an axis with weights of exp(-1 / (2 * 0.1**2)) = 2e-22
    assert (GaussianBlur(sigma=0.1).preprocess(image) - image).abs().max() < 1e-20


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_median_is_the_median_of_all_neighbors(shape: tuple[int, ...], size: int) -> None:
    image = make_image(*shape).numpy()
    spatial = tuple(range(1, image.ndim))
    padded = np.pad(image, [(0, 0)] + [(size // 2, size // 2)] * len(spatial), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, [size] * len(spatial), axis=spatial)
    expected = np.median(windows, axis=tuple(range(image.ndim, windows.ndim)))
    assert np.array_equal(Median(size).preprocess(torch.from_numpy(image)).numpy(), expected)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_jpeg_is_a_round_trip_through_pillow(channels: int, mode: str) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (21, 30, channels), dtype=np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(levels if channels == 3 else levels[..., 0])
    assert picture.mode == mode
    picture.save(file, "JPEG", quality=60)
    expected = np.asarray(Image.open(file)).reshape(levels.shape).transpose(2, 0, 1)
    image = torch.from_numpy(levels.transpose(2, 0, 1).astype(np.float32) / 255)
    assert np.array_equal((Jpeg(60).preprocess(image) * 255).round().numpy(), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_codes_volumes_slice_by_slice_along_the_last_axis(channels: int) -> None:
    volume = make_image(channels, 16, 20, 3)
    slices = [Jpeg(30).preprocess(volume[..., index]) for index in range(3)]
    assert torch.equal(Jpeg(30).preprocess(volume), torch.stack(slices, dim=-1))


def test_jpeg_codes_other_numbers_of_channels_one_by_one() -> None:
    image = make_image(4, 16, 20)
    channels = [Jpeg(30).preprocess(channel[None]) for channel in image]
    assert torch.equal(Jpeg(30).preprocess(image), torch.cat(channels))


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 64, 64), (1, 24, 24, 4)], ids=str)
@pytest.mark.parametrize(
    "weaker_first",
    [
        [Jpeg(90), Jpeg(75), Jpeg(60), Jpeg(30), Jpeg(10)],
        [BitDepth(6), BitDepth(4), BitDepth(2), BitDepth(1)],
        [GaussianBlur(0.5), GaussianBlur(0.8), GaussianBlur(1.0), GaussianBlur(1.0, 5)],
        [Contrast(0.9, 1.0), Contrast(0.7, 1.0), Contrast(0.7, 1.25), Contrast(0.7, 1.5)],
    ],
    ids=lambda defenses: type(defenses[0]).__name__,
)
def test_a_stronger_setting_changes_the_image_more(weaker_first: list[Defense], shape: tuple[int, ...]) -> None:
    image = make_image(*shape)
    errors = [F.mse_loss(defense.preprocess(image), image).item() for defense in weaker_first]
    assert errors == sorted(errors) and len(set(errors)) == len(errors)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_bit_depth_leaves_two_to_the_bits_values_evenly_from_0_to_1(bits: int) -> None:
    image = torch.linspace(0, 1, 4096).reshape(1, 64, 64)
    values = BitDepth(bits).preprocess(image).unique()
    torch.testing.assert_close(values, torch.linspace(0, 1, 2**bits), rtol=0, atol=EPS)


def test_bit_depth_of_an_8_bit_file_at_8_bits_is_the_file() -> None:
    image = torch.arange(256).reshape(1, 16, 16) / 255
    assert torch.equal(BitDepth(8).preprocess(image), image)


def test_grayscale_is_pillows_luma_in_every_channel() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = torch.from_numpy(levels.transpose(2, 0, 1).astype(np.float32) / 255)
    expected = np.asarray(Image.fromarray(levels).convert("L")).astype(np.float32) / 255
    result = Grayscale().preprocess(image).numpy()
    # Pillow rounds to a gray level, with weights of 16 bits
    assert np.abs(result - expected).max() <= (0.5 + 3 * 255 / 2**16) / 255 + 4 * EPS
    assert np.array_equal(result[0], result[1]) and np.array_equal(result[0], result[2])


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_half_size_erases_what_alternates_from_pixel_to_pixel_and_keeps_what_is_smooth(spatial_dims: int) -> None:
    axes = torch.meshgrid(*[torch.arange(16)] * spatial_dims, indexing="ij")
    checkers = (torch.stack(axes).sum(0) % 2)[None].float()
    assert (Half().preprocess(checkers) - 0.5).abs().max() <= 4 * EPS
    ramp = axes[0][None] / 15
    inside = slice(2, -2)
    assert (Half().preprocess(ramp) - ramp)[:, inside].abs().max() <= 4 * EPS


def test_contrast_is_gamma_and_then_the_distance_from_the_mean() -> None:
    image = make_image(3, 8, 8) * 0.5 + 0.25
    bent = image.double() ** 1.5
    expected = bent.mean() + 1.25 * (bent - bent.mean())
    assert expected.min() > 0 and expected.max() < 1
    torch.testing.assert_close(Contrast(1.5, 1.25).preprocess(image).double(), expected, rtol=0, atol=8 * EPS)
    assert (Contrast(gamma=0.7, contrast=1.0).preprocess(image) > image).all()


@pytest.mark.parametrize(
    "defense, before, after",
    [
        (TrainingSize(1.5), (128, 128), (192, 192)),
        (TrainingSize(0.5), (128, 128), (64, 64)),
        (TrainingSize(0.5), (64, 96, 32), (32, 64, 32)),
        (TrainingSize(2), (100, 120), (192, 256)),
        (TrainingSize(size=(64, 96)), (128, 128), (64, 96)),
    ],
)
def test_training_size_gives_grids_that_all_networks_accept(
    defense: TrainingSize, before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    assert defense.grid(before) == after


@settings(max_examples=100, deadline=None)
@given(st.floats(0.1, 4), st.lists(st.integers(1, 600), min_size=2, max_size=3))
@pytest.mark.filterwarnings("ignore:.*leaves the grid")
def test_training_size_is_the_nearest_multiple_of_32(factor: float, before: list[int]) -> None:
    for side, new in zip(before, TrainingSize(factor).grid(before), strict=True):
        assert new >= 32 and new % 32 == 0
        assert abs(new - side * factor) <= 16 or new == 32


def test_training_size_warns_if_nothing_changes() -> None:
    with pytest.warns(UserWarning, match=r"factor=1\.1.* leaves the grid \(128, 128\) as it is"):
        assert TrainingSize(1.1).grid((128, 128)) == (128, 128)


@pytest.mark.parametrize("defense", FILTERS, ids=repr)
def test_only_training_size_changes_the_grid(defense: Defense) -> None:
    assert defense.grid((100, 90)) == (100, 90)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GaussianBlur(sigma=0), r"sigma is 0; it must be a positive number of pixels, for example 0\.8\."),
        (lambda: GaussianBlur(sigma=float("nan")), "sigma is nan; it must be a positive"),
        (lambda: GaussianBlur(kernel=4), "kernel is 4; it must be odd and at least 3"),
        (lambda: Median(1), "size is 1; it must be odd and at least 3"),
        (lambda: Jpeg(0), "quality is 0; it must be a whole number from 1 to 100"),
        (lambda: Jpeg(30.5), r"quality is 30\.5; it must be a whole number"),  # type: ignore[arg-type]
        (lambda: BitDepth(17), "bits is 17; it must be a whole number from 1 to 16"),
        (lambda: Contrast(gamma=-1), "gamma is -1; it must be positive"),
        (lambda: Contrast(contrast=0), "contrast is 0; it must be positive"),
        (lambda: TrainingSize(), "factor is None and size is None; give one of them"),
        (lambda: TrainingSize(0.5, (64, 64)), r"factor is 0\.5 and size is \(64, 64\); give one of them"),
        (lambda: TrainingSize(0), "factor is 0; it must be positive"),
        (lambda: TrainingSize(size=(64, 100)), r"size is \(64, 100\); it must be of positive multiples of 32"),
        (lambda: TrainingSize(size=(64, 64)).grid((64, 64, 32)), r"but the grid has 3 axes; give one number for each"),
    ],
)
def test_errors_name_value_limit_and_cure(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
