"""What a fit derives from a dataset: dimensions, channels, classes, window; and what it says if that cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_umed.data.case import DatasetError
from monai_umed.data.fingerprint import coarsest_axis, inspect_dataset, window_size


def write_image(folder: Path, shape: tuple[int, ...], foreground: tuple[int, ...] = (255,)) -> Path:
    """One case, a PNG or a NIfTI volume by its shape, whose mask holds a line of each value."""
    volume = len(shape) == 3 and shape[-1] != 3
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    mask = np.zeros(shape if volume else shape[:2], np.uint8)
    for row, value in enumerate(foreground):
        mask[row + 4] = value
    for kind, array in (("images", pixels), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        if volume:
            nib.Nifti1Image(array, np.eye(4)).to_filename(folder / kind / "a.nii.gz")
        else:
            Image.fromarray(array).save(folder / kind / "a.png")
    return folder


@pytest.mark.parametrize(
    ("shape", "foreground", "expected"),
    [
        ((40, 50), (255,), (2, False, 1, 2, (128, 128))),
        ((40, 50, 3), (1, 2), (2, False, 3, 3, (128, 128))),
        ((40, 50), (128, 255), (2, False, 1, 2, (128, 128))),
        ((30, 50, 20), (1, 2, 4), (3, True, 1, 5, (32, 64, 32))),
        ((200, 20, 17), (1,), (3, True, 1, 2, (96, 32, 32))),
    ],
)
def test_a_dataset_tells_what_a_fit_needs(
    tmp_path: Path, shape: tuple[int, ...], foreground: tuple[int, ...], expected: tuple
) -> None:
    facts = inspect_dataset(write_image(tmp_path, shape, foreground))
    assert (facts.spatial_dims, facts.volumes, facts.in_channels, facts.num_classes, facts.grid) == expected


def test_slices_of_volumes_are_images_of_their_own_size(tmp_path: Path) -> None:
    facts = inspect_dataset(write_image(tmp_path, (30, 50, 20)), slice_axis=1)
    assert (facts.spatial_dims, facts.volumes, facts.grid) == (2, True, (32, 32))


@pytest.mark.parametrize(
    ("spacings", "axis"),
    [([(1, 1, 1)], 2), ([(1, 1, 5)], 2), ([(3, 1, 1)], 0), ([(1, 1.0001, 1)], 2), ([(1, 4, 4), (1, 8, 4)], 1)],
)
def test_slices_are_cut_where_voxels_are_longest(spacings: list[tuple[float, ...]], axis: int) -> None:
    assert coarsest_axis(spacings) == axis


def test_volumes_are_cut_only_if_nothing_else_is_said(tmp_path: Path) -> None:
    folder = write_image(tmp_path / "volumes", (30, 50, 20))
    assert inspect_dataset(folder, cut=True).slice_axis == 2
    assert inspect_dataset(folder, slice_axis=0, cut=True).slice_axis == 0
    assert inspect_dataset(folder, spatial_dims=3, cut=True).slice_axis is None
    assert inspect_dataset(folder).slice_axis is None
    assert inspect_dataset(write_image(tmp_path / "images", (30, 50)), cut=True).slice_axis is None


def test_windows_are_as_large_as_the_largest_volume_within_limits() -> None:
    assert window_size([(10, 33, 90), (20, 30, 400)]) == (32, 48, 96)
    assert window_size([(10, 400)]) == (16, 256)


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((30, 50), {"slice_axis": 1}, "holds images; leave it out"),
        ((30, 50), {"spatial_dims": 3}, "is 2D; leave it out"),
        ((30, 50, 20), {"spatial_dims": 2}, "give slice_axis"),
    ],
)
def test_what_the_caller_expects_must_be_so(
    tmp_path: Path, shape: tuple[int, ...], arguments: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        inspect_dataset(write_image(tmp_path, shape), **arguments)


def test_damaged_images_do_not_decide(tiny_phantom: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny_phantom, folder)
    images = sorted((folder / "images").iterdir())
    images[0].write_bytes(b"no image")
    assert inspect_dataset(folder).in_channels == 1
    for image in images:
        image.write_bytes(b"no image")
    with pytest.raises(DatasetError, match=f"{len(images)} problems"):
        inspect_dataset(folder)


def write_masks(folder: Path, masks: Sequence[tuple[int, ...]]) -> Path:
    """One image for each tuple of values, whose mask holds a line of each."""
    for index, values in enumerate(masks):
        write_image(folder / "one", (40, 50), values)
        for kind in ("images", "masks"):
            (folder / kind).mkdir(exist_ok=True)
            (folder / "one" / kind / "a.png").rename(folder / kind / f"{index:03}.png")
    shutil.rmtree(folder / "one")
    return folder


@pytest.mark.parametrize("place", [0, 1, 19, 39])
def test_a_class_that_one_file_of_forty_has_is_found(tmp_path: Path, place: int) -> None:
    masks: list[tuple[int, ...]] = [(1, 2)] * 40
    masks[place] = (1, 2, 3)
    for section in ("train", "test", "all"):
        assert inspect_dataset(write_masks(tmp_path / section, masks), section).num_classes == 4


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([(1,), (255,), (255,)], 2),
        ([(2,), (255,), (255,)], 2),
        ([(1, 2), (1,), (255,)], 3),
        ([(), (), (255,)], 2),
    ],
)
def test_most_masks_decide_whether_values_are_class_numbers(
    tmp_path: Path, masks: list[tuple[int, ...]], expected: int
) -> None:
    assert inspect_dataset(write_masks(tmp_path, masks)).num_classes == expected


def test_labels_that_cannot_be_read_do_not_decide(tmp_path: Path) -> None:
    folder = write_masks(tmp_path, [(1, 2), (1, 2), (1, 5)])
    (folder / "masks" / "002.png").write_bytes(b"no mask")
    assert inspect_dataset(folder).num_classes == 3
