"""NRRD and MetaImage files come back byte by byte but for the voxels, in the axis order of NIfTI."""

import gzip
from collections.abc import Callable
from pathlib import Path

import itk
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monai_umed.io.itk_image import ItkHeader, decode_mha, decode_nrrd, encode_mha, encode_nrrd
from monai_umed.io.quantize import add_delta
from monai_umed.io.stored import CodecError, Decoded, StoredImage

VALUES = np.random.default_rng(0).integers(0, 128, (7, 8, 9))
DTYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
CODECS: dict[str, tuple[Callable[[Path], Decoded], Callable[[np.ndarray, ItkHeader, int], bytes]]] = {
    ".nrrd": (decode_nrrd, encode_nrrd),
    ".mha": (decode_mha, encode_mha),
}
NRRD_RAS = """NRRD0005
# a comment: kept
type: unsigned short
dimension: 3
space: right-anterior-superior
sizes: 7 8 9
space directions: (0,0.7,0) (-0.5,0,0) (0,0,2.5)
kinds: domain domain domain
endian: big
encoding: raw
space origin: (1.5,-2,3)
measurement frame: (1,0,0) (0,1,0) (0,0,1)
Scanner Name:=five: the last one

"""
MHA_ODD = """ObjectType = Image
NDims = 3
Comment = left breast, 12 o'clock
BinaryData = True
BinaryDataByteOrderMSB = True
CompressedData = False
TransformMatrix = 0 -1 0 1 0 0 0 0 1
Offset = 0.25 -200.5 3
CenterOfRotation = 4 5 6
AnatomicalOrientation = PRI
ElementSpacing = 0.7 0.8 2.5
Scanner = five of them
DimSize = 7 8 9
ElementType = MET_USHORT
ElementDataFile = LOCAL
"""


def save(path: Path, dtype: str = "int16", compressed: bool = False, shape: tuple[int, ...] = (7, 8, 9)) -> Path:
    values = VALUES.astype(dtype).transpose(2, 1, 0) if len(shape) == 3 else VALUES[..., 0].astype(dtype).T
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values))
    image.SetSpacing((0.7, 1 / 3, 2.5)[: len(shape)])
    image.SetOrigin((1 / 3, -200.123456789, 3)[: len(shape)])
    image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1) if len(shape) == 3 else (0, 1, -1, 0))
    image.SetMetaData("modality", "CT")
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)
    return path


def save_text(path: Path, header: str) -> Path:
    path.write_bytes(header.encode() + VALUES.astype(">u2").tobytes(order="F"))
    return path


def stored(decoded: Decoded) -> StoredImage:
    return StoredImage(decoded.array, (10.0, 110.0), decoded.spacing, format=decoded.format, header=decoded.header)


def geometry(path: Path) -> object:
    image = SimpleITK.ReadImage(str(path))
    keys = sorted(image.GetMetaDataKeys())
    values = [(key, image.GetMetaData(key)) for key in keys]
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection(), image.GetPixelID(), values


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
@pytest.mark.parametrize("shape", [(7, 8, 9), (7, 8)], ids=["3D", "2D"])
def test_zero_delta_round_trip_keeps_voxels_geometry_and_metadata(
    tmp_path: Path, suffix: str, dtype: str, compressed: bool, shape: tuple[int, ...]
) -> None:
    decode, encode = CODECS[suffix]
    source, target = save(tmp_path / f"a{suffix}", dtype, compressed, shape), tmp_path / f"b{suffix}"
    decoded = decode(source)
    assert decoded.array.shape == (1, *shape) and decoded.array.dtype == dtype and decoded.array.dtype.isnative
    np.testing.assert_array_equal(decoded.array[0], VALUES.astype(dtype) if len(shape) == 3 else VALUES[..., 0])
    image = stored(decoded)
    zeros = np.zeros(image.array.shape, np.float32)
    target.write_bytes(encode(add_delta(image, zeros, zeros + 8 / 255), decoded.header, 6))
    assert geometry(target) == geometry(source)
    np.testing.assert_array_equal(decode(target).array, decoded.array)
    if not compressed:
        assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
