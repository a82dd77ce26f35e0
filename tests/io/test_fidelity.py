"""Closeness of two images: piece by piece as on the whole, as scikit-image defines it, in little memory."""

from __future__ import annotations

import tracemalloc
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from monai_umed.io import fidelity, quantize
from monai_umed.io.fidelity import Fidelity, measure
from monai_umed.io.quantize import add_delta
from monai_umed.io.stored import StoredImage

RANGES = {"uint8": 255.0, "int16": 400.0, "uint16": 4000.0, "int32": 1e6, "float32": 1.0, "float64": 1e-3}


def pair_of(dtype: str, shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise over half of the range and its perturbed version, of which a part is unchanged."""
    rng = np.random.default_rng(seed)
    width = RANGES[dtype]
    before = rng.uniform(0.2 * width, 0.7 * width, shape)
    after = before + rng.uniform(-0.05 * width, 0.05 * width, shape) * (rng.random(shape) < 0.7)
    if not dtype.startswith("float"):
        before, after = np.rint(before), np.rint(after)
    return before.astype(dtype), after.astype(dtype)


def measure_in_pieces(before: np.ndarray, after: np.ndarray, data_range: float, values: int) -> Fidelity:
    with patch.object(quantize, "SLAB_VALUES", values), patch.object(fidelity, "SLAB_VALUES", values):
        return measure(before, after, data_range)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(RANGES)),
    st.sampled_from([1, 3]),
    st.lists(st.integers(7, 21), min_size=2, max_size=3),
    st.sampled_from([512, 700, 1500, 10**6]),
    st.integers(0, 2**32 - 1),
)
def test_pieces_of_any_size_give_what_scikit_image_gives_for_the_whole(
    dtype: str, channels: int, sides: list[int], values: int, seed: int
) -> None:
    before, after = pair_of(dtype, (channels, *sides), seed)
    found = measure_in_pieces(before, after, RANGES[dtype], values)
    first, second = before.astype(np.float64), after.astype(np.float64)
    ssim = structural_similarity(first, second, data_range=RANGES[dtype], channel_axis=0)
    assert found.ssim == pytest.approx(ssim, abs=1e-6)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(first, second, data_range=RANGES[dtype]), abs=1e-9)
    assert found.max_abs_delta == np.abs(second - first).max()
    assert found.perturbed_fraction == (before != after).mean()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(RANGES)),
    st.sampled_from([1, 3]),
    st.lists(st.integers(7, 30), min_size=2, max_size=3),
    st.data(),
)
def test_a_change_in_a_part_is_measured_as_on_the_whole(
    dtype: str, channels: int, sides: list[int], data: st.DataObject
) -> None:
    before, changed = pair_of(dtype, (channels, *sides))
    ends = [sorted(data.draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True))) for side in sides]
    box = (slice(None), *(slice(*pair) for pair in ends))
    after = before.copy()
    after[box] = changed[box]
    found = measure(before, after, RANGES[dtype])
    first, second = before.astype(np.float64), after.astype(np.float64)
    ssim = structural_similarity(first, second, data_range=RANGES[dtype], channel_axis=0)
    assert found.ssim == pytest.approx(ssim, abs=1e-6 if dtype == "uint8" else 1e-11)
    assert found.max_abs_delta == np.abs(second - first).max()
    assert found.perturbed_fraction == (before != after).mean()
    if found.psnr is not None:
        assert found.psnr == pytest.approx(peak_signal_noise_ratio(first, second, data_range=RANGES[dtype]), abs=1e-9)


@pytest.mark.parametrize(("dtype", "values"), [("uint8", 10**6), ("uint8", 700), ("uint16", 10**6)])
def test_differences_of_color_are_those_of_scikit_image(dtype: str, values: int) -> None:
    before, after = pair_of(dtype, (3, 21, 18))
    labs = (rgb2lab(np.moveaxis(image / RANGES[dtype], 0, -1)) for image in (before, after))
    found = measure_in_pieces(before, after, RANGES[dtype], values).ciede2000
    assert found == pytest.approx(deltaE_ciede2000(*labs).mean(), rel=1e-9)
    assert measure(before, before, RANGES[dtype]).ciede2000 == 0
    assert measure(before[:1], after[:1], RANGES[dtype]).ciede2000 is None


def test_many_changed_pixels_are_sampled() -> None:
    before, after = pair_of("uint8", (3, 200, 210))
    whole = measure(before, after, 255).ciede2000
    with patch.object(fidelity, "_COLORS", 10**9):
        assert whole == pytest.approx(measure(before, after, 255).ciede2000, rel=0.02)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [1, 3, 6])
@pytest.mark.parametrize("values", [512, 10**6])
def test_a_thin_volume_has_the_mean_of_its_slices(axis: int, side: int, values: int) -> None:
    shape = [30, 24]
    shape.insert(axis, side)
    before, after = pair_of("int16", (1, *shape))
    slices = [
        structural_similarity(
            before[0].take(index, axis).astype(float), after[0].take(index, axis).astype(float), data_range=400.0
        )
        for index in range(side)
    ]
    assert measure_in_pieces(before, after, 400.0, values).ssim == pytest.approx(np.mean(slices), abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 6, 40), (1, 40, 6, 3), (1, 6, 6, 6)])
def test_images_with_fewer_than_two_sides_for_a_window_are_refused(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match=r"must have two sides >= 7"):
        measure(image, image, 255.0)


def test_not_a_number_in_one_piece_is_not_lost_among_the_others() -> None:
    before, after = pair_of("float32", (1, 20, 20, 20))
    after[0, 3, 10, 10] = np.nan
    found = measure_in_pieces(before, after, 1.0, 800)
    assert found.psnr is not None and np.isnan([found.max_abs_delta, found.psnr, found.ssim]).all()


def test_an_unchanged_volume_is_identical_in_pieces_as_well() -> None:
    before, _ = pair_of("int16", (1, 20, 20, 20))
    assert measure_in_pieces(before, before.copy(), 400.0, 800) == Fidelity(None, 1.0, 0, 0.0)


@pytest.mark.slow
def test_a_large_ct_is_perturbed_and_measured_in_little_memory() -> None:
    shape = (1, 512, 512, 300)
    rng = np.random.default_rng(0)
    stored = StoredImage(rng.integers(-1000, 1000, shape, np.int16), (-160.0, 240.0))
    delta, bound = rng.random(shape, np.float32), np.full(shape, 4 / 255, np.float32)
    tracemalloc.start()
    try:
        protected = add_delta(stored, delta, bound)
        assert tracemalloc.get_traced_memory()[1] - protected.nbytes < 400 * 2**20
        tracemalloc.reset_peak()
        assert measure(stored.color, protected, stored.width).max_abs_delta == 6
        assert tracemalloc.get_traced_memory()[1] - protected.nbytes < 400 * 2**20
    finally:
        tracemalloc.stop()
