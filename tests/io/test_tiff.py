"""TIFF files without some of their pixels, of which readers make different images, are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from monai_umed.data.codec import read_image
from monai_umed.io.stored import CodecError


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tag", ["StripOffsets", "StripByteCounts"])
@pytest.mark.parametrize("rows", [24, 5])
def test_a_missing_strip_is_refused(tmp_path: Path, compression: str | None, tag: str, rows: int) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (24, 20), dtype=np.uint8)
    tifffile.imwrite(path, pixels, compression=compression, rowsperstrip=rows, metadata=None)
    np.testing.assert_array_equal(read_image(path).array[0], pixels)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert isinstance(page, tifffile.TiffPage)
        entry = page.tags[tag]
        place, size = entry.valueoffset, tifffile.DATATYPE(entry.dtype).name
    content = bytearray(path.read_bytes())
    number = {"SHORT": "<H", "LONG": "<I"}[size]
    struct.pack_into(number, content, place, 0)
    path.write_bytes(content)
    with pytest.raises(CodecError, match="strips or tiles of its pixels are missing; fetch it again"):
        read_image(path)
