"""Files come back bit by bit: pixels, mode and metadata, in every format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from monai_umed.data.codec import read_image, write_image
from monai_umed.io.quantize import add_delta
from monai_umed.io.suffixes import output_name

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (24, 20, 4)).astype(np.uint16)
GRAY = (DEEP[..., 0] >> 8).astype(np.uint8)
COLOR = (DEEP >> 8).astype(np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def save_png(pixels: np.ndarray) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("Comment", "left breast, 12 o'clock, ü")
        info.add(b"gAMA", b"\x00\x00\xb1\x8f")
        Image.fromarray(pixels).save(path, pnginfo=info, dpi=(300, 300), icc_profile=PROFILE)

    return save


def save_deep_png(channels: int) -> Callable[[Path], None]:
    image = SimpleITK.GetImageFromArray(DEEP[..., :channels], isVector=True)
    return lambda path: SimpleITK.WriteImage(image, str(path))


def save_tiff(pixels: np.ndarray, **options: object) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        tags = {"software": "scanner 5", "description": "left breast", "resolution": (120, 130), "resolutionunit": 3}
        tifffile.imwrite(path, pixels, metadata=None, **tags, **options)  # type: ignore[arg-type]

    return save


def save_with_pillow(pixels: np.ndarray, **options: str) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def save_nifti(
    dtype: str, slope: float = 1, inter: float = 0, shape: tuple[int, ...] = (9, 8, 7)
) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        data = (DEEP.ravel()[: np.prod(shape)].reshape(shape) % 256).astype(np.dtype(dtype).newbyteorder("="))
        header = nib.Nifti1Header(endianness=dtype[0])
        header.set_data_dtype(dtype)
        header["descrip"] = b"made by a scanner"
        affine = np.array([[0, -0.7, 0, 3], [0.7, 0, 0, -4], [0, 0, 2.5, 5], [0, 0, 0, 1]])
        image = (nib.Nifti1Pair if path.suffix.lower() == ".img" else nib.Nifti1Image)(data, affine, header)
        image.header.set_slope_inter(slope, inter)
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"kept"))
        image.to_filename(path)

    return save


SOURCES: dict[str, tuple[str, Callable[[Path], None], tuple[int, ...], str]] = {
    "png-1": ("a.png", save_png(GRAY > 128), (1, 24, 20), "uint8"),
    "png-L": ("a (1).v2.png", save_png(GRAY), (1, 24, 20), "uint8"),
    "png-LA": ("a.png", save_png(COLOR[..., :2]), (2, 24, 20), "uint8"),
    "png-RGB": ("a.PNG", save_png(COLOR[..., :3]), (3, 24, 20), "uint8"),
    "png-RGBA": ("a.png", save_png(COLOR), (4, 24, 20), "uint8"),
    "png-16": ("a.png", save_png(DEEP[..., 0]), (1, 24, 20), "uint16"),
    "png-RGB-16": ("a.png", save_deep_png(3), (3, 24, 20), "uint16"),
    "png-RGBA-16": ("a.png", save_deep_png(4), (4, 24, 20), "uint16"),
    "bmp-L": ("a.bmp", save_with_pillow(GRAY), (1, 24, 20), "uint8"),
    "bmp-RGB": ("a.bmp", save_with_pillow(COLOR[..., :3]), (3, 24, 20), "uint8"),
    "bmp-1": ("a.bmp", save_with_pillow(GRAY > 128), (1, 24, 20), "uint8"),
    "tiff-L": ("a.tif", save_tiff(GRAY, photometric="minisblack"), (1, 24, 20), "uint8"),
    "tiff-1": ("a.tif", save_tiff(GRAY > 128, photometric="minisblack"), (1, 24, 20), "uint8"),
    "tiff-16": ("a.tiff", save_tiff(DEEP[..., 0], compression="zlib", predictor=True), (1, 24, 20), "uint16"),
    "tiff-big-endian": ("a.tif", save_tiff(DEEP[..., 0], byteorder=">"), (1, 24, 20), "uint16"),
    "tiff-RGB": ("a.tif", save_tiff(COLOR[..., :3], photometric="rgb", rowsperstrip=5), (3, 24, 20), "uint8"),
    "tiff-RGB-16": ("a.tif", save_tiff(DEEP[..., :3], photometric="rgb"), (3, 24, 20), "uint16"),
    "tiff-RGBA": ("a.tif", save_tiff(COLOR, photometric="rgb", extrasamples=["unassalpha"]), (4, 24, 20), "uint8"),
    "tiff-planes": (
        "a.tif",
        save_tiff(np.moveaxis(COLOR[..., :3], -1, 0), photometric="rgb", planarconfig="separate"),
        (3, 24, 20),
        "uint8",
    ),
    "tiff-tiles": ("a.tif", save_tiff(GRAY, photometric="minisblack", tile=(16, 16)), (1, 24, 20), "uint8"),
    "tiff-LZW": ("a.tif", save_with_pillow(GRAY, compression="tiff_lzw"), (1, 24, 20), "uint8"),
    "tiff-LZW-RGB": ("a.tif", save_with_pillow(COLOR[..., :3], compression="tiff_lzw"), (3, 24, 20), "uint8"),
    "tiff-LZW-16": ("a.tif", save_with_pillow(DEEP[..., 0], compression="tiff_lzw"), (1, 24, 20), "uint16"),
    "tiff-packbits": ("a.tif", save_with_pillow(GRAY, compression="packbits"), (1, 24, 20), "uint8"),
    "tiff-fax": ("a.tif", save_with_pillow(GRAY > 128, compression="group4"), (1, 24, 20), "uint8"),
    "nii-int16": ("a.nii", save_nifti("<i2"), (1, 9, 8, 7), "int16"),
    "nii-big-endian": ("a.nii.gz", save_nifti(">i2", 2.5, -1024), (1, 9, 8, 7), "int16"),
    "nii-gz-uint8": ("a.nii.gz", save_nifti("<u1", 0.5, 3), (1, 9, 8, 7), "uint8"),
    "nii-float32": ("a.NII.GZ", save_nifti("<f4"), (1, 9, 8, 7), "float32"),
    "nii-float64": ("a.nii.gz", save_nifti("<f8"), (1, 9, 8, 7), "float64"),
    "nii-4-axes": ("a.nii.gz", save_nifti("<i4", shape=(9, 8, 7, 1)), (1, 9, 8, 7), "int32"),
    "pair-int16": ("a (1).v2.img", save_nifti("<i2"), (1, 9, 8, 7), "int16"),
    "pair-big-endian": ("a.IMG", save_nifti(">i2", 2.5, -1024), (1, 9, 8, 7), "int16"),
    "pair-float32": ("a.img", save_nifti("<f4", shape=(9, 8, 7, 1)), (1, 9, 8, 7), "float32"),
}


def metadata(path: Path) -> object:
    """What another program sees beside the pixels."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz", ".img")):
        image: Any = (nib.Nifti1Pair if name.endswith(".img") else nib.Nifti1Image).from_filename(path)
        raw = {key: image.header[key].tobytes() for key in image.header}
        scaling = (image.dataobj.slope, image.dataobj.inter)
        return raw, scaling, image.header.endianness, [item.get_content() for item in image.header.extensions]
    if name.endswith((".tif", ".tiff")):
        with tifffile.TiffFile(path) as file:
            names = ["PhotometricInterpretation", "ImageDescription", "Software", "ExtraSamples"]
            tags = file.pages.first.tags
            if "XResolution" in tags and tags["XResolution"].value != (1, 1):  # 1/1 stands for none
                names += ["XResolution", "YResolution", "ResolutionUnit"]
            return [tags[key].value for key in names if key in tags]
    with Image.open(path) as image_file:
        return image_file.mode, image_file.info


