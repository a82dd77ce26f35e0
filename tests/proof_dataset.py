"""A small dataset for proofs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

SIZE, COUNT = 48, 24


def small_dataset(folder: Path) -> Path:
    """Bright ellipses on smooth noise."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for index in range(COUNT):
        center, radii = rng.uniform(14, SIZE - 14, 2), rng.uniform(5, 9, 2)
        mask = ((rows - center[0]) / radii[0]) ** 2 + ((columns - center[1]) / radii[1]) ** 2 < 1
        texture = gaussian_filter(rng.normal(size=mask.shape), 2)
        image = 100 + 30 * mask + 20 * texture / texture.std()
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"scan_{index:02}.png")
        Image.fromarray((255 * mask).astype(np.uint8)).save(folder / "masks" / f"scan_{index:02}.png")
    return folder
