"""Gray images and color images in one folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import monai_umed as mu

SIDES = (40, 48)


def write_mixed(folder: Path, channels: list[int]) -> Path:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    mask = np.zeros(SIDES, np.uint8)
    mask[10:30, 10:39] = 255
    for index, count in enumerate(channels):
        shape = SIDES if count == 1 else (*SIDES, count)
        Image.fromarray(rng.integers(40, 200, shape).astype(np.uint8)).save(folder / "images" / f"{index}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    return folder


@pytest.mark.parametrize("channels", [[1, 1, 1, 3, 4], [3, 4, 3, 3, 1, 1]])
@pytest.mark.parametrize("fitted", [False, True])
def test_a_mixed_folder_is_protected_whole(tmp_path: Path, channels: list[int], fitted: bool) -> None:
    data = write_mixed(tmp_path / "data", channels)
    mu.new_key(tmp_path / "key")
    preset, epochs = ("default", 3) if fitted else ("stamp", None)
    release = mu.protect(
        data,
        tmp_path / "out",
        preset=preset,
        epochs=epochs,
        section="all",
        seal_key=tmp_path / "key",
        progress=False,
    )
    assert release.manifest is not None and len(release.manifest.cases) == len(channels)
    assert release.problems == () and release.manifest.quarantined == []
    most = 1 if channels[0] == 1 else 3
    for record, count in zip(release.manifest.cases, channels, strict=True):
        colors = count - (count == 4)
        assert record.max_abs_delta == 4 and (record.note is None) == (colors == most)
        pictures = (data / record.image, release.protected / record.image)
        before, after = (np.asarray(Image.open(path)).astype(int) for path in pictures)
        if colors == 3 and most == 1:
            change = (after - before)[..., :3]
            assert (change == change[..., :1]).all()
