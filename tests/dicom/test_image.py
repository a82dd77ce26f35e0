"""DICOM files and series come back with every element and pixel that was not meant to change."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import DEEP, SERIES_UID, STUDY_UID, make, make_segmentation, read_with_itk, save, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array

from monai_umed.dicom.image import decode_dicom, encode_dicom
from monai_umed.dicom.segmentation import decode_segmentation, is_segmentation
from monai_umed.dicom.series import decode_series, encode_series
from monai_umed.io.grids import on_image_grid
from monai_umed.io.itk_image import decode_nrrd
from monai_umed.io.quantize import add_delta
from monai_umed.io.stored import CodecError, Decoded, StoredImage

GRAY = (DEEP >> 4).astype(np.uint8)
CHANGED = {
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "ImageType",
    "DerivationDescription",
    "PixelData",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
}


def make_rle() -> Any:
    dataset = make(DEEP[0], bits=12)
    dataset.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return dataset


def make_planes() -> Any:
    dataset = make(GRAY[:3].transpose(1, 2, 0), "RGB")
    dataset.PlanarConfiguration = 1
    dataset.PixelData = GRAY[:3].tobytes()
    return dataset


def make_enhanced() -> Any:
    """Several frames with their geometry in functional groups."""
    dataset = make(DEEP, bits=12, SOPClassUID=uid.EnhancedCTImageStorage)
    orientation, measures, frame_type = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = [0, 1, 0, 0, 0, -1], ["0.5", "0.75"]
    frame_type.FrameType = ["ORIGINAL", "PRIMARY"]
    shared: Any = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    shared.CTImageFrameTypeSequence = [frame_type]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number in range(5):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [3 * number, 7, 9]
        group.PlanePositionSequence = [position]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
    return dataset


SOURCES: dict[str, tuple[Callable[[], Any], str, tuple[int, ...], str]] = {
    "signed": (lambda: make(DEEP[0].astype(np.int16) - 1024), uid.ExplicitVRLittleEndian, (1, 24, 20), "int16"),
    "12 bits": (lambda: make(DEEP[0], bits=12), uid.ExplicitVRLittleEndian, (1, 24, 20), "uint16"),
    "inverted": (lambda: make(DEEP[0], "MONOCHROME1", 12), uid.ExplicitVRLittleEndian, (1, 24, 20), "uint16"),
    "8 bits": (lambda: make(GRAY[0]), uid.ExplicitVRLittleEndian, (1, 24, 20), "uint8"),
    "odd size": (lambda: make(GRAY[0, :17, :19]), uid.ExplicitVRLittleEndian, (1, 17, 19), "uint8"),
    "implicit": (lambda: make(DEEP[0], bits=12), uid.ImplicitVRLittleEndian, (1, 24, 20), "uint16"),
    "deflated": (lambda: make(DEEP[0], bits=12), uid.DeflatedExplicitVRLittleEndian, (1, 24, 20), "uint16"),
    "RLE": (make_rle, uid.RLELossless, (1, 24, 20), "uint16"),
    "RGB": (lambda: make(GRAY[:3].transpose(1, 2, 0), "RGB"), uid.ExplicitVRLittleEndian, (3, 24, 20), "uint8"),
    "RGB planes": (make_planes, uid.ExplicitVRLittleEndian, (3, 24, 20), "uint8"),
    "frames": (lambda: make(DEEP, bits=12), uid.ExplicitVRLittleEndian, (1, 20, 24, 5), "uint16"),
    "enhanced": (make_enhanced, uid.ExplicitVRLittleEndian, (1, 20, 24, 5), "uint16"),
}


def stored(decoded: Decoded, intensity_window: tuple[float, float] | None = None) -> StoredImage:
    intensity_window = (
        intensity_window or decoded.intensity_window or (float(decoded.array.min()), float(decoded.array.max()))
    )
    return StoredImage(
        array=decoded.array,
        intensity_window=intensity_window,
        spacing=decoded.spacing,
        format=decoded.format,
        header=decoded.header,
        value_range=decoded.value_range,
        affine=decoded.affine,
        grid=decoded.grid,
    )


def affine_of(image: Decoded | StoredImage) -> np.ndarray:
    assert image.affine is not None
    return image.affine


def different_keywords(path: Path, other: Path) -> set[str]:
    before, after = pydicom.dcmread(path), pydicom.dcmread(other)
    tags = {tag for tag in before.keys() | after.keys() if tag.element}
    return {str(pydicom.datadict.keyword_for_tag(tag)) for tag in tags if before.get(tag) != after.get(tag)}


def noise(image: StoredImage, eps: float = 0.05) -> np.ndarray:
    delta = np.random.default_rng(1).uniform(-2 * eps, 2 * eps, image.array.shape).astype(np.float32)
    return add_delta(image, delta, np.full_like(delta, eps))


@pytest.mark.parametrize("kind", SOURCES)
def test_zero_delta_keeps_pixels_and_every_element_that_is_not_listed(tmp_path: Path, kind: str) -> None:
    create, syntax, shape, dtype = SOURCES[kind]
    source, target = save(create(), tmp_path / "a.dcm", syntax), tmp_path / "b.dcm"
    image = stored(decode_dicom(source))
    assert image.array.shape == shape and image.array.dtype == dtype and image.array.dtype.isnative
    zeros = np.zeros(image.array.shape, np.float32)
    target.write_bytes(encode_dicom(add_delta(image, zeros, zeros + 8 / 255), image))
    before, after = pydicom.dcmread(source), pydicom.dcmread(target)
    assert after.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    if not before.file_meta.TransferSyntaxUID.is_compressed:
        assert after.PixelData == before.PixelData
    np.testing.assert_array_equal(after.pixel_array, before.pixel_array)
    assert different_keywords(source, target) - {"SharedFunctionalGroupsSequence"} <= CHANGED
    assert after.SliceThickness.original_string == "1.250000"
    assert after.ImageType[0] == "DERIVED" and after.ImageType[1:] == before.ImageType[1:]
    assert after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID != before.SOPInstanceUID
    assert after.SmallestImagePixelValue == after.pixel_array.min()
    again = decode_dicom(target)
    assert again.spacing == image.spacing and stored(again).intensity_window == image.intensity_window


@pytest.mark.parametrize("kind", SOURCES)
def test_a_perturbation_is_read_back_exactly_by_three_libraries(tmp_path: Path, kind: str) -> None:
    create, syntax, _, _ = SOURCES[kind]
    source, target = save(create(), tmp_path / "a.dcm", syntax), tmp_path / "b.dcm"
    image = stored(decode_dicom(source))
    perturbed = noise(image)
    assert (perturbed != image.array).any()
    target.write_bytes(encode_dicom(perturbed, image))
    np.testing.assert_array_equal(decode_dicom(target).array, perturbed)
    before, after = SimpleITK.ReadImage(str(source)), SimpleITK.ReadImage(str(target))
    assert before.GetSpacing() == after.GetSpacing() and before.GetOrigin() == after.GetOrigin()
    assert before.GetDirection() == after.GetDirection()
    # ITK shows one frame as a slice, color last, and inverts nothing.
    expected = pixel_array(target).reshape(SimpleITK.GetArrayViewFromImage(after).shape)
    if kind != "inverted":
        np.testing.assert_array_equal(SimpleITK.GetArrayViewFromImage(after), expected)
        np.testing.assert_array_equal(np.asarray(itk.imread(str(target))).reshape(expected.shape), expected)


def test_enhanced_frames_get_their_geometry_and_their_frame_type(tmp_path: Path) -> None:
    image = stored(decode_dicom(save(make_enhanced(), tmp_path / "a.dcm")))
    assert image.spacing == (0.75, 0.5, 3)
    np.testing.assert_allclose(affine_of(image) @ [1, 1, 1, 1], [3, 7.75, 8.5, 1])
    (tmp_path / "b.dcm").write_bytes(encode_dicom(noise(image), image))
    shared = pydicom.dcmread(tmp_path / "b.dcm").SharedFunctionalGroupsSequence[0]
    assert shared.CTImageFrameTypeSequence[0].FrameType == ["DERIVED", "PRIMARY"]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.5, 0.75]


def test_equal_pixels_give_equal_bytes_and_other_pixels_other_uids(tmp_path: Path) -> None:
    source = save(make(DEEP[0], bits=12), tmp_path / "a.dcm")
    images = [stored(decode_dicom(source)) for _ in range(2)]
    first, second = (encode_dicom(noise(image), image) for image in images)
    assert first == second
    (tmp_path / "b.dcm").write_bytes(first)
    (tmp_path / "c.dcm").write_bytes(encode_dicom(noise(images[0], 0.1), images[0]))
    one, other = pydicom.dcmread(tmp_path / "b.dcm"), pydicom.dcmread(tmp_path / "c.dcm")
    assert one.SOPInstanceUID != other.SOPInstanceUID and one.SOPInstanceUID.is_valid
    assert one.SeriesInstanceUID == other.SeriesInstanceUID != SERIES_UID
    assert one.StudyInstanceUID == STUDY_UID


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "MR_small_RLE.dcm"])
def test_compressed_files_are_written_uncompressed(tmp_path: Path, name: str) -> None:
    source = Path(str(get_testdata_file(name, download=False)))
    image = stored(decode_dicom(source))
    (tmp_path / "b.dcm").write_bytes(encode_dicom(image.array, image))
    after = pydicom.dcmread(tmp_path / "b.dcm")
    assert after.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    np.testing.assert_array_equal(pixel_array(after), pixel_array(source))
    assert after.get("LossyImageCompression") == pydicom.dcmread(source).get("LossyImageCompression")
    changed = CHANGED | {"PhotometricInterpretation", "PlanarConfiguration"}
    assert different_keywords(source, tmp_path / "b.dcm") <= changed


@settings(max_examples=60, deadline=None)
@given(
    signed=st.booleans(),
    bits=st.integers(9, 16),
    slope=st.sampled_from([1.0, 0.25, 2.5, -1.5]),
    inverted=st.booleans(),
    ends=st.tuples(st.floats(0, 0.45), st.floats(0.55, 1)),
    eps=st.integers(1, 32),
    seed=st.integers(0, 2**16),
)
def test_the_budget_holds_and_nothing_outside_the_window_or_the_stored_bits_changes(
    signed: bool,
    bits: int,
    slope: float,
    inverted: bool,
    ends: tuple[float, float],
    eps: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    pixels = rng.integers(low, high + 1, (16, 16)).astype(np.int16 if signed else np.uint16)
    kind = "MONOCHROME1" if inverted else "MONOCHROME2"
    center, width = np.mean(ends), ends[1] - ends[0]
    shown = {"RescaleSlope": slope, "RescaleIntercept": -7}
    shown["WindowCenter"] = round(slope * (low + center * (high - low)) - 7)
    shown["WindowWidth"] = round(abs(slope) * width * (high - low)) + 4
    with tempfile.TemporaryDirectory() as folder:
        source = save(make(pixels, kind, bits, **shown), Path(folder) / "a.dcm")
        target = source.with_name("b.dcm")
        decoded = decode_dicom(source)
        assert decoded.intensity_window is not None
        intensity_window = np.clip(decoded.intensity_window, low, high)  # the limits of the stored bits
        image = stored(decoded, (float(intensity_window[0]), float(intensity_window[1])))
        perturbed = noise(image, eps / 255)
        target.write_bytes(encode_dicom(perturbed, image))
        written = pydicom.dcmread(target).pixel_array.astype(int)
    change = np.abs(written - pixels)
    assert change.max() <= eps / 255 * abs(image.width) + 1e-3
    outside = (pixels < min(image.intensity_window)) | (pixels > max(image.intensity_window))
    assert not change[outside].any()
    assert written.min() >= low and written.max() <= high
    np.testing.assert_array_equal(written, perturbed[0])


@pytest.mark.parametrize(
    ("elements", "bits", "intensity_window"),
    [
        ({"WindowCenter": 40, "WindowWidth": 400, "RescaleIntercept": -1024, "RescaleSlope": 1}, 12, (864, 1263)),
        ({"WindowCenter": [2000, 40], "WindowWidth": [1000, 400]}, 12, (1500, 2499)),
        ({"WindowCenter": 2000, "WindowWidth": 1000, "VOILUTFunction": "LINEAR_EXACT"}, 12, (1500, 2500)),
        ({"WindowCenter": 2000, "WindowWidth": 1000, "RescaleSlope": 2, "RescaleIntercept": 0}, 12, (750, 1249.5)),
        ({"WindowCenter": 2000, "WindowWidth": 1000, "VOILUTFunction": "SIGMOID"}, 12, None),
        ({"WindowCenter": 9000, "WindowWidth": 100}, 12, None),
        ({"WindowCenter": 2000, "WindowWidth": 1}, 12, None),
        ({}, 12, None),
        ({"WindowCenter": 100, "WindowWidth": 50}, 8, (0, 255)),
    ],
)
def test_the_default_window_is_the_files_own(
    tmp_path: Path, elements: dict[str, Any], bits: int, intensity_window: tuple[float, float] | None
) -> None:
    pixels = DEEP[0] if bits == 12 else GRAY[0]
    assert (
        decode_dicom(save(make(pixels, bits=bits, **elements), tmp_path / "a.dcm")).intensity_window == intensity_window
    )
    inverted = decode_dicom(save(make(pixels, "MONOCHROME1", bits, **elements), tmp_path / "b.dcm")).intensity_window
    assert inverted == (intensity_window and intensity_window[::-1])


def test_convention_monochrome1_is_displayed_as_its_inverted_twin(tmp_path: Path) -> None:
    twin = decode_dicom(save(make(4095 - DEEP[0], bits=12, RescaleSlope=2, RescaleIntercept=5), tmp_path / "a.dcm"))
    decoded = decode_dicom(
        save(make(DEEP[0], "MONOCHROME1", 12, RescaleSlope=2, RescaleIntercept=5), tmp_path / "b.dcm")
    )
    shown, expected = (item.array * item.slope + item.intercept for item in (decoded, twin))
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(
    ("padding", "dtype", "value_range"),
    [
        ({"PixelPaddingValue": -2000}, "int16", (-1999, 32767)),
        ({"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1500}, "int16", (-1499, 32767)),
        ({"PixelPaddingValue": 4095}, "uint16", (0, 4094)),
        ({"PixelPaddingValue": 0}, "uint16", (1, 4095)),
        ({"PixelPaddingValue": 60000}, "uint16", (0, 4095)),
    ],
)
def test_padding_is_beyond_the_limits(
    tmp_path: Path, padding: dict[str, Any], dtype: str, value_range: tuple[int, int]
) -> None:
    pixels = DEEP[0].astype(dtype)
    pixels[:5] = padding["PixelPaddingValue"] if padding["PixelPaddingValue"] < 4096 else 0
    source = save(make(pixels, bits=16 if dtype == "int16" else 12, **padding), tmp_path / "a.dcm")
    assert decode_dicom(source).value_range == value_range


def test_a_change_of_padding_or_beyond_the_stored_bits_is_refused(tmp_path: Path) -> None:
    pixels = np.clip(DEEP[0], 10, 4000)
    pixels[0] = 0
    image = stored(decode_dicom(save(make(pixels, bits=12, PixelPaddingValue=0), tmp_path / "a.dcm")), (-100, 5000))
    for row, value in ((0, 5), (1, 0), (1, 4096)):
        wrong = image.array.copy()
        wrong[0, row, 3] = value
        with pytest.raises(CodecError, match="1 changed values are padding or outside 1 to 4095"):
            encode_dicom(wrong, image)


def refused(dataset: Any, syntax: str = uid.ExplicitVRLittleEndian, **changes: Any) -> tuple[Any, str]:
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset, syntax


REFUSALS: dict[str, tuple[Callable[[], tuple[Any, str]], str]] = {
    "palette": (lambda: refused(make(GRAY[0], "PALETTE COLOR")), "PALETTE COLOR with 1 values; export it as"),
    "YBR": (lambda: refused(make(GRAY[:3].transpose(1, 2, 0), "YBR_FULL")), "YBR_FULL with 3 values"),
    "color frames": (lambda: refused(make(np.stack([GRAY[:3].transpose(1, 2, 0)] * 2), "RGB")), "2 frames in color"),
    "high bit": (lambda: refused(make(DEEP[0], bits=12), HighBit=15), "12 bits in 16, the highest is bit 15"),
    "overlay": (
        lambda: refused(make(DEEP[0], bits=16), BitsStored=8, HighBit=7),
        "8 stored bits hold 0 to 255; remove",
    ),
    "table": (lambda: refused(make(DEEP[0]), ModalityLUTSequence=[Dataset()]), "mapped by a table"),
    "flat": (lambda: refused(make(DEEP[0]), RescaleSlope=0), "RescaleSlope has the values"),
    "signed by someone": (lambda: refused(make(DEEP[0]), DigitalSignaturesSequence=[Dataset()]), "digitally signed"),
    "contours": (lambda: refused(make(DEEP[0]), SOPClassUID=uid.RTStructureSetStorage), "RTSTRUCT.*; convert them"),
    "segmentation": (lambda: refused(make(DEEP[0]), SOPClassUID=uid.SegmentationStorage), "use it as the label"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_written_back_is_refused_by_name_with_a_cure(tmp_path: Path, kind: str) -> None:
    create, reason = REFUSALS[kind]
    dataset, syntax = create()
    with pytest.raises(CodecError, match=f"^a.dcm: .*{reason}"):
        decode_dicom(save(dataset, tmp_path / "a.dcm", syntax))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MR_small_bigendian.dcm", "big endian .*; convert it with dcmconv"),
        ("MR_truncated.dcm", "less than expected"),
        ("rtdose.dcm", "32 bits in 32"),
        ("no_meta.dcm", "no DICOM file; export it again"),
        ("reportsi.dcm", "no integer pixels"),
    ],
)
def test_pydicoms_own_odd_files_are_refused(name: str, reason: str) -> None:
    with pytest.raises(CodecError, match=f"^{name}: .*{reason}"):
        decode_dicom(Path(str(get_testdata_file(name, download=False))))


@pytest.mark.parametrize(
    ("name", "package"),
    [("MR_small_jpeg_ls_lossless.dcm", "jpeg_ls"), ("SC_rgb_jpeg_gdcm.dcm", "libjpeg")],
)
def test_a_missing_decoder_is_named(name: str, package: str) -> None:
    try:
        __import__(package)
    except ImportError:
        with pytest.raises(CodecError, match=r"no decoder for JPEG.* is installed; pip install py"):
            decode_dicom(Path(str(get_testdata_file(name, download=False))))
    else:
        pytest.skip(f"{package} is installed")


def test_text_outside_its_character_set_is_refused_instead_of_lost(tmp_path: Path) -> None:
    content = save(make(DEEP[0]), tmp_path / "a.dcm", uid.ImplicitVRLittleEndian).read_bytes()
    (tmp_path / "a.dcm").write_bytes(content.replace("Å".encode(), b"\xff\xfe"))
    with pytest.raises(CodecError, match="text that is not in its character set"):
        decode_dicom(tmp_path / "a.dcm")


@pytest.mark.parametrize("kind", ["implicit", "RLE", "enhanced"])
def test_damaged_files_are_refused_or_read_but_never_crash(tmp_path: Path, kind: str) -> None:
    create, syntax, _, _ = SOURCES[kind]
    content = save(create(), tmp_path / "a.dcm", syntax).read_bytes()
    for share in (0, 0.05, 0.3, 0.6, 0.99):
        (tmp_path / "a.dcm").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(CodecError, match=r"^a.dcm: .*; "):
            decode_dicom(tmp_path / "a.dcm")
    rng = np.random.default_rng(0)
    for position in rng.integers(128, len(content) - 4 * DEEP[0].size // 2, 120):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "a.dcm").write_bytes(flipped)
        try:
            image = stored(decode_dicom(tmp_path / "a.dcm"))
        except CodecError as error:
            assert str(error).startswith("a.dcm: ")
        else:
            encode_dicom(image.array, image)


def write_files(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def check_against_itk(folder: Path, decoded: Decoded) -> None:
    """Values and geometry are those that ITK finds."""
    volume = read_with_itk(folder)
    values = SimpleITK.GetArrayFromImage(volume).transpose(2, 1, 0)
    np.testing.assert_array_equal(decoded.array[0] * decoded.slope + decoded.intercept, values)
    np.testing.assert_allclose(decoded.spacing or (), volume.GetSpacing(), rtol=1e-5)
    for index in ((0, 0, 0), (3, 5, 2)):
        expected = volume.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((affine_of(decoded) @ [*index, 1])[:3], expected, atol=1e-4)


def test_a_series_round_trip_keeps_names_geometry_and_values(tmp_path: Path) -> None:
    source = write_series(tmp_path / "in", RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=900, WindowWidth=1500)
    decoded = decode_series(source)
    assert decoded.array.shape == (1, 20, 24, 5) and decoded.array.flags.c_contiguous
    np.testing.assert_allclose(decoded.spacing or (), (0.75, 0.5, 2.5), rtol=1e-5)
    np.testing.assert_array_equal(decoded.array[0], DEEP.transpose(2, 1, 0))
    check_against_itk(source, decoded)
    image = stored(decoded)
    assert image.intensity_window == (1174, 2673)
    perturbed = noise(image)
    target = write_files(tmp_path / "out", encode_series(perturbed, image))
    again = decode_series(target)
    np.testing.assert_array_equal(again.array, perturbed)
    np.testing.assert_array_equal(affine_of(again), affine_of(decoded))
    check_against_itk(target, again)
    names = [str(target / name) for name, _ in again.header.files]
    np.testing.assert_array_equal(np.asarray(itk.imread(names)), again.array[0].T.astype(int) - 1024)
    for path in source.iterdir():
        assert different_keywords(path, target / path.name) <= CHANGED
        before, after = pydicom.dcmread(path), pydicom.dcmread(target / path.name)
        assert after.SOPInstanceUID != before.SOPInstanceUID and after.SeriesInstanceUID != SERIES_UID
    assert len({pydicom.dcmread(path).SeriesInstanceUID for path in target.iterdir()}) == 1
    assert len({pydicom.dcmread(path).SOPInstanceUID for path in target.iterdir()}) == 5
    assert encode_series(perturbed, image) == encode_series(perturbed, stored(decode_series(source)))


def test_a_series_that_is_no_even_volume_is_refused_with_the_names_of_its_slices(tmp_path: Path) -> None:
    def change(name: str, path: str, **elements: Any) -> Path:
        folder = write_series(tmp_path / name)
        dataset: Any = pydicom.dcmread(folder / path)
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / path)
        return folder

    gap = write_series(tmp_path / "gap")
    (gap / "b.dcm").unlink()
    twice = write_series(tmp_path / "twice")
    save(pydicom.dcmread(twice / "e.dcm"), twice / "f.dcm")
    strange = write_series(tmp_path / "strange")
    (strange / "notes.txt").write_text("a note")
    reasons = {
        gap: r"gap: from e.dcm to d.dcm it is 5.000 mm, elsewhere 2.500 mm; add missing",
        twice: r"twice: from e.dcm to f.dcm it is 0.000 mm",
        strange: "notes.txt: no DICOM file",
        change("slope", "d.dcm", RescaleSlope=2): r"slope/d.dcm: RescaleSlope is 2.*convert the series to float32",
        change(
            "other", "d.dcm", SeriesInstanceUID="1.9"
        ): r"SeriesInstanceUID is 1.9, in a.dcm it is 1.2.3.4; keep one",
        change("scout", "d.dcm", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]): "scout/d.dcm: ImageOrientationPatient",
        change("nowhere", "d.dcm", ImagePositionPatient=None): "nowhere/d.dcm: no ImagePositionPatient",
        write_series(tmp_path / "one", DEEP[:1], "c"): "one: a series of 1 files",
    }
    for folder, reason in reasons.items():
        with pytest.raises(CodecError, match=reason):
            decode_series(folder)


def test_segmentation_frames_are_placed_by_position_with_their_segment_numbers(tmp_path: Path) -> None:
    series = decode_series(write_series(tmp_path / "in"))
    left = DEEP[0] % 3 == 0
    masks = {(2, 3): left, (1, 3): ~left, (1, 0): left}
    path = save(make_segmentation(masks, affine_of(series)), tmp_path / "seg.dcm")
    label = decode_segmentation(path, affine_of(series), series.array.shape[1:])
    expected = np.zeros((1, 20, 24, 5), np.uint8)
    expected[0, :, :, 3] = np.where(left, 2, 1).T
    expected[0, :, :, 0] = left.T
    assert label.dtype == np.uint8 and is_segmentation(path)
    np.testing.assert_array_equal(label, expected)


def test_segmentations_that_fit_no_label_map_or_no_image_are_refused(tmp_path: Path) -> None:
    series = decode_series(write_series(tmp_path / "in"))
    affine, shape = affine_of(series), series.array.shape[1:]
    shifted = affine.copy()
    shifted[:3, 3] += affine[:3, 0] / 2
    everything = np.ones((24, 20), bool)
    cases = {
        "overlap": (make_segmentation({(1, 2): everything, (2, 2): everything}, affine), "segments overlap in frame 2"),
        "shift": (
            make_segmentation({(1, 2): everything}, shifted),
            "frame 1 at .* is on no slice of the image; pair it",
        ),
        "outside": (make_segmentation({(1, 5): everything}, affine), "frame 1 at .* is on no slice"),
        "fraction": (
            make_segmentation({(1, 2): everything}, affine, SegmentationType="FRACTIONAL"),
            "type FRACTIONAL, must be BINARY; export it",
        ),
        "map": (
            make_segmentation({(1, 2): everything}, affine, SegmentationType="LABELMAP"),
            "type LABELMAP, must be BINARY",
        ),
    }
    for name, (dataset, reason) in cases.items():
        with pytest.raises(CodecError, match=f"^{name}.dcm: .*{reason}"):
            decode_segmentation(save(dataset, tmp_path / f"{name}.dcm"), affine, shape)
    path = save(make_segmentation({(1, 2): everything}, affine), tmp_path / "short.dcm")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(CodecError, match=r"^short.dcm: "):
        decode_segmentation(path, affine, shape)


@pytest.mark.skipif("MONAI_UMED_DICOM" not in os.environ, reason="MONAI_UMED_DICOM names no folder with a real series")
def test_a_real_series_with_its_segmentation_and_label_map(tmp_path: Path) -> None:
    root = Path(os.environ["MONAI_UMED_DICOM"])
    decoded = decode_series(root / "series")
    check_against_itk(root / "series", decoded)
    image = stored(decoded)
    perturbed = noise(image)
    target = write_files(tmp_path / "out", encode_series(perturbed, image))
    check_against_itk(target, decode_series(target))
    np.testing.assert_array_equal(decode_series(target).array, perturbed)
    label_map = decode_nrrd(root / "liver_seg.nrrd")
    shape = decoded.array.shape[1:]
    label = decode_segmentation(root / "seg_liver.dcm", affine_of(decoded), shape)
    np.testing.assert_array_equal(label, on_image_grid("liver_seg.nrrd", label_map.array, label_map.grid, image))
