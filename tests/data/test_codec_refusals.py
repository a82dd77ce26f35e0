"""What cannot be read or written without loss is refused by name, with reason and cure; failed writes leave nothing."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from monai_umed.data.codec import read_image, write_image
from monai_umed.data.labels import read_label
from monai_umed.io.stored import CodecError

COLOR = np.random.default_rng(0).integers(0, 256, (24, 20, 4)).astype(np.uint8)
GRAY = COLOR[..., 0].copy()
DEEP = SimpleITK.GetImageFromArray(COLOR[..., :3].astype(np.uint16) * 257, isVector=True)

SAVERS: dict[str, Callable[[Path], object]] = {
    "gray (1).png": lambda path: Image.fromarray(GRAY).save(path),
    "deep.png": lambda path: SimpleITK.WriteImage(DEEP, str(path)),
    "color.jpg": lambda path: Image.fromarray(COLOR[..., :3]).save(path),
    "color.bmp": lambda path: Image.fromarray(COLOR[..., :3]).save(path),
    "plain.tif": lambda path: tifffile.imwrite(path, COLOR[..., :3], photometric="rgb"),
    "lzw.tif": lambda path: Image.fromarray(GRAY).save(path, compression="tiff_lzw"),
    "short.nii": lambda path: nib.Nifti1Image(GRAY[..., None], np.eye(4)).to_filename(path),
    "float.nii.gz": lambda path: nib.Nifti1Image(GRAY[..., None].astype(np.float32), np.eye(4)).to_filename(path),
}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("a.jpg", "compression would erase the perturbation; write to a.png"),
        ("a.nii.gz", "a png image cannot be written as .nii.gz"),
        ("a.webp", "cannot be written as .webp"),
    ],
)
def test_targets_that_would_lose_something_are_refused(tmp_path: Path, target: str, reason: str) -> None:
    Image.fromarray(GRAY).save(tmp_path / "source.png")
    stored = read_image(tmp_path / "source.png")
    with pytest.raises(CodecError, match=reason):
        write_image(tmp_path / target, stored.array, stored)
    with pytest.raises(CodecError, match=r"array is int64 \(1, 24, 20\), its source is uint8"):
        write_image(tmp_path / "b.png", stored.array.astype(np.int64), stored)
    assert list(tmp_path.iterdir()) == [tmp_path / "source.png"]


@pytest.mark.parametrize(("owner", "step"), [(os, "fsync"), (Path, "replace")], ids=["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GRAY).save(path)
    before = path.read_bytes()
    stored = read_image(path)

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_image(path, 255 - stored.array, stored)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.95])
def test_truncated_files_are_refused_by_name(tmp_path: Path, name: str, share: float) -> None:
    SAVERS[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CodecError, match=f"^{re.escape(name)}: .*; "):
        read_image(tmp_path / name)


def test_unreadable_and_unsupported_files_are_refused_with_a_cure(tmp_path: Path) -> None:
    gray = Image.fromarray(GRAY)
    gray.convert("P").save(tmp_path / "palette.png")
    gray.quantize(4).save(tmp_path / "palette.bmp")
    gray.save(tmp_path / "animated.png", save_all=True, append_images=[Image.fromarray(255 - GRAY)])
    Image.fromarray(COLOR, "CMYK").save(tmp_path / "cmyk.jpg")
    (tmp_path / "text.png").write_text("not a picture")
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([GRAY] * 5), photometric="minisblack")
    tifffile.imwrite(tmp_path / "float.tif", GRAY.astype(np.float32), photometric="minisblack")
    tifffile.imwrite(tmp_path / "inverted.tif", GRAY, photometric="miniswhite")
    gray.save(tmp_path / "lossy.tif", compression="jpeg")
    nib.Nifti1Image(np.zeros((4, 4, 4, 2, 3), np.int16), np.eye(4)).to_filename(tmp_path / "channels.nii.gz")
    nib.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4)).to_filename(tmp_path / "complex.nii.gz")
    nib.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4), dtype="int64").to_filename(tmp_path / "long.nii.gz")
    reasons = {
        "palette.png": "palette; convert it to 8-bit gray or RGB",
        "palette.bmp": "kind 'P'",
        "animated.png": "animated",
        "cmyk.jpg": "kind 'CMYK'",
        "text.png": "not a PNG file",
        "pages.tif": "5 pages; store each page",
        "float.tif": "32 bits per sample of type float32",
        "inverted.tif": "MINISWHITE",
        "lossy.tif": "lossy compression",
        "channels.nii.gz": r"shape \(4, 4, 4, 2, 3\)",
        "complex.nii.gz": "voxels of type complex64",
        "long.nii.gz": "voxels of type int64; save it as int16",
        "scan.webp": "unknown file ending '.webp'; convert it to one of .png",
        "missing.png": "does not exist",
    }
    for name, reason in reasons.items():
        with pytest.raises(CodecError, match=reason):
            read_image(tmp_path / name)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gray (1).png", "deep.png", "color.jpg", "plain.tif"):
        SAVERS[name](tmp_path / name)
        with monkeypatch.context() as patch:
            patch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
            with pytest.raises(CodecError, match=r"DecompressionBombError|20 x 24 pixels, must be <= 200"):
                read_image(tmp_path / name)


@pytest.mark.parametrize("value", [0.5, np.nan, 1e30])
def test_labels_that_are_no_whole_numbers_are_refused(tmp_path: Path, value: float) -> None:
    nib.Nifti1Image(np.full((4, 4, 4), value, np.float32), np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    with pytest.raises(CodecError, match="no whole numbers"):
        read_label(tmp_path / "a.nii.gz")


def test_labels_with_different_channels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(COLOR[..., :3]).save(tmp_path / "a.png")
    with pytest.raises(CodecError, match="color channels of the mask differ"):
        read_label(tmp_path / "a.png")
