"""What is called protected is: at least half of the perturbation arrives in every file that is written."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from protected_folder import EPS, noise, read_array, small_protector, square, write_array

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.fingerprint import inspect_dataset
from monai_umed.protectors import BoundedProtector, Perturbation, Protector, UMed, protector_class
from monai_umed.protectors.arrival import check_arrival, root_mean_square
from monai_umed.release.protect import protect_dataset

pytestmark = pytest.mark.filterwarnings("ignore::monai_umed.protectors.NothingChangedWarning")


def method(name: str, **options: Any) -> Protector:
    return cast(type[BoundedProtector], protector_class(name))(2, 1, **options)


def stamp(*size: int, **options: Any) -> Protector:
    return method("constant-stamp", size=size, **options)


def umed(*size: int) -> UMed:
    protector = small_protector()
    protector.working_size = size
    return protector


def write_case(folder: Path, shape: tuple[int, ...], name: str = "a") -> Path:
    # Far from the ends of the window, where nothing is cut off.
    write_array(folder / "images" / f"{name}.png", (40 + noise(shape, 160, len(name))).astype(np.uint8))
    write_array(folder / "masks" / f"{name}.png", square(shape))
    return folder


SIDES = st.tuples(st.integers(16, 200), st.integers(16, 200))


@settings(max_examples=40, deadline=None)
@example((16, 32), stamp)
@example((127, 127), stamp)
@example((60, 128), umed)
@given(SIDES, st.sampled_from([stamp, umed]))
def test_images_of_any_size_are_refused_or_carry_half_of_the_pattern(sides: tuple[int, int], make: type) -> None:
    """Against the pattern at the pixels of its own grid, where none of it is lost."""
    with TemporaryDirectory() as folder:
        data = write_case(Path(folder) / "in", sides)
        facts = inspect_dataset(data)
        try:
            grid = facts.working_size
        except ValueError:
            assert max(sides) < 32
            return
        [record] = protect_dataset(find_cases(data), make(*grid), Path(folder) / "out", progress=False).cases
        before, after = (read_array(Path(folder) / place / record.image).astype(float) for place in ("in", "out"))
    change = (after - before)[square(sides) > 0] / 255
    whole = write_free(make(*grid), grid)
    assert math.sqrt(np.square(change).mean()) >= 0.5 * whole and np.max(record.max_abs_delta) >= 2


def write_free(protector: Protector, grid: tuple[int, ...]) -> float:
    """Root mean square of a protector's noise in the region, on an image of the size of its grid."""
    image, label = torch.full((1, *grid), 0.5), torch.from_numpy(square(grid, 1))[None]
    delta, _ = protector(image, label)
    return float(delta[label > 0].square().mean().sqrt())


@pytest.mark.parametrize("side", [16, 20, 28, 32, 40, 44])
def test_a_pattern_that_is_averaged_away_is_left_out_by_name_with_a_cure_that_works(tmp_path: Path, side: int) -> None:
    data = write_case(write_case(tmp_path / "in", (200, 180), "large"), (side, side), "small")
    manifest = protect_dataset(find_cases(data), stamp(128, 128), tmp_path / "out", progress=False)
    assert [record.id for record in manifest.cases] == ["large"]
    [left_out] = manifest.quarantined
    assert left_out.id == "small" and f"{side} x {side} pixels are less than the working grid of 128 x 128" in (
        left_out.reason
    )
    assert not list((tmp_path / "out").rglob("small*"))

    assert "enlarge the image and its mask to 128 x 128" in left_out.reason
    write_case(tmp_path / "in", (128, 128), "small")
    assert len(protect_dataset(find_cases(data), stamp(128, 128), tmp_path / "again", progress=False).cases) == 2

    assert ("with the working grid" in left_out.reason) == (side >= 32)
    if side >= 32:
        write_case(tmp_path / "in", (side, side), "small")
        assert "32,32" in left_out.reason
        assert len(protect_dataset(find_cases(data), stamp(32, 32), tmp_path / "fitted", progress=False).cases) == 2