def test_a_perturbation_is_read_back_exactly_by_three_libraries(
    tmp_path: Path, suffix: str, dtype: str, compressed: bool
) -> None:
    decode, encode = CODECS[suffix]
    source, target = save(tmp_path / f"a{suffix}", dtype, compressed), tmp_path / f"b{suffix}"
    image = stored(decode(source))
    delta = np.random.default_rng(1).uniform(-0.05, 0.05, image.array.shape).astype(np.float32)
    perturbed = add_delta(image, delta, np.full_like(delta, 0.04))
    assert (perturbed != image.array).any()
    target.write_bytes(encode(perturbed, image.header, 1))
    np.testing.assert_array_equal(decode(target).array, perturbed)
    again = SimpleITK.ReadImage(str(target))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(again).transpose(2, 1, 0), perturbed[0])
    if dtype != "int8":  # itk's Python wheels have no such image
        np.testing.assert_array_equal(np.asarray(itk.imread(str(target))).transpose(2, 1, 0), perturbed[0])
    assert geometry(target) == geometry(source)
    assert encode(perturbed, image.header, 1) == target.read_bytes()


@pytest.mark.parametrize(("name", "header"), [("a.nrrd", NRRD_RAS), ("a.mha", MHA_ODD)])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_fields_that_itk_would_drop_or_convert_are_kept(tmp_path: Path, name: str, header: str, newline: str) -> None:
    source = save_text(tmp_path / name, header.replace("\n", newline))
    decode, encode = CODECS[source.suffix]
    decoded = decode(source)
    np.testing.assert_array_equal(decoded.array[0], VALUES)
    assert encode(decoded.array, decoded.header, 1) == source.read_bytes()


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_convention_affine_is_itks_physical_point_of_a_voxel(tmp_path: Path, name: str) -> None:
    for number, path in enumerate((save(tmp_path / name), save_text(tmp_path / f"b{name}", NRRD_RAS))):
        if number and name != "a.nrrd":
            continue
        decoded = CODECS[path.suffix][0](path)
        image = SimpleITK.ReadImage(str(path))
        expected = image.TransformIndexToPhysicalPoint((1, 2, 3))
        assert decoded.affine is not None
        np.testing.assert_allclose((decoded.affine @ [1, 2, 3, 1])[:3], expected)
        assert decoded.spacing == image.GetSpacing()


@settings(max_examples=40, deadline=None)
@given(
    values=arrays.arrays("int16", (2, 3, 4), elements=st.integers(-3000, 3000)),
    intensity_window=st.tuples(st.integers(-2000, 0), st.integers(50, 2500)),
    eps=st.integers(1, 32),
    seed=st.integers(0, 2**16),
)
def test_the_budget_holds_in_the_written_file(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, intensity_window: tuple[int, int], eps: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("budget")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(folder / "a.nrrd"))
    decoded = decode_nrrd(folder / "a.nrrd")
    image = StoredImage(decoded.array, intensity_window, header=decoded.header)
    delta = np.random.default_rng(seed).uniform(-1, 1, image.array.shape).astype(np.float32)
    perturbed = add_delta(image, delta, np.full_like(delta, eps / 255))
    (folder / "b.nrrd").write_bytes(encode_nrrd(perturbed, image.header, 1))
    written = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "b.nrrd"))).astype(int)
    change = np.abs(written - values)
    assert change.max() <= eps / 255 * image.width + 1e-3
    assert not change[(values < intensity_window[0]) | (values > intensity_window[1])].any()


def vectors(path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(path))


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    header = NRRD_RAS if name == "nrrd" else MHA_ODD
    return lambda path: path.write_bytes(save_text(path, header).read_bytes().replace(old.encode(), new.encode()))  # type: ignore[return-value]


def packed(path: Path) -> None:
    save_text(path, NRRD_RAS.replace("encoding: raw", "encoding: gzip"))
    text, voxels = path.read_bytes().split(b"\n\n", 1)
    path.write_bytes(text + b"\n\n" + gzip.compress(voxels[:-10]))


