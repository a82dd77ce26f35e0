"""Encoded PNG files hold the pixels and the metadata that they were given, in fewer bytes than Pillow's fastest."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from monai_umed.io import png_chunks
from monai_umed.io.png_chunks import PngHeader, read_header
from monai_umed.io.png_encoder import encode
from monai_umed.io.raster import decode_png
from monai_umed.io.source import MemoryFile

# Bit depth, color type and channels of all that is read.
KINDS = [(1, 0, 1), (8, 0, 1), (8, 2, 3), (8, 4, 2), (8, 6, 4), (16, 0, 1), (16, 2, 3), (16, 6, 4)]


def draw(kind: tuple[int, int, int], height: int, width: int, seed: int, smooth: float = 0) -> np.ndarray:
    bits, _, channels = kind
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2**bits, (channels, height, width)).astype("uint16" if bits == 16 else "uint8")
    return ndimage.gaussian_filter(values, (0, smooth, smooth)) if smooth else values


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.sampled_from([0.0, 2.0]))
def test_pixels_come_back(kind: tuple[int, int, int], height: int, width: int, seed: int, smooth: float) -> None:
    array = draw(kind, height, width, seed, smooth)
    content = encode(array, PngHeader(kind[0], kind[1]))
    with Image.open(io.BytesIO(content)) as image:
        image.verify()  # checksums of all chunks
    np.testing.assert_array_equal(decode_png(MemoryFile("a.png", content)).array, array)


def test_equal_pixels_give_equal_bytes() -> None:
    array = draw(KINDS[1], 200, 300, 0)
    assert len({encode(array, PngHeader(8, 0)) for _ in range(20)}) == 1


def test_metadata_stay_before_and_after_the_pixels() -> None:
    text = png_chunks.read_header(_with_pillow(np.zeros((4, 4), np.uint8), dpi=(72, 72)))
    header = PngHeader(8, 0, text.before, text.before)
    assert text.before and read_header(encode(np.zeros((1, 4, 4), np.uint8), header)) == header


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[2], KINDS[5]])
@pytest.mark.parametrize("smooth", [1, 4])
def test_files_are_hardly_larger_than_pillows(kind: tuple[int, int, int], smooth: int) -> None:
    array = draw(kind, 300, 400, 0, smooth)
    pillow = _with_pillow(np.moveaxis(array, 0, -1).squeeze(), compress_level=1)
    assert len(encode(array, PngHeader(kind[0], kind[1]))) <= 1.03 * len(pillow)


def _with_pillow(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()