def test_one_pixel_that_changed_does_not_count(tmp_path: Path) -> None:
    image, label = torch.full((1, 64, 64), 0.5), torch.from_numpy(square((64, 64), 1))[None]
    protector = stamp(64, 64)
    perturbation = protector(image, label, levels=255)
    one = torch.zeros_like(image)
    one[0, 30, 30] = EPS
    with pytest.raises(
        ValueError, match=r"^[0-9]% of the perturbation arrives, must be at least 50%: the rest is lost"
    ):
        check_arrival(protector, image, label, perturbation=perturbation, change=root_mean_square(one), levels=255)
    check_arrival(
        protector, image, label, perturbation=perturbation, change=root_mean_square(perturbation.delta), levels=255
    )


def test_values_outside_of_the_window_stay_and_are_no_protection(tmp_path: Path) -> None:
    write_case(tmp_path / "in", (64, 64))
    path = tmp_path / "in" / "images" / "a.png"
    image = read_array(path).copy()
    image[square((64, 64)) > 0] = 250
    write_array(path, image)
    cases = find_cases(tmp_path / "in")
    with pytest.raises(DatasetError, match=r"0% of the perturbation arrives.* or to values outside of the window"):
        protect_dataset(cases, stamp(64, 64), tmp_path / "out", intensity_window=(0, 220), progress=False)
    assert protect_dataset(cases, stamp(64, 64), tmp_path / "wide", intensity_window=(0, 255), progress=False).cases


def test_slices_of_volumes_smaller_than_the_grid_are_measured_along_their_own_axes(tmp_path: Path) -> None:
    shape = (40, 20, 36)
    write_array(tmp_path / "in" / "images" / "a.nii.gz", noise(shape, 2000).astype(np.int16))
    write_array(tmp_path / "in" / "masks" / "a.nii.gz", square(shape, 1))
    cases = find_cases(tmp_path / "in")
    with pytest.raises(DatasetError, match=r"40 x 36 pixels are less than the working grid of 128 x 128"):
        protect_dataset(cases, stamp(128, 128, slice_axis=1), tmp_path / "out", progress=False)
    for native in (True, False):
        protector = stamp(32, 32, slice_axis=1, native=native)
        assert protect_dataset(cases, protector, tmp_path / f"out_{native}", progress=False).cases


def test_a_method_without_noise_is_refused_but_the_control_that_is_meant_to_change_nothing(tmp_path: Path) -> None:
    image, label = torch.full((1, 32, 32), 0.5), torch.from_numpy(square((32, 32), 1))[None]
    nothing = Perturbation(torch.zeros_like(image), torch.full_like(image, EPS))
    with pytest.raises(ValueError, match="ConstantStamp made no noise for it; fit anew"):
        check_arrival(stamp(32, 32), image, label, perturbation=nothing, change=0.0)
    cases = find_cases(write_case(tmp_path / "in", (64, 64)))
    [record] = protect_dataset(cases, method("identity"), tmp_path / "out", progress=False).cases
    assert record.max_abs_delta == 0 and record.note == "nothing changed, as is meant with this control"


@pytest.mark.parametrize("name", ["random-stamp", "uniform", "lsp", "ar", "ye-synthetic"])
@pytest.mark.parametrize("bound", ["full", "roi", "band", "roi*lbp"])
@pytest.mark.parametrize("shape", [(128, 150), (300, 200), (40, 60)])
def test_noise_that_is_weaker_than_its_limit_by_nature_is_no_reason(
    tmp_path: Path, name: str, bound: str, shape: tuple[int, ...]
) -> None:
    data = write_case(tmp_path / "in", shape)
    protector = method(name, eps=EPS, bound=bound, size=inspect_dataset(data).working_size)
    assert len(protect_dataset(find_cases(data), protector, tmp_path / "out", progress=False).cases) == 1


def test_a_volume_below_the_grid_of_its_protector_is_refused_with_the_size_that_it_needs(tmp_path: Path) -> None:
    shape = (20, 24, 8)
    write_array(tmp_path / "in" / "images" / "a.nii.gz", noise(shape).astype(np.uint8))
    write_array(tmp_path / "in" / "masks" / "a.nii.gz", square(shape, 1))
    with pytest.raises(DatasetError, match="20 x 24 x 8 pixels are less than the working grid of 32 x 32 x 32"):
        protect_dataset(find_cases(tmp_path / "in"), small_protector(1, 3), tmp_path / "out", progress=False)
