"""Tiles of many keys: dealt without favor, laid out as the release lays its pattern out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from monai_umed.evaluation.proof.tiles import (
    Pattern,
    Region,
    alike,
    cells,
    deal,
    grid_of,
    key_tiles,
    least_p_of_few,
    put,
)
from monai_umed.fitting.pattern_key import key_tile
from monai_umed.io.stored import StoredImage
from monai_umed.protectors.stamps import ConstantStamp
from monai_umed.protectors.tint import Tint

KEY = bytes(range(32))
PATTERN = Pattern(patch=8, grid=(64, 64), slice_axis=None, eps=4 / 255)


def test_every_key_gets_as_many_regions_of_every_strength() -> None:
    label = np.zeros((64, 64))
    label[20:40, 20:40] = 1
    boxes = [cells(label, 12, 4) for _ in range(30)]
    dealt = deal(boxes, 20, (0.1, 0.2), np.random.default_rng(0))
    count = Counter((region.key, region.strength) for regions in dealt for region in regions)
    assert len(count) == 40 and len(set(count.values())) == 1
    assert all(len({region.box for region in regions}) == len(regions) for regions in dealt)


def test_regions_keep_off_the_structure_and_off_each_other() -> None:
    label = np.zeros((64, 48))
    label[20:40, 20:40] = 1
    boxes = cells(label, 12, 4)
    covered = np.zeros(label.shape, int)
    for box in boxes:
        covered[tuple(slice(*ends) for ends in box)] += 1
    assert boxes and covered.max() == 1 and not covered[label > 0].any()


def test_the_true_tile_is_that_of_the_release_and_decoys_are_others() -> None:
    tiles = key_tiles(KEY, 1, 50, 7, 8, 2)
    assert np.array_equal(tiles[7], key_tile(KEY, 8, 2).numpy())
    assert not (tiles[:7] == tiles[7]).all((1, 2)).any()
    assert not np.array_equal(tiles[0], key_tiles(KEY, 2, 50, 7, 8, 2)[0])  # every test has decoys of its own


def test_decoys_that_nobody_can_tell_from_the_true_key_are_counted() -> None:
    tiles = np.stack([key_tile(bytes([n] * 32), 8, 2).numpy() for n in range(4)])
    assert alike(tiles, 0) == 0
    same = np.concatenate([tiles, np.roll(tiles[:1], (3, 5), (1, 2)), -tiles[:1]])
    assert alike(same, 0) == 2


@pytest.mark.parametrize("shape", [(64, 64), (150, 90)])
def test_tiles_lie_where_they_should_and_nowhere_else(shape: tuple[int, int]) -> None:
    stored = StoredImage(np.full((1, *shape), 100, np.uint8), (0, 255))
    tiles = key_tiles(KEY, 1, 3, 1, 8, 2)
    array = put(stored, [Region(1, 8 / 255, ((16, 32), (24, 40)))], tiles, PATTERN)
    change = array[0].astype(int) - 100
    assert np.abs(change).max() == 8
    rows, columns = np.nonzero(change)
    scale = np.array(shape) / 64
    assert rows.min() >= 16 * scale[0] - 3 and rows.max() <= 32 * scale[0] + 3
    assert columns.min() >= 24 * scale[1] - 3 and columns.max() <= 40 * scale[1] + 3
    if shape == (64, 64):
        assert np.array_equal(change[16:24, 24:32], 8 * tiles[1])


@pytest.mark.parametrize("grid", [(32, 32), None], ids=["on a grid", "in native windows"])
def test_slices_of_volumes_carry_the_same_tile(grid: tuple[int, int] | None) -> None:
    pattern = Pattern(patch=8, grid=grid, slice_axis=2, eps=4 / 255)
    assert grid_of((40, 40, 5), pattern) == (*(grid or (40, 40)), 5)
    stored = StoredImage(np.full((1, 32, 32, 5), 100, np.int16), (0, 255))
    tiles = key_tiles(KEY, 1, 2, 0, 8, pattern.tile_dims((32, 32, 5)))
    array = put(stored, [Region(0, 8 / 255, ((8, 24), (8, 24), (0, 5)))], tiles, pattern)
    assert (array[..., 0] != 100).any() and (array == array[..., :1]).all()


def test_whole_volumes_have_the_pattern_of_the_middle() -> None:
    pattern = Pattern(patch=4, grid=None, slice_axis=None, eps=4 / 255)
    stored = StoredImage(np.full((1, 18, 20, 16), 100, np.int16), (0, 255))
    tiles = key_tiles(KEY, 1, 2, 0, 4, 3)
    array = put(stored, [Region(0, 8 / 255, ((9, 13), (10, 14), (8, 12)))], tiles, pattern)
    assert np.array_equal(array[0, 9:13, 10:14, 8:12] - 100, 8 * tiles[0])
    assert torch.count_nonzero(torch.from_numpy(array - 100)) == 64


def test_a_tint_says_how_small_the_p_of_its_key_could_get() -> None:
    assert least_p_of_few(Tint(2, 3, eps=4 / 255)) == 1 / 8
    assert least_p_of_few(Tint(2, 3, eps=4 / 255, neutral=True)) == 1 / 4
    assert least_p_of_few(ConstantStamp(2, 3, eps=4 / 255)) is None
