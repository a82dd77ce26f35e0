"""The grid that images are resampled to: the usual one, unless images are smaller than that."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protected_folder import noise, square, write_array

from monai_umed.data.fingerprint import inspect_dataset
from monai_umed.data.working_grid import IMAGE_SIZE, fitting_grid, held_sides
from monai_umed.exploiters.registry import check_exploiter


@given(st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_a_grid_is_never_larger_than_images_and_always_one_that_a_surrogate_takes(sides: tuple[int, int]) -> None:
    grid = fitting_grid(sides)
    if grid is None:
        assert min(sides) < 16 or max(sides) < 32
        return
    assert all(one <= side for one, side in zip(grid, sides, strict=True))
    assert grid == IMAGE_SIZE or min(sides) < 128
    check_exploiter("unet-instance", "small", grid)


@pytest.mark.parametrize(
    ("sides", "grid"),
    [
        ((128, 128), (128, 128)),
        ((900, 129), (128, 128)),
        ((127, 500), (112, 128)),
        ((60, 128), (48, 128)),
        ((40, 40), (32, 32)),
        ((20, 64), (16, 64)),
        ((28, 28), None),
        ((15, 200), None),
    ],
)
def test_small_images_have_a_grid_of_their_own(sides: tuple[int, ...], grid: tuple[int, ...] | None) -> None:
    assert fitting_grid(sides) == grid


def test_a_single_thumbnail_decides_only_among_few_images() -> None:
    assert held_sides([(40, 50)] + [(500, 400)] * 9) == (40, 50)
    assert held_sides([(40, 50)] + [(500, 400)] * 10) == (500, 400)
    assert held_sides([(40, 400), (500, 50)]) == (40, 50)


def write_images(folder: Path, *shapes: tuple[int, int]) -> Path:
    for number, shape in enumerate(shapes):
        write_array(folder / "images" / f"{number:02}.png", noise(shape, seed=number).astype("uint8"))
        write_array(folder / "masks" / f"{number:02}.png", square(shape))
    return folder


def test_a_dataset_tells_the_grid_of_protectors_apart_from_that_of_exploiters(tmp_path: Path) -> None:
    facts = inspect_dataset(write_images(tmp_path, (40, 200), (50, 90)))
    assert (facts.working_size, facts.grid) == ((32, 80), IMAGE_SIZE)


def test_images_that_no_grid_fits_are_refused_with_their_size_when_a_grid_is_needed(tmp_path: Path) -> None:
    facts = inspect_dataset(write_images(tmp_path, (28, 30)))
    assert facts.num_classes == 2
    with pytest.raises(ValueError, match=r"Images of 28 x 30 pixels are too small .* enlarge .* to 32 x 32 or more"):
        _ = facts.working_size
