"""Query images with the tiles of the true key and of decoys in regions of their own.

A key's strength must be measured without favor: all keys get as many regions, of the same strengths, on images, places
and companions that are drawn by lot, and only the plan knows which of them is the owner's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...fitting.pattern_key import key_mark, key_tile
from ...functional.resampling import resize
from ...io.quantize import add_delta
from ...io.stored import StoredImage
from ...protectors import Protector
from ...protectors.tint import Tint, directions
from ...protectors.umed import UMed
from ...sealing.sealed_json import ProofError, subkey

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Region:
    """One tile on one query image.

    Attributes:
        key: number of the key; which one is the owner's, the plan tells.
        strength: amplitude as a fraction of the intensity window.
        box: first and last but one pixel along each axis of the grid.
    """

    key: int
    strength: float
    box: Box


@dataclass(frozen=True)
class Pattern:
    """How a release lays out the pattern of its key.

    Attributes:
        patch: pixels after which it repeats.
        grid: working grid; of volumes that are seen as a whole the native size is taken, and this is None.
        slice_axis: axis along which volumes are taken apart, if they are.
        eps: largest change of a pixel as a fraction of the intensity window.
    """

    patch: int
    grid: tuple[int, ...] | None
    slice_axis: int | None
    eps: float

    def tile_dims(self, shape: Sequence[int]) -> int:
        """How many axes a tile has on an image of this shape: of a volume that is taken apart, those of its slices."""
        return len(self.grid) if self.grid else len(shape) - (self.slice_axis is not None)


def decoy_key(key: bytes, test: int, number: int) -> bytes:
    """The key of a decoy: 256 bits that nobody can tell from those that were drawn for the owner."""
    return subkey(key, f"decoy {test} {number}")


def key_tiles(key: bytes, test: int, keys: int, true_key: int, patch: int, spatial_dims: int) -> np.ndarray:
    """Tiles of all keys, -1 and 1, ``(keys, patch, ...)``."""
    drawn = (key if number == true_key else decoy_key(key, test, number) for number in range(keys))
    return np.stack([key_tile(one, patch, spatial_dims).numpy() for one in drawn])


def alike(tiles: np.ndarray, true_key: int) -> int:
    """How many decoys have the pattern of the true key, shifted or with black and white exchanged.

    No test can tell these apart, so the p-value cannot become smaller than one more than their number allows.
    """
    axes = tuple(range(1, tiles.ndim))
    spectra = np.fft.fftn(tiles, axes=axes)
    overlap = np.fft.ifftn(spectra * np.conj(spectra[true_key]), axes=axes).real
    return int((np.abs(overlap).max(axis=axes) > tiles[0].size - 0.5).sum()) - 1


def cells(label: np.ndarray, side: int, margin: int) -> list[Box]:
    """Squares of the grid, ``side`` pixels wide and ``margin`` apart, which keep off the structure.

    Args:
        label: class numbers on the grid, without channel.
    """
    starts = [
        range(min(margin // 2, max(0, size - side)), max(1, size - side + 1), side + margin) for size in label.shape
    ]
    found: list[Box] = []
    for corner in np.ndindex(*map(len, starts)):
        ends = zip(starts, corner, label.shape, strict=True)
        box = tuple((axis[index], min(axis[index] + side, size)) for axis, index, size in ends)
        if not label[tuple(slice(*ends) for ends in box)].any():
            found.append(box)
    return found


def deal(
    boxes: Sequence[Sequence[Box]], keys: int, strengths: Sequence[float], rng: np.random.Generator
) -> list[tuple[Region, ...]]:
    """Give every key as many regions of every strength, by lot.

    Args:
        boxes: what may be used of each image.
        keys: how many there are, the true one included.
        strengths: amplitudes.
        rng: draws which key goes where.

    Returns:
        The regions of each image; some places stay empty where their number does not come out even.
    """
    places = [(image, box) for image, own in enumerate(boxes) for box in own]
    rounds = len(places) // (keys * len(strengths))
    hands = [(key, strength) for _ in range(rounds) for key in range(keys) for strength in strengths]
    dealt: list[list[Region]] = [[] for _ in boxes]
    for hand, place in zip(rng.permutation(len(hands)), rng.permutation(len(places)), strict=False):
        image, box = places[place]
        key, strength = hands[hand]
        dealt[image].append(Region(key, strength, box))
    return [tuple(own) for own in dealt]


def put(stored: StoredImage, regions: Sequence[Region], tiles: np.ndarray, pattern: Pattern) -> np.ndarray:
    """An image with tiles in its regions, in stored units, rounded as a release would be.

    Args:
        stored: the clean image.
        regions: which tile goes where.
        tiles: of all keys, see :func:`key_tiles`.
        pattern: how they are laid out.
    """
    grid = grid_of(stored.shape, pattern)
    delta = np.zeros(grid, np.float32)
    for region in regions:
        window = tuple(slice(*ends) for ends in region.box)
        axes = [axis for axis in range(len(grid)) if axis != pattern.slice_axis]
        origins = [0 if pattern.grid else (grid[axis] + 1) // 2 for axis in axes]
        places = [
            (np.arange(*region.box[axis]) - origin) % pattern.patch for axis, origin in zip(axes, origins, strict=True)
        ]
        tile = tiles[region.key][np.ix_(*places)]
        if pattern.slice_axis is not None:
            tile = np.expand_dims(tile, pattern.slice_axis)
        delta[window] = region.strength * tile
    native = resize(torch.from_numpy(delta)[None, None], stored.shape)[0].numpy()
    return add_delta(stored, native, np.full_like(native, max(region.strength for region in regions)))


def grid_of(shape: Sequence[int], pattern: Pattern) -> tuple[int, ...]:
    """The grid on which an image of this shape has its tiles; volumes that are cut keep their number of slices."""
    if pattern.grid is None:
        return tuple(shape)
    if pattern.slice_axis is None:
        return pattern.grid
    grid = list(pattern.grid)
    grid.insert(pattern.slice_axis, shape[pattern.slice_axis])
    return tuple(grid)


def pattern_of(protector: Protector, mark: str | None, key_file: str | Path) -> Pattern | None:
    """How a release lays out the pattern of its key; None if it has none.

    Args:
        protector: the fitted protector.
        mark: of the key that its pattern started from, see :func:`monai_umed.fitting.pattern_key.key_mark`.
        key_file: the key that the proof is made with.

    Raises:
        ProofError: If the pattern came from another key.
    """
    if mark is None or not isinstance(protector, UMed):
        return None
    if mark != key_mark(key_file):
        cure = "pass the file of the release's --pattern-key, which must have drawn the reserve as well"
        raise ProofError(f"{key_file}: the release's pattern came from another key; {cure}")
    grid = None if protector.native else tuple(protector.working_size)
    return Pattern(protector.perturbator.patch, grid, protector.slice_axis, protector.eps)


def least_p_of_few(protector: Protector) -> float | None:
    """The least p that a test of the key could give where a key has few choices, as for tints; None for all others.

    Too large to be worth a test: of two directions with two signs each, one in four fits by chance.
    """
    return 1 / (2 * len(directions(protector.in_channels, protector.neutral))) if isinstance(protector, Tint) else None