@pytest.mark.parametrize("kind", SOURCES)
def test_zero_delta_round_trip_keeps_pixels_mode_and_metadata(tmp_path: Path, kind: str) -> None:
    name, save, shape, dtype = SOURCES[kind]
    source, target = tmp_path / name, tmp_path / "out" / output_name(name)
    save(source)
    target.parent.mkdir()
    stored = read_image(source)
    assert stored.array.shape == shape and stored.array.dtype == dtype and stored.array.dtype.isnative
    assert stored.has_alpha == (len(stored.array) in (2, 4))
    zeros = np.zeros(stored.color.shape, np.float32)
    write_image(target, add_delta(stored, zeros, zeros + 8 / 255), stored)
    again = read_image(target)
    np.testing.assert_array_equal(again.array, stored.array)
    assert again.intensity_window == stored.intensity_window and again.spacing == stored.spacing
    assert metadata(target) == metadata(source)


@pytest.mark.parametrize("kind", [kind for kind in SOURCES if not kind.endswith(("-1", "-fax"))])
def test_a_perturbation_is_read_back_exactly(tmp_path: Path, kind: str) -> None:
    name, save, _, _ = SOURCES[kind]
    source, target = tmp_path / name, tmp_path / ("x" + output_name(name))
    save(source)
    stored = read_image(source)
    delta = np.random.default_rng(1).uniform(-0.05, 0.05, stored.color.shape).astype(np.float32)
    perturbed = add_delta(stored, delta, np.full_like(delta, 0.04))
    assert (perturbed != stored.array).any()
    write_image(target, perturbed, stored)
    np.testing.assert_array_equal(read_image(target).array, perturbed)


