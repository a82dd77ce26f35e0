"""Patterns that only the owner of a key can make again, and that differ from one key to the next.

A pattern that is the same for everybody can be learned on other images and taken off. The key decides where the fit
starts; it is no part of what is published, and neither are the generators.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..networks import UMedPerturbator
from ..sealing.keys import derive_key, read_key

BAND = (0.2, 0.37)
"""Cycles per pixel of the pattern: coarse enough for blur and JPEG, fine enough to stand out from anatomy. Patches of
more than :data:`USUAL` pixels are for coarser patterns, with as many waves as one of so many."""

USUAL = 8

_SMALLEST = 4


def key_tile(key: bytes, patch: int, spatial_dims: int) -> torch.Tensor:
    """A tile of black and white that repeats without a seam.

    Args:
        key: 32 secret bytes.
        patch: pixels a side, at least 4. Of the waves within :data:`BAND` 4 x 4 pixels hold 8, 8 x 8 and more hold 16
            for the key to choose from.
        spatial_dims: 2 or 3.

    Returns:
        -1 and 1, shape ``(patch,) * spatial_dims``.

    Raises:
        ValueError: if the patch is too small to leave a choice.
    """
    if patch < _SMALLEST:
        raise ValueError(f"patch is {patch}; a pattern from a key needs at least {_SMALLEST} pixels a side.")
    seed = int.from_bytes(derive_key(key, "pattern 1"), "big")
    noise = np.random.default_rng(seed).standard_normal((patch,) * spatial_dims)
    axes = np.meshgrid(*[np.fft.fftfreq(patch)] * spatial_dims, indexing="ij")
    frequency = np.sqrt(sum(axis**2 for axis in axes))
    frequency *= max(1, patch / USUAL)
    inside = (frequency >= BAND[0]) & (frequency <= BAND[1])
    waves = np.fft.ifftn(np.fft.fftn(noise) * inside).real
    return torch.from_numpy(np.where(waves < 0, -1.0, 1.0)).to(torch.float32)


def start_from_key(perturbator: UMedPerturbator, key_file: str | Path) -> None:
    """Let both generators start from a tile of the key; they must not have started from the checkerboard.

    Args:
        perturbator: new generators with ``checkerboard=False`` and patches of at least 4 pixels a side.
        key_file: see :func:`monai_umed.sealing.keys.new_key`.

    Raises:
        KeyFileError: if the file cannot be used.
        ValueError: if patches are too small.
    """
    tile = key_tile(read_key(key_file), perturbator.patch, perturbator.spatial_dims)
    for generator in (perturbator.contour, perturbator.texture):
        generator.start_from(tile)


def key_number(key_file: str | Path) -> int:
    """A number that only the owner of the key can compute, to choose among tints.

    Raises:
        KeyFileError: if the file cannot be used.
    """
    return int.from_bytes(derive_key(read_key(key_file), "tint 1"), "big")


def key_mark(key_file: str | Path) -> str:
    """Eight digits that tell keys apart in records of a run and say nothing about the pattern.

    Raises:
        KeyFileError: if the file cannot be used.
    """
    return derive_key(read_key(key_file), "key mark 1").hex()[:8]
