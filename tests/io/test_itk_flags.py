"""Flags of MetaImage headers mean what ITK takes them for, or the file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_umed.data.codec import read_image
from monai_umed.io.stored import CodecError

VOXELS = np.random.default_rng(0).integers(-2000, 2000, (8, 9, 10), dtype=np.int16)


def write(path: Path, **fields: str) -> Path:
    """A compressed volume with other values, or further fields, in its header."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), path, useCompression=True)
    content = path.read_bytes()
    end = content.index(b"ElementDataFile")
    lines = [line for line in content[:end].splitlines() if line.split()[0].decode() not in fields]
    lines[2:2] = [f"{name} = {value}".encode() for name, value in fields.items()]
    path.write_bytes(b"\n".join(lines) + b"\n" + content[end:])
    return path


@pytest.mark.parametrize("value", ["True", "true", "1", "False", "false", "0"])
def test_bytes_are_in_the_order_in_which_itk_takes_them(tmp_path: Path, value: str) -> None:
    path = write(tmp_path / "a.mha", BinaryDataByteOrderMSB=value)
    seen = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    np.testing.assert_array_equal(read_image(path).array[0], seen.T)


@pytest.mark.parametrize("value", ["16", "-1", "nan", "yes", "T", "10000"])
@pytest.mark.parametrize("field", ["BinaryData", "CompressedData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
def test_a_flag_that_is_neither_true_nor_false_is_refused(tmp_path: Path, field: str, value: str) -> None:
    path = write(tmp_path / "a.mha", **{field: value})
    with pytest.raises(CodecError, match=f"{field.lower()} is '{value}', must be True or False"):
        read_image(path)


def test_two_byte_orders_that_differ_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", BinaryDataByteOrderMSB="False", ElementByteOrderMSB="True")
    with pytest.raises(CodecError, match="two byte orders that differ; save it again"):
        read_image(path)
