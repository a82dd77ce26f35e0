"""Flags of MetaImage headers mean what ITK takes them for, or the file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_umed.data.codec import read_image
from monai_umed.io.stored import CodecError

VOXELS = np.random.default_rng(0).integers(-2000, 2000, (8, 9, 10), dtype=np.int16)


def write(path: Path, sign: str = " = ", **fields: str | None) -> Path:
    """A compressed volume with other values, or further fields, in its header; without a field for None."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), path, useCompression=True)
    content = path.read_bytes()
    end = content.index(b"ElementDataFile")
    lines = [line for line in content[:end].splitlines() if line.split()[0].decode() not in fields]
    lines[2:2] = [f"{name}{sign}{value}".encode() for name, value in fields.items() if value is not None]
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
    with pytest.raises(CodecError, match=f"{field} is '{value}', must be True or False"):
        read_image(path)


def test_two_byte_orders_that_differ_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", BinaryDataByteOrderMSB="False", ElementByteOrderMSB="True")
    with pytest.raises(CodecError, match="two byte orders that differ; save it again"):
        read_image(path)


@pytest.mark.parametrize("sign", ["=", "\t=\t", ":", " : "])
@pytest.mark.parametrize("name", ["BinaryDataByteOrderMSB", " BinaryDataByteOrderMSB", "binarydatabyteordermsb"])
def test_a_field_is_seen_where_itk_sees_it(tmp_path: Path, name: str, sign: str) -> None:
    path = write(tmp_path / "a.mha", sign, **{"BinaryDataByteOrderMSB": None, name: "True"})
    seen = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    np.testing.assert_array_equal(read_image(path).array[0], seen.T)
    path = write(tmp_path / "b.mha", sign, **{name.replace("BinaryDataByteOrderMSB", "HeaderSize"): "10"})
    if name.islower():
        return
    with pytest.raises(CodecError, match="after a header of their own"):
        read_image(path)


@pytest.mark.parametrize("size", ["0", "1", "5", "1000000", "-1", "nan", "1e3", None])
def test_a_size_of_packed_voxels_that_is_not_theirs_is_refused_and_the_cure_works(
    tmp_path: Path, size: str | None
) -> None:
    whole = write(tmp_path / "whole.mha")
    path = write(tmp_path / "a.mha", CompressedDataSize=size)
    with pytest.raises(CodecError, match=f"CompressedDataSize is {size or 'missing'}, and") as error:
        read_image(path)
    cured = write(tmp_path / "a.mha", CompressedDataSize=str(error.value).rsplit("= ", 1)[1].split()[0])
    np.testing.assert_array_equal(read_image(cured).array, read_image(whole).array)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(cured)), VOXELS)


def test_a_line_that_is_no_field_is_refused_because_it_hides_the_next(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", BinaryDataByteOrderMSB="True")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"BinaryDataByteOrderMSB", b"# x\nBinaryDataByteOrderMSB"))
    seen = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    assert (seen == VOXELS).all()  # the order of bytes is lost
    with pytest.raises(CodecError, match="a line that is no field: '# x'; remove that line"):
        read_image(path)
    path.write_bytes(content.replace(b"ObjectType", b"\nMy Key|1 = x\nObjectType"))
    np.testing.assert_array_equal(read_image(path).array[0].T, VOXELS.byteswap())
