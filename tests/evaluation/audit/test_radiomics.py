"""Values of the radiomics features, and what counts as their change."""

from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import graycomatrix, graycoprops

from monai_umed.evaluation.audit.radiomics import (
    FIRST_ORDER,
    FLOOR,
    TEXTURE,
    radiomics_change,
    radiomics_features,
    summarize_changes,
)

# The digital phantom of the Image Biomarker Standardisation Initiative, 5 x 4 x 4 voxels (x, y, z): slices along z,
# rows along y; 0 is outside the region.
PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)

# Reference values for that phantom with their number of digits: IBSI reference manual (theibsi/ibsi-doc, chapter "Image
# features"), co-occurrence "2.5D, direction-merged". In gray levels, 1/32 of our intensities.
REFERENCE = {
    "mean": ("2.15", 32),
    "skewness": ("1.08", 1),
    "10th percentile": ("1", 32),
    "90th percentile": ("4", 32),
    "energy": ("567", 32**2),
    "entropy": ("1.27", 1),
    "GLCM contrast": ("5.39", 1),
    "GLCM dissimilarity": ("1.46", 1),
    "GLCM homogeneity": ("0.606", 1),
    "GLCM angular second moment": ("0.286", 1),
    "GLCM correlation": ("0.178", 1),
}


