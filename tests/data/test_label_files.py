"""Labels with a palette, with few bits per pixel, and with numbers that a slope has bent."""

import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monai_umed.data.case import Case
from monai_umed.data.codec import read_image
from monai_umed.data.labels import read_label
from monai_umed.data.loading import load_case
from monai_umed.io import png_chunks
from monai_umed.io.stored import CodecError

VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
CLASSES = np.arange(24 * 20, dtype=np.uint8).reshape(24, 20) // 7 % 4


def save_palette(path: Path, indices: np.ndarray, colors: list[tuple[int, int, int]], bits: int = 8) -> Path:
    image = Image.fromarray(indices)
    image.putpalette([value for color in colors for value in color])
    image.save(path, bits=bits)
    return path


@pytest.mark.parametrize("name", ["2.png", "4.png", "8.png", "8.bmp"])
def test_a_palette_gives_its_indices(tmp_path: Path, name: str) -> None:
    path = save_palette(tmp_path / name, CLASSES, VOC, bits=int(name[0]))
    np.testing.assert_array_equal(read_label(path)[0], CLASSES)
    with pytest.raises(CodecError, match=r"palette|kind 'P'"):
        read_image(path)


def png_of_bits(path: Path, samples: np.ndarray, bits: int) -> Path:
    """A gray PNG file of few bits, which Pillow writes only with a palette: the palette is taken out."""
    save_palette(path, samples, [(value,) * 3 for value in range(2**bits)], bits=bits)
    content = path.read_bytes()
    chunks = png_chunks._chunks(content)
    head = bytearray(chunks[0][1])
    head[8 + 9] = png_chunks.GRAY
    head[-4:] = struct.pack(">I", zlib.crc32(bytes(head[4:-4])))
    body = b"".join(chunk for name, chunk in chunks[1:] if name != b"PLTE")
    path.write_bytes(png_chunks.SIGNATURE + bytes(head) + body)
    return path


@given(samples=st.lists(st.integers(0, 15), min_size=6, max_size=6), bits=st.sampled_from([1, 2, 4]))
def test_few_bits_give_the_numbers_that_are_stored(
    tmp_path_factory: pytest.TempPathFactory, samples: list[int], bits: int
) -> None:
    values = np.array(samples, np.uint8).reshape(2, 3) % 2**bits
    path = png_of_bits(tmp_path_factory.mktemp("bits") / "a.png", values, bits)
    with Image.open(path) as image:
        assert image.mode == ("1" if bits == 1 else "L")
    np.testing.assert_array_equal(read_label(path)[0], values)


@pytest.mark.parametrize(
    ("grays", "is_read"),
    [((0, 1, 2), True), ((0, 255), True), ((0, 128, 255), True), ((0, 2), False), ((255, 0), False)],
)
def test_grays_of_a_palette_must_not_contradict_its_indices(
    tmp_path: Path, grays: tuple[int, ...], is_read: bool
) -> None:
    indices = CLASSES % len(grays)
    path = save_palette(tmp_path / "a.png", indices, [(gray,) * 3 for gray in grays])
    if is_read:
        np.testing.assert_array_equal(read_label(path)[0], indices)
    else:
        with pytest.raises(CodecError, match=r"index|another order than its indices .*0 is gray"):
            read_label(path)
        Image.open(path).convert("L").save(path)  # the cure
        np.testing.assert_array_equal(read_label(path)[0], np.array(grays)[indices])


def test_a_palette_in_a_case_is_its_classes(tmp_path: Path) -> None:
    gray = np.random.default_rng(0).integers(0, 256, CLASSES.shape).astype(np.uint8)
    Image.fromarray(gray).save(tmp_path / "image.png")
    label = save_palette(tmp_path / "label.png", CLASSES, VOC)
    loaded = load_case(Case("a", tmp_path / "image.png", label), num_classes=4)
    np.testing.assert_array_equal(loaded.label[0], CLASSES)


def test_a_slope_that_bends_whole_numbers_is_followed_to_a_thousandth(tmp_path: Path) -> None:
    label = np.zeros((8, 8, 8))
    label[2:4], label[4:6], label[6:] = 1, 2, 3
    image = nib.Nifti1Image(label, np.eye(4))
    image.set_data_dtype(np.uint8)
    nib.save(image, tmp_path / "a.nii.gz")
    assert (nib.Nifti1Image.from_filename(tmp_path / "a.nii.gz").get_fdata() != label).any()
    np.testing.assert_array_equal(read_label(tmp_path / "a.nii.gz")[0], label)


@given(number=st.integers(0, 255), off=st.floats(-0.02, 0.02))
def test_values_off_by_rounding_are_the_number_and_others_are_refused(
    tmp_path_factory: pytest.TempPathFactory, number: int, off: float
) -> None:
    path = tmp_path_factory.mktemp("off") / "a.nii"
    nib.save(nib.Nifti1Image(np.full((2, 2, 2), number + off), np.eye(4)), path)
    if abs(number + off - number) <= 1e-3:
        assert (read_label(path) == number).all()
    else:
        with pytest.raises(CodecError, match=r"no whole numbers, such as .*; round them"):
            read_label(path)
