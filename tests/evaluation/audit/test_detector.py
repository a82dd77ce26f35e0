"""What the linear detector of protected files finds, and that it finds nothing where there is nothing."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.evaluation.audit.detector import area_under_curve, detector_auc, spectrum

Items = list[dict[str, Any]]


def make_items(count: int, *shape: int, seed: int = 0) -> Items:
    """Noise of a different strength in every case, in [0.2, 0.8]."""
    generator = torch.Generator().manual_seed(seed)
    strength = torch.rand(count, generator=generator).mul(0.5).add(0.1).tolist()
    return [
        {"id": f"case{number}", "image": 0.5 + share * (torch.rand(shape, generator=generator) - 0.5)}
        for number, share in enumerate(strength)
    ]


def add(items: Items, pattern: torch.Tensor) -> Items:
    return [{**item, "image": (item["image"] + pattern).clamp(0, 1)} for item in items]


def checkerboard(*size: int) -> torch.Tensor:
    axes = torch.meshgrid(*[torch.arange(side) for side in size], indexing="ij")
    return 1 - 2 * (sum(axes) % 2).float()  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 24, 32), (1, 16, 12, 16)])
def test_identical_sets_are_exactly_chance(shape: tuple[int, ...]) -> None:
    items = make_items(14, *shape)
    assert detector_auc(items, items) == 0.5


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 24, 32), (1, 16, 12, 16)])
def test_a_pattern_in_every_file_is_always_found(shape: tuple[int, ...]) -> None:
    items = make_items(20, *shape)
    assert detector_auc(items, add(items, 0.2 * checkerboard(*shape[1:]))) == 1


def test_files_that_differ_by_chance_alone_are_told_apart_no_better_than_chance() -> None:
    # More features than cases: a detector that saw the cases it is scored on would be near 1.
    results = []
    for seed in range(12):
        first, second = (make_items(30, 1, 32, 32, seed=100 * part + seed) for part in (1, 2))
        results.append(detector_auc(first, second, seed))
    # 6 against 6 in 5 folds: a standard deviation of 0.08 an estimate, 0.025 for the mean of 12; four of these
    assert abs(float(np.mean(results)) - 0.5) < 0.1


def test_stronger_patterns_are_found_more_often() -> None:
    items = make_items(40, 1, 32, 32)
    weak, strong = (detector_auc(items, add(items, share * checkerboard(32, 32))) for share in (0.002, 0.05))
    assert 0.4 < weak < strong


def test_neither_the_order_of_the_items_nor_that_of_the_sets_matters() -> None:
    clean = make_items(30, 1, 32, 32)
    protected = add(clean, 0.01 * checkerboard(32, 32))
    expected = detector_auc(clean, protected)
    assert 0.5 < expected < 1
    assert detector_auc(clean[::-1], protected[7:] + protected[:7]) == expected
    assert detector_auc(protected, clean) == pytest.approx(expected, abs=1e-9)


def test_the_seed_draws_the_folds() -> None:
    clean = make_items(30, 1, 32, 32)
    protected = add(clean, 0.01 * checkerboard(32, 32))
    results = [detector_auc(clean, protected, seed) for seed in (0, 0, 1, 2, 3)]
    assert results[0] == results[1] and len(set(results)) > 1


def test_cases_in_one_set_only_are_left_out() -> None:
    clean = make_items(20, 1, 32, 32)
    protected = add(clean, 0.01 * checkerboard(32, 32))
    assert detector_auc(clean, protected[:15]) == detector_auc(clean[:15], protected[:15])


def test_convention_masks_are_not_looked_at() -> None:
    clean = make_items(12, 1, 32, 32)
    marked = [{**item, "label": torch.ones(1, 32, 32)} for item in clean]
    assert detector_auc(clean, marked) == 0.5


@pytest.mark.parametrize(("row", "column"), [(0, 6), (5, 0), (16, 16), (3, 11)])
def test_a_wave_lies_in_the_band_of_its_frequency(row: int, column: int) -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    wave = 0.5 + 0.3 * torch.cos(2 * torch.pi * (row * y + column * x) / 32)
    bands = spectrum(wave[None]).view(12, 12)
    expected = [min(12 * frequency // 16, 11) for frequency in (row, column)]
    assert divmod(int(bands.argmax()), 12) == tuple(expected)


def test_brightness_is_no_feature_but_contrast_is() -> None:
    image = make_items(1, 1, 32, 32)[0]["image"].double()
    torch.testing.assert_close(spectrum(image + 0.1), spectrum(image))
    assert (spectrum(0.5 + (image - 0.5) * 0.5) < spectrum(image)).all()


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.tuples(*[st.integers(4, 70)] * 2), st.tuples(*[st.integers(4, 20)] * 3)))
def test_small_images_have_fewer_bands_and_no_size_has_an_empty_one(size: tuple[int, ...]) -> None:
    bands = spectrum(torch.rand(1, *size, generator=torch.Generator().manual_seed(0)))
    assert len(bands) == min(min(size) // 2, {2: 12, 3: 6}[len(size)]) ** len(size)
    assert bands.isfinite().all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_area_under_the_curve_counts_pairs_and_half_of_the_ties(negative: list[int], positive: list[int]) -> None:
    pairs = [(high > low) + 0.5 * (high == low) for high in positive for low in negative]
    found = area_under_curve(np.array(negative, float), np.array(positive, float))
    assert found == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


GOOD = make_items(10, 1, 16, 16)


@pytest.mark.parametrize(
    ("clean", "protected", "message"),
    [
        (GOOD[:9], GOOD, "9 cases are in both sets, of 9 clean and 10 protected ones; .* at least 10"),
        (GOOD, [{**item, "id": item["id"] + "x"} for item in GOOD], "0 cases are in both sets"),
        (GOOD, make_items(10, 1, 16, 20), "Images have 2 shapes"),
        (make_items(10, 1, 16), make_items(10, 1, 16), r"Images have shape \(1, 16\)"),
        (make_items(10, 1, 16, 3), make_items(10, 1, 16, 3), "at least 4 is needed"),
    ],
)
def test_sets_that_do_not_fit_are_refused(clean: Items, protected: Items, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detector_auc(clean, protected)


def test_ten_cases_are_enough() -> None:
    assert detector_auc(GOOD, GOOD) == 0.5