def make_case(*size: int, seed: int = 0, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Random image and a centered ball as label."""
    image = np.random.default_rng(seed).random((channels, *size), dtype=np.float32)
    axes = np.meshgrid(*[np.linspace(-1, 1, side) for side in size], indexing="ij")
    return image, (np.square(axes).sum(axis=0) < 0.6)[None].astype(np.uint8)


@pytest.fixture(scope="module")
def phantom_features() -> dict[str, float]:
    volume = np.moveaxis(PHANTOM, 0, -1)[None]
    return radiomics_features(volume / 32, (volume > 0).astype(np.uint8))


@pytest.mark.parametrize("name", REFERENCE)
def test_features_of_the_digital_phantom_are_those_of_the_ibsi(name: str, phantom_features: dict[str, float]) -> None:
    reference, unit = REFERENCE[name]
    digits = len(reference.partition(".")[2])
    assert phantom_features[name] * unit == pytest.approx(float(reference), abs=0.5 * 10**-digits)


def test_spread_and_kurtosis_of_the_digital_phantom_follow_from_those_of_the_ibsi(
    phantom_features: dict[str, float],
) -> None:
    assert (phantom_features["standard deviation"] * 32) ** 2 == pytest.approx(3.05, abs=0.005)  # its variance
    assert phantom_features["kurtosis"] - 3 == pytest.approx(-0.355, abs=0.0005)  # its excess kurtosis


def test_every_feature_is_measured_in_two_and_three_dimensions_and_in_color() -> None:
    for size, channels in [((20, 17), 1), ((20, 17), 3), ((12, 10, 8), 1)]:
        features = radiomics_features(*make_case(*size, channels=channels))
        assert list(features) == [*FIRST_ORDER, *TEXTURE]
        assert np.isfinite(list(features.values())).all()


@pytest.mark.parametrize("name", TEXTURE)
def test_texture_of_a_rectangle_is_that_of_scikit_image(name: str) -> None:
    image = make_case(20, 17)[0]
    label = np.zeros((1, 20, 17), np.uint8)
    label[:, 3:15, 2:13] = 1
    levels = np.floor(image[0, 3:15, 2:13] * 32).astype(np.uint8)
    matrix = graycomatrix(levels, [1], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], 32, symmetric=True, normed=True)
    prop = {"GLCM angular second moment": "ASM"}.get(name, name.removeprefix("GLCM "))
    assert radiomics_features(image, label)[name] == pytest.approx(graycoprops(matrix, prop).mean(), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(9, 7), (6, 5, 4)]), st.sampled_from([1, 3]))
def test_identical_images_have_changed_by_exactly_nothing(seed: int, size: tuple[int, ...], channels: int) -> None:
    image, label = make_case(*size, seed=seed, channels=channels)
    assert set(radiomics_change(image, image.copy(), label).values()) == {0.0}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(9, 7), (6, 5, 4)]))
def test_nothing_outside_the_region_matters(seed: int, size: tuple[int, ...]) -> None:
    image, label = make_case(*size, seed=seed)
    other = np.where(label > 0, image, make_case(*size, seed=seed + 1)[0])
    assert set(radiomics_change(image, other, label).values()) == {0.0}
    margin = [(0, 0), *[(2, 3)] * len(size)]
    padded = radiomics_features(np.pad(image, margin, constant_values=0.7), np.pad(label, margin))
    assert padded == radiomics_features(image, label)


def test_every_feature_but_percentiles_moves_with_noise_in_the_region() -> None:
    image, label = make_case(40, 40)
    changes = radiomics_change(image, np.clip(image + 0.2 * (make_case(40, 40, seed=1)[0] - 0.5), 0, 1), label)
    assert all(change > 0 for change in changes.values())


def test_change_is_relative_to_the_clean_value() -> None:
    image, label = make_case(20, 20)
    changes = radiomics_change(image * 0.5, image * 0.75, label)
    for name in ("mean", "standard deviation", "10th percentile", "90th percentile"):
        assert changes[name] == pytest.approx(0.5, rel=1e-5)
    assert changes["energy"] == pytest.approx(1.25, rel=1e-5)
    assert changes["skewness"] == pytest.approx(0, abs=1e-4)


def test_convention_values_near_zero_are_divided_by_the_floor() -> None:
    label = make_case(20, 20)[1]
    changes = radiomics_change(np.zeros((1, 20, 20)), np.full((1, 20, 20), 0.01), label)
    assert changes["mean"] == pytest.approx(0.01 / FLOOR)


def test_convention_a_constant_region_has_no_skewness_and_the_kurtosis_of_a_normal_distribution() -> None:
    features = radiomics_features(np.full((1, 20, 20), 0.3), make_case(20, 20)[1])
    assert (features["skewness"], features["kurtosis"], features["entropy"]) == (0, 3, 0)
    assert (features["GLCM contrast"], features["GLCM homogeneity"], features["GLCM correlation"]) == (0, 1, 1)


def test_convention_slices_of_a_volume_lie_along_the_last_axis() -> None:
    volume = np.zeros((1, 8, 8, 6))
    volume[..., ::2] = 0.9  # differs between slices, not within
    label = np.ones((1, 8, 8, 6), np.uint8)
    assert radiomics_features(volume, label)["GLCM contrast"] == 0
    assert radiomics_features(np.moveaxis(volume, -1, 1), np.moveaxis(label, -1, 1))["GLCM contrast"] > 0


def test_convention_a_region_without_neighbors_has_no_texture() -> None:
    image = make_case(9, 9)[0]
    label = np.zeros((1, 9, 9), np.uint8)
    label[:, ::3, ::3] = 1
    assert list(radiomics_features(image, label)) == list(FIRST_ORDER)
    label[:, 0, 1] = 1  # neighbors in one direction only
    assert list(radiomics_features(image, label)) == [*FIRST_ORDER, *TEXTURE]


def test_convention_all_classes_are_one_region() -> None:
    image, label = make_case(20, 20)
    classes = label.copy()
    classes[:, 10:] *= 2
    assert radiomics_features(image, classes) == radiomics_features(image, label)


def test_the_summary_is_the_median_over_the_cases_that_have_a_feature() -> None:
    changes = [radiomics_change(make_case(20, 20, seed=k)[0], *make_case(20, 20, seed=k + 9)) for k in range(5)]
    changes[0] = {name: changes[0][name] for name in FIRST_ORDER}
    summary = summarize_changes(changes)
    assert list(summary) == [*FIRST_ORDER, *TEXTURE]
    assert summary["mean"] == median(change["mean"] for change in changes)
    assert summary["GLCM contrast"] == median(change["GLCM contrast"] for change in changes[1:])


def test_a_summary_of_no_cases_is_refused() -> None:
    with pytest.raises(ValueError, match="There are no cases"):
        summarize_changes([])


IMAGE, LABEL = make_case(12, 12)


@pytest.mark.parametrize(
    ("clean", "protected", "label", "message"),
    [
        (IMAGE, IMAGE[:, 1:], LABEL, r"clean image has shape \(1, 12, 12\), the protected one \(1, 11, 12\)"),
        (IMAGE, IMAGE, LABEL[:, 1:], r"image has shape \(1, 12, 12\), the label \(1, 11, 12\)"),
        (IMAGE, IMAGE, LABEL[0], r"the label \(12, 12\)"),
        (IMAGE[0], IMAGE[0], LABEL, r"image has shape \(12, 12\)"),
        (IMAGE, IMAGE, LABEL * 0, "label is empty"),
        (IMAGE, IMAGE * 255, LABEL, r"not over \[0, 1\]; scale the image first"),
        (IMAGE - 0.5, IMAGE, LABEL, r"range from -0\."),
        (IMAGE, IMAGE * np.nan, LABEL, r"range from nan to nan"),
    ],
)
def test_cases_that_do_not_fit_are_refused(
    clean: np.ndarray, protected: np.ndarray, label: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        radiomics_change(clean, protected, label)
