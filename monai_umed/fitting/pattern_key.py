"""Patterns that differ between keys and that only the owner of a key can reproduce.

A pattern that is the same for everybody can be learned on other images and removed. The key determines where the fit
starts; neither the key nor the generators are published.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..networks import UMedPerturbator
from ..sealing.keys import derive_key, read_key

BAND = (0.2, 0.37)
"""Frequencies of the pattern in cycles per pixel: coarse enough for blur and JPEG, fine enough to differ from anatomy.
Patches of more than :data:`USUAL` pixels have coarser patterns, as many waves per patch as one of that size."""

USUAL = 8

_SMALLEST = 4


def key_tile(key: bytes, patch: int, spatial_dims: int) -> torch.Tensor:
    """Draw a tile of black and white that repeats without a seam.

    Args:
        key: 32 secret bytes.
        patch: pixels a side, at least 4. The key chooses from 8 waves within :data:`BAND` for 4 x 4 pixels, from 16
            for 8 x 8 and more.
        spatial_dims: 2 or 3.

    Returns:
        A tensor of -1 and 1, shape ``(patch,) * spatial_dims``.

    Raises:
        ValueError: If the patch is too small to leave a choice.
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
    """Let both generators start from the tile of a key instead of the checkerboard.

    Args:
        perturbator: new generators with ``checkerboard=False`` and patches of at least 4 pixels a side.
        key_file: see :func:`monai_umed.sealing.keys.new_key`.

    Raises:
        KeyFileError: If the file cannot be used.
        ValueError: If patches are too small.
    """
    tile = key_tile(read_key(key_file), perturbator.patch, perturbator.spatial_dims)
    for generator in (perturbator.contour, perturbator.texture):
        generator.start_from(tile)


def key_number(key_file: str | Path) -> int:
    """Return a number that only the owner of the key can compute, to choose among tints.

    Raises:
        KeyFileError: If the file cannot be used.
    """
    return int.from_bytes(derive_key(read_key(key_file), "tint 1"), "big")


def key_mark(key_file: str | Path) -> str:
    """Return eight digits that distinguish keys in records of a run without revealing the pattern.

    Raises:
        KeyFileError: If the file cannot be used.
    """
    return derive_key(read_key(key_file), "key mark 1").hex()[:8]
