"""A PNG file whose header names more pixels than it can hold is refused before memory is taken for them."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_umed.data.codec import read_image
from monai_umed.io.stored import CodecError


def test_a_header_that_names_too_many_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(480, dtype=np.uint16).reshape(24, 20)).save(path)
    content = bytearray(path.read_bytes())
    content[20:24] = struct.pack(">I", 8_323_096)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CodecError, match=r"20 x 8323096 pixels, more than its \d+ bytes can hold"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGB", "RGBA"])
def test_an_image_that_deflates_as_far_as_any_is_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.new(mode, (3000, 2000)).save(path, compress_level=9)
    assert read_image(path).shape == (2000, 3000)
