"""Adding a perturbation: identity at zero, budget, dtype and window are promises and hold for every input."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.io import quantize
from monai_umed.io.quantize import LEVEL_TOLERANCE, add_delta, stored_limit
from monai_umed.io.stored import IntensityWindow, StoredImage

# Windows in stored units: whole range, part of it, odd ends, and a descending one (negative slope).
WINDOWS = {
    "uint8": [(0.0, 255.0), (20.0, 200.0), (10.3, 99.7), (255.0, 0.0)],
    "uint16": [(0.0, 65535.0), (0.0, 4095.0), (100.0, 180.5)],
    "int16": [(-160.0, 240.0), (-1024.0, 3071.0), (240.0, -160.0), (-32768.0, 32767.0)],
    "int32": [(0.0, 1e9), (-5.0, 300.0)],
    "float32": [(0.0, 1.0), (-160.0, 240.0), (0.1, 1.7e6), (1.0, 0.0), (1e6, 1e6 + 3)],
    "float64": [(0.0, 1.0), (1e-9, 3e-9)],
}


@st.composite
def inputs(draw: st.DrawFn) -> tuple[StoredImage, np.ndarray, np.ndarray, float]:
    dtype = draw(st.sampled_from(sorted(WINDOWS)))
    intensity_window = draw(st.sampled_from(WINDOWS[dtype]))
    eps = draw(st.integers(1, 16)) / 255
    channels, has_alpha = draw(st.sampled_from([(1, False), (3, False), (2, True), (4, True)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = sorted(intensity_window)
    margin = (high - low) * draw(st.sampled_from([0.0, 0.3]))
    values = rng.uniform(low - margin, high + margin, (channels, 6, 7))
    if dtype.startswith(("int", "uint")):
        info = np.iinfo(dtype)
        values = np.clip(np.rint(values), info.min, info.max)
    stored = StoredImage(values.astype(dtype), intensity_window, has_alpha=has_alpha)
    rows = draw(st.sampled_from([1, len(stored.color)]))
    float_type = draw(st.sampled_from([np.float32, np.float64]))
    delta = rng.uniform(-3 * eps, 3 * eps, (rows, 6, 7)).astype(float_type)
    bound = np.where(rng.random((1, 6, 7)) < 0.2, 0, eps).astype(float_type)
    return stored, delta, bound, eps


def budget_in_stored_units(stored: StoredImage, bound: np.ndarray) -> np.ndarray:
    limit = bound.astype(np.float64) * abs(stored.width)
    if stored.array.dtype.kind == "f":
        return limit * (1 + 1e-15)
    # float32 arithmetic may miss the real product by one part in 2**23
    return np.floor(limit * (1 + 2.0**-23) + LEVEL_TOLERANCE)


@settings(max_examples=300, deadline=None)
@given(inputs())
def test_budget_dtype_window_and_alpha_are_kept(case: tuple[StoredImage, np.ndarray, np.ndarray, float]) -> None:
    stored, delta, bound, _ = case
    result = add_delta(stored, delta, bound)
    assert result.dtype == stored.array.dtype and result.shape == stored.array.shape
    if stored.has_alpha:
        np.testing.assert_array_equal(result[-1], stored.array[-1])
        result = result[:-1]
    before, after = stored.color.astype(np.float64), result.astype(np.float64)
    assert (np.abs(after - before) <= budget_in_stored_units(stored, bound)).all()
    low, high = sorted(stored.ends)
    inside = (before >= low) & (before <= high)
    np.testing.assert_array_equal(after[~inside], before[~inside])
    assert ((after >= low) & (after <= high))[inside].all()


@settings(max_examples=100, deadline=None)
@given(inputs())
def test_zero_delta_gives_the_identical_array(case: tuple[StoredImage, np.ndarray, np.ndarray, float]) -> None:
    stored, delta, bound, _ = case
    np.testing.assert_array_equal(add_delta(stored, delta * 0, bound), stored.array)
    np.testing.assert_array_equal(add_delta(stored, delta, bound * 0), stored.array)


@settings(max_examples=100, deadline=None)
@given(inputs())
def test_a_delta_within_the_limit_survives_whole(
    case: tuple[StoredImage, np.ndarray, np.ndarray, float],
) -> None:
    stored, _, bound, _ = case
    floored = (stored_limit(bound, stored) / abs(stored.width)).astype(np.float32)
    assert (floored <= bound + 1e-3 / abs(stored.width) + 1e-7).all()
    np.testing.assert_allclose(stored_limit(floored, stored), stored_limit(bound, stored), rtol=1e-6)
    low, high = sorted(stored.ends)
    middle = StoredImage(
        np.full_like(stored.array, low + (high - low) / 2), stored.intensity_window, has_alpha=stored.has_alpha
    )
    moved = (add_delta(middle, floored, bound).astype(np.float64) - middle.array)[: len(middle.color)]
    if middle.array.dtype.kind != "f":
        np.testing.assert_allclose(moved, np.broadcast_to(floored * middle.width, moved.shape), rtol=1e-5, atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(inputs(), st.integers(1, 200))
def test_slabs_of_any_height_give_the_same_bits(
    case: tuple[StoredImage, np.ndarray, np.ndarray, float], values: int
) -> None:
    stored, delta, bound, _ = case
    whole = add_delta(stored, delta, bound)
    with patch.object(quantize, "SLAB_VALUES", values):
        in_slabs = add_delta(stored, delta, bound)
    assert in_slabs.dtype == whole.dtype and in_slabs.tobytes() == whole.tobytes()


def test_perturbing_leaves_the_original_as_it_is() -> None:
    stored = StoredImage(np.full((1, 4, 4), 100, np.uint8), (0.0, 255.0))
    delta = np.full((1, 4, 4), 0.1, np.float32)
    assert (add_delta(stored, delta, delta) != 100).all()
    assert (stored.array == 100).all()


@pytest.mark.parametrize("eps_levels", range(1, 17))
def test_every_whole_level_of_an_8_bit_budget_is_used(eps_levels: int) -> None:
    stored = StoredImage(np.full((1, 4, 4), 100, np.uint8), (0.0, 255.0))
    bound = np.full((1, 4, 4), eps_levels / 255, np.float32)
    assert (add_delta(stored, bound, bound) == 100 + eps_levels).all()
    assert (add_delta(stored, -bound, bound) == 100 - eps_levels).all()


def test_convention_a_descending_window_turns_the_sign_of_the_step() -> None:
    stored = StoredImage(np.full((1, 4, 4), 100, np.int16), (200.0, 0.0))
    delta = np.full((1, 4, 4), 0.1, np.float32)
    after = add_delta(stored, delta, delta)
    assert (after == 80).all()
    scaled = StoredImage(after, stored.intensity_window).scaled() - stored.scaled()
    np.testing.assert_allclose(scaled, 0.1, atol=1e-6)


def test_not_a_number_in_a_float_image_stays_as_it_is() -> None:
    stored = StoredImage(np.array([[[np.nan, np.inf, 0.5]]], np.float32), (0.0, 1.0))
    delta = np.full((1, 1, 3), 0.1, np.float32)
    np.testing.assert_allclose(add_delta(stored, delta, delta), [[[np.nan, np.inf, 0.6]]], rtol=1e-6)


def test_scaled_is_clipped_to_the_window_and_leaves_alpha_out() -> None:
    stored = StoredImage(np.array([[[0, 100, 150, 250]], [[7, 7, 7, 7]]], np.uint8), (100.0, 200.0), has_alpha=True)
    scaled = stored.scaled()
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, np.array([[[0, 0, 0.5, 1]]], np.float32))


@pytest.mark.parametrize(
    ("delta", "bound", "message"),
    [
        (np.zeros((2, 4, 5)), np.zeros((1, 4, 5)), r"delta has shape \(2, 4, 5\), must be \(1, 4, 5\) or \(3, 4, 5\)"),
        (np.zeros((1, 4, 5)), np.zeros((4, 5)), "bound has shape"),
        (np.full((1, 4, 5), np.nan), np.zeros((1, 4, 5)), "delta has NaN"),
        (np.zeros((1, 4, 5)), np.full((1, 4, 5), -0.1), "bound has the value -0.1, must be >= 0"),
    ],
)
def test_wrong_arguments_are_refused(delta: np.ndarray, bound: np.ndarray, message: str) -> None:
    stored = StoredImage(np.zeros((3, 4, 5), np.uint8), (0.0, 255.0))
    with pytest.raises(ValueError, match=message):
        add_delta(stored, delta, bound)


@pytest.mark.parametrize("intensity_window", [(1.0, 1.0), (0.0, float("nan"))])
def test_impossible_windows_are_refused(intensity_window: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="two different finite numbers"):
        StoredImage(np.zeros((1, 4, 5), np.uint8), intensity_window)


@pytest.mark.parametrize("piece", [1, 2**21])
@pytest.mark.parametrize("window", [(-100.0, 300.0), ((-100.0, 300.0), (0.0, 50.0))])
def test_within_a_box_values_are_scaled_as_in_the_whole_image(window: IntensityWindow, piece: int) -> None:
    array = np.random.default_rng(0).integers(-200, 400, (2, 9, 8, 7)).astype(np.int16)
    stored, box = StoredImage(array, window), (slice(2, 5), slice(0, 8), slice(3, 4))
    inner = (slice(None), *box)
    with patch("monai_umed.io.stored._PIECE", piece):
        found = stored.scaled_within(box)
    assert np.array_equal(found[inner], stored.scaled()[inner])
    found[inner] = 0
    assert not found.any() and found.dtype == np.float32