REFUSALS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "nrrd vectors": ("a.nrrd", vectors, "3 values per voxel; store each channel"),
    "mha vectors": ("a.mha", vectors, "3 values per voxel; store each channel"),
    "nrrd in two files": ("a.nrrd", replaced("nrrd", "encoding", "data file: a.raw\nencoding"), "in two files; save"),
    "mha in two files": ("a.mha", replaced("mha", "LOCAL", "a.raw"), "in two files; save it as one .mha"),
    "nrrd skip": ("a.nrrd", replaced("nrrd", "encoding", "byte skip: 4\nencoding"), "begin after a byte skip"),
    "nrrd text": ("a.nrrd", replaced("nrrd", "encoding: raw", "encoding: ascii"), "encoding 'ascii'; save it again"),
    "nrrd order": ("a.nrrd", replaced("nrrd", "endian: big", "endian: odd"), "byte order 'odd', must be little or big"),
    "nrrd short": ("a.nrrd", packed, "998 bytes of voxels, its header announces 1008; fetch"),
    "mha text": ("a.mha", replaced("mha", "BinaryData = True", "BinaryData = False"), "voxels as text"),
    "mha short": ("a.mha", replaced("mha", "DimSize = 7 8 9", "DimSize = 7 8 10"), "announces 1120"),
    "nrrd no header": ("a.nrrd", lambda path: path.write_text("not an image"), "no NRRD header"),
    "mha no header": ("a.mha", lambda path: path.write_text("not an image"), "no MetaImage header"),
    "4 axes": (
        "a.nrrd",
        lambda path: SimpleITK.WriteImage(SimpleITK.Image([4, 5, 6, 7], SimpleITK.sitkUInt8), str(path)),
        "must have 2 or 3 axes",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_written_back_is_refused_by_name_with_a_cure(tmp_path: Path, kind: str) -> None:
    name, create, reason = REFUSALS[kind]
    create(tmp_path / name)
    with pytest.raises(CodecError, match=f"^{name}: .*{reason}"):
        CODECS[Path(name).suffix][0](tmp_path / name)


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.95])
def test_truncated_files_are_never_read_as_whole(tmp_path: Path, suffix: str, compressed: bool, share: float) -> None:
    path = save(tmp_path / f"a{suffix}", compressed=compressed)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CodecError, match=f"^a{suffix}: .*; fetch or export it again"):
        CODECS[suffix][0](path)


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
def test_a_flipped_bit_in_the_header_is_refused_by_name_or_harmless(
    tmp_path: Path, suffix: str, compressed: bool
) -> None:
    decode, encode = CODECS[suffix]
    path = save(tmp_path / f"a{suffix}", compressed=compressed)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(content) - 500, 60):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            decoded = decode(path)
        except CodecError as error:
            assert str(error).startswith(path.name)
        else:
            encode(decoded.array, decoded.header, 1)


@pytest.mark.parametrize("axes", [b"1e12", b"11", b"-1", b"3\nNDims = 99"])
def test_a_number_of_axes_that_ends_itk_never_reaches_it(tmp_path: Path, axes: bytes) -> None:
    path = tmp_path / "a.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    path.write_bytes(path.read_bytes().replace(b"NDims = 3", b"NDims = " + axes))
    with pytest.raises(CodecError, match=r"a\.mha: NDims is .*, must be 2 or 3"):
        decode_mha(path)
    content = path.read_bytes().replace(b"NDims = " + axes, b"NDims = 3")
    for key, size, limit in (("Name", 300, 200), ("Offsets", 9000, 8000)):
        path.write_bytes(content.replace(b"NDims", f"{key} = {size * 'x'}\nNDims".encode()))
        with pytest.raises(CodecError, match=rf"a\.mha: {key} has {size + 1} bytes, must be <= {limit}"):
            decode_mha(path)


def test_a_field_that_ends_itk_never_reaches_it_and_a_long_value_of_a_key_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(path))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"sizes:", b"labels: " + 9000 * b"x" + b"\nsizes:"))
    with pytest.raises(CodecError, match=r"a\.nrrd: labels has 9000 bytes, must be <= 1000"):
        decode_nrrd(path)
    path.write_bytes(content.replace(b"sizes:", b"tags:=" + 5000 * b"x" + b"\nsizes:"))
    assert decode_nrrd(path).array.shape == (1, 6, 5, 4)
