"""Images that are stored turned: refused by name, because their mask may have been drawn on what viewers show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from monai_umed.data.case import Case, CaseError
from monai_umed.data.codec import read_image
from monai_umed.data.labels import read_label
from monai_umed.data.loading import load_case
from monai_umed.io.stored import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20), dtype=np.uint8)
COLOR = np.repeat(PIXELS[..., None], 3, axis=2)


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[274] = orientation
    return found


def save_late_png(path: Path, orientation: int) -> None:
    """The chunk after the pixels, where it may be as well."""
    Image.fromarray(PIXELS).save(path, exif=exif(orientation))
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    path.write_bytes(content[:start] + content[end:-12] + content[start:end] + content[-12:])


SAVERS: dict[str, Callable[[Path, int], object]] = {
    "gray.jpg": lambda path, turn: Image.fromarray(PIXELS).save(path, exif=exif(turn)),
    "color.jpeg": lambda path, turn: Image.fromarray(COLOR).save(path, exif=exif(turn)),
    "gray.png": lambda path, turn: Image.fromarray(PIXELS).save(path, exif=exif(turn)),
    "late.png": save_late_png,
    "gray.tif": lambda path, turn: tifffile.imwrite(path, PIXELS, extratags=[(274, "H", 1, turn, True)]),
    "lzw.tiff": lambda path, turn: Image.fromarray(COLOR).save(path, compression="tiff_lzw", tiffinfo={274: turn}),
}


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("turn", range(2, 9))
def test_turned_images_and_masks_are_refused_by_name_with_tag_and_value(tmp_path: Path, name: str, turn: int) -> None:
    SAVERS[name](tmp_path / name, turn)
    for read in (read_image, read_label):
        with pytest.raises(CodecError, match=rf"^{name}: its tag Orientation \(274\) is {turn}, must be 1: .*PIL"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "turn"), [(name, turn) for name in SAVERS for turn in (0, 1, 9) if turn == 1 or name != "lzw.tiff"]
)
def test_upright_images_and_values_that_mean_nothing_are_read(tmp_path: Path, name: str, turn: int) -> None:
    SAVERS[name](tmp_path / name, turn)
    assert read_image(tmp_path / name).shape == (24, 20)


@pytest.mark.parametrize("turn", [3, 6])
@pytest.mark.parametrize("drawn_on_stored", [False, True])
def test_the_cure_puts_image_and_mask_on_one_grid(tmp_path: Path, turn: int, drawn_on_stored: bool) -> None:
    stored = np.full((24, 20), 60, np.uint8)
    stored[2:9, 3:7] = 200
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif(turn), quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        upright = ImageOps.exif_transpose(image)
    drawn = Image.fromarray(np.where(stored > 130, 255, 0).astype(np.uint8))
    mask = drawn if drawn_on_stored else Image.fromarray(np.where(np.asarray(upright) > 130, 255, 0).astype(np.uint8))
    mask.save(tmp_path / "mask.png")
    case = Case("a", tmp_path / "a.jpg", tmp_path / "mask.png")
    with pytest.raises(CaseError, match="must be 1"):
        load_case(case)

    upright.save(tmp_path / "a.png")
    if drawn_on_stored:
        mask.getexif()[274] = turn
        ImageOps.exif_transpose(mask).save(tmp_path / "mask.png")
    loaded = load_case(Case("a", tmp_path / "a.png", tmp_path / "mask.png"))
    np.testing.assert_array_equal(loaded.label[0] > 0, loaded.stored.array[0] > 130)
