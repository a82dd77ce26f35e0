"""Patterns from keys: the same key gives the same pattern, another key another one, and records tell nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.fitting.pattern_key import BAND, key_mark, key_tile, start_from_key
from monai_umed.networks import UMedPerturbator
from monai_umed.sealing.keys import KeyFileError, new_key


@settings(max_examples=40, deadline=None)
@given(key=st.binary(min_size=32, max_size=32), patch=st.sampled_from([4, 8, 16]), dims=st.sampled_from([2, 3]))
def test_a_tile_is_black_and_white_and_the_same_for_the_same_key(key: bytes, patch: int, dims: int) -> None:
    tile = key_tile(key, patch, dims)
    assert tile.shape == (patch,) * dims
    assert set(tile.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(tile, key_tile(key, patch, dims))


def test_keys_that_differ_in_one_bit_have_nothing_in_common() -> None:
    first, second = key_tile(bytes(32), 8, 2), key_tile(bytes(31) + b"\x01", 8, 2)
    assert (first * second).mean().abs() < 0.6


@pytest.mark.parametrize(("patch", "coarser"), [(8, 1), (16, 2)])
def test_most_of_a_tile_lies_in_the_band_that_survives_filters(patch: int, coarser: int) -> None:
    shares = []
    for number in range(50):
        power = torch.fft.fft2(key_tile(number.to_bytes(32, "big"), patch, 2)).abs() ** 2
        axes = torch.meshgrid(torch.fft.fftfreq(patch), torch.fft.fftfreq(patch), indexing="ij")
        frequency = coarser * torch.hypot(*axes)
        inside = (frequency >= BAND[0]) & (frequency <= BAND[1])
        shares.append((power[inside].sum() / power.sum()).item())
    assert sum(shares) / len(shares) > 0.65  # black and white has harmonics as well


def test_a_patch_without_a_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="patch is 2"):
        key_tile(bytes(32), 2, 2)


def test_generators_start_from_the_keys_pattern_and_strangers_from_another(tmp_path: Path) -> None:
    noises = []
    for name in ("mine", "theirs"):
        new_key(tmp_path / name)
        torch.manual_seed(0)
        perturbator = UMedPerturbator(2, 1, features=(4, 8), patch=8, checkerboard=False)
        start_from_key(perturbator, tmp_path / name)
        with torch.no_grad():
            noises.append(perturbator(torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))).tanh())
    alike = torch.corrcoef(torch.stack([noise.flatten() for noise in noises]))[0, 1]
    assert noises[0].abs().mean() > 0.8
    assert alike.abs() < 0.6
    # Both generators repeat one tile, so the contour and what it encloses are one pattern.
    contour, texture = noises[0].chunk(2, dim=1)
    assert ((contour > 0) == (texture > 0)).float().mean() > 0.9


def test_the_mark_tells_keys_apart_and_is_no_part_of_them(tmp_path: Path) -> None:
    keys = [new_key(tmp_path / name) for name in ("one", "two")]
    marks = [key_mark(tmp_path / name) for name in ("one", "two")]
    assert marks[0] != marks[1] and marks[0] == key_mark(tmp_path / "one")
    assert all(mark not in key.hex() for mark, key in zip(marks, keys, strict=True))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="nowhere"):
        key_mark(tmp_path / "nowhere")