def test_arrays_equal_what_other_libraries_read(tmp_path: Path) -> None:
    SOURCES["png-RGB"][1](tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.moveaxis(read_image(tmp_path / "a.png").array, 0, -1), np.asarray(image))
    SOURCES["png-RGB-16"][1](tmp_path / "deep.png")
    np.testing.assert_array_equal(np.moveaxis(read_image(tmp_path / "deep.png").array, 0, -1), DEEP[..., :3])
    SOURCES["nii-big-endian"][1](tmp_path / "a.nii.gz")
    stored = read_image(tmp_path / "a.nii.gz")
    volume = nib.Nifti1Image.from_filename(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(stored.array[0] * 2.5 - 1024, volume.get_fdata())
    np.testing.assert_allclose(stored.spacing or (), (0.7, 0.7, 2.5), rtol=1e-6)


def test_png_metadata_chunks_are_kept_bit_by_bit_in_the_written_file(tmp_path: Path) -> None:
    save_png(GRAY)(tmp_path / "a.png")
    stored = read_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png", 255 - stored.array, stored)
    with Image.open(tmp_path / "b.png") as image:
        image.load()
        assert image.info["Comment"] == "left breast, 12 o'clock, ü"
        assert image.info["icc_profile"] == PROFILE and "gamma" in image.info
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for kind in ("png-L", "tiff-16", "nii-gz-uint8"):
        name, save, _, _ = SOURCES[kind]
        save(tmp_path / name)
        stored = read_image(tmp_path / name)
        first, second = tmp_path / f"1{name}", tmp_path / f"2{name}"
        write_image(first, stored.array, stored)
        write_image(second, stored.array, stored)
        assert first.read_bytes() == second.read_bytes()


def test_jpeg_is_written_as_png_with_its_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    Image.fromarray(COLOR[..., :3]).save(tmp_path / "a.jpg", dpi=(72, 72), exif=exif, icc_profile=PROFILE)
    stored = read_image(tmp_path / "a.jpg")
    write_image(tmp_path / output_name("a.jpg"), stored.array, stored)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").array, stored.array)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.getexif()[271] == "Maker" and image.info["icc_profile"] == PROFILE


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", "a.png"), ("b (1).JPEG", "b (1).png"), ("x/c.v1.jpg", "c.v1.png"), ("d.nii.gz", "d.nii.gz")],
)
def test_output_name_changes_only_lossy_endings(name: str, expected: str) -> None:
    assert output_name(name) == expected
