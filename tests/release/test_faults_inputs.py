"""Damaged inputs of every format: set aside with a reason or, where the format cannot notice, protected like any other.

Nothing else may come of them: no other error, no half-written file, no case that is both.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import tifffile
from dicom_files import make, make_segmentation, read_with_itk, save, write_series
from PIL import Image
from protected_folder import noise, small_protector, square, tree, write_array

from monai_umed.data.cases import find_cases
from monai_umed.data.codec import read_image
from monai_umed.data.labels import read_label
from monai_umed.data.manifest import MANIFEST
from monai_umed.io.stored import CodecError
from monai_umed.io.suffixes import split_name
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import verify_folder

GRAY = noise((24, 20)).astype(np.uint8)
VOLUME = noise((16, 18, 20), 2000).astype(np.int16)
CUTS = (0, 5, 50, 95)  # percent of the file that is left


def write_with_itk(path: Path) -> None:
    volume = SimpleITK.GetImageFromArray(VOLUME)
    volume.SetSpacing((0.5, 0.75, 2))
    SimpleITK.WriteImage(volume, str(path), "packed" in path.name)


Writer = Callable[[Path], object]
FLAT: dict[str, Writer] = {
    "png8.png": lambda path: Image.fromarray(GRAY).save(path),
    "png16.png": lambda path: Image.fromarray(GRAY.astype(np.uint16) * 200).save(path),
    "jpeg.jpg": lambda path: Image.fromarray(GRAY).save(path, dpi=(72, 72)),
    "bitmap.bmp": lambda path: Image.fromarray(GRAY).save(path),
    "tags.tif": lambda path: tifffile.imwrite(path, GRAY, resolution=(72, 72), description="a tag"),
    "tiles.tif": lambda path: tifffile.imwrite(path, GRAY, tile=(16, 16), compression="zlib"),
    "lzw.tiff": lambda path: Image.fromarray(GRAY).save(path, compression="tiff_lzw"),
    "single.dcm": lambda path: save(
        make(GRAY.astype(np.uint16) * 16, bits=12, WindowCenter=2048, WindowWidth=4096), path
    ),
}
DEEP: dict[str, Writer] = {
    "first.nii": lambda path: nib.Nifti1Image(VOLUME.T, np.diag([1, 1, 2, 1])).to_filename(path),
    "second.nii": lambda path: nib.Nifti2Image(VOLUME.T, np.diag([-1, -1, 1, 1])).to_filename(path),
    "packed.nii.gz": lambda path: nib.Nifti1Image(VOLUME.T.astype(np.float32), np.eye(4)).to_filename(path),
    "pair.img": lambda path: nib.Nifti1Pair(VOLUME.T, np.diag([1, 1, 2, 1])).to_filename(path),
    "nrrd.nrrd": write_with_itk,
    "nrrd-packed.nrrd": write_with_itk,
    "meta.mha": write_with_itk,
    "meta-packed.mha": write_with_itk,
    "frames.dcm": lambda path: save(make(VOLUME.astype(np.uint16), bits=12, NumberOfFrames=16), path),
    "series": lambda path: write_series(path, VOLUME.astype(np.uint16), "abcdefghijklmnop"),
}


def cut(content: bytes, percent: int) -> bytes:
    return content[: len(content) * percent // 100]


def flip(content: bytes, generator: random.Random) -> bytes:
    """One bit, mostly of what may be a header."""
    damaged = bytearray(content)
    damaged[generator.randrange(min(len(content), generator.choice((60, 400, 1 << 20))))] ^= 1 << generator.randrange(8)
    return bytes(damaged)


def write_damaged(dataset: Path, name: str, write: Writer, flips: int) -> None:
    """A good case of a format and one for every way to damage it, of a series one slice, of a pair the header."""
    generator = random.Random(name)
    (dataset / "images").mkdir(parents=True, exist_ok=True)
    (dataset / "masks").mkdir(exist_ok=True)
    good = dataset / "images" / f"good {name}"
    write(good)
    grid = None
    if name in DEEP and name not in ("frames.dcm", "second.nii"):  # without a place, at SimpleITK's default place
        grid = read_with_itk(good) if good.is_dir() else SimpleITK.ReadImage(str(good))
    for way in ("good", *(f"cut {percent}" for percent in CUTS), *(f"flip {number}" for number in range(flips))):
        image = good.with_name(f"{way} {name}")
        if image != good:
            (shutil.copytree if good.is_dir() else shutil.copy)(good, image)
            file = image / "c.dcm" if image.is_dir() else image
            if image.suffix == ".img":
                file = image.with_suffix(".hdr")
                shutil.copy(good.with_suffix(".hdr"), file)
            content = file.read_bytes()
            file.write_bytes(cut(content, int(way[4:])) if way.startswith("cut") else flip(content, generator))
        mask = dataset / "masks" / (image.name if image.is_dir() else split_name(image.name)[0])
        if name in FLAT:
            write_array(mask.with_name(f"{mask.name}.png"), square(GRAY.shape))
            continue
        label = SimpleITK.GetImageFromArray(square(VOLUME.shape, 1))
        if grid is not None:
            label.CopyInformation(grid)
        SimpleITK.WriteImage(label, f"{mask}.nrrd")


@pytest.mark.filterwarnings("ignore")  # decoders complain about what they are given
@pytest.mark.parametrize(
    ("formats", "dims", "flips"),
    [
        pytest.param(FLAT, 2, 20, id="2D"),
        pytest.param(DEEP, 3, 6, id="3D"),
        pytest.param(FLAT, 2, 400, id="2D-many", marks=pytest.mark.slow),
        pytest.param(DEEP, 3, 200, id="3D-many", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_file_is_left_out_with_a_reason_or_protected_within_the_budget(
    tmp_path: Path, formats: dict[str, Writer], dims: int, flips: int
) -> None:
    dataset, out = tmp_path / "dataset", tmp_path / "out"
    for name, write in formats.items():
        write_damaged(dataset, name, write, flips)
    cases = find_cases(dataset)
    manifest = protect_dataset(cases, small_protector(1, dims), out, progress=False)

    done = {record.id for record in manifest.cases}
    reasons = {entry.id: entry.reason for entry in manifest.quarantined}
    assert done.isdisjoint(reasons) and done | reasons.keys() == {case.id for case in cases}
    assert {case_id for case_id in done if case_id.startswith("good")} == {
        f"good {split_name(name)[0]}" for name in formats
    }
    assert not [case_id for case_id in done if case_id.startswith("cut")]
    for reason in reasons.values():
        assert re.search(r"; \w", reason), f"{reason!r} names no cure"
    files = {name for record in manifest.cases for name in (record.image, record.label)}
    files |= {name.removesuffix(".img") + ".hdr" for name in files if name.endswith(".img")}
    assert {"/".join(name.split("/")[:2]) for name in tree(out)} == files | {MANIFEST}
    assert verify_folder(out, dataset, progress=False) == []

    dataset.rename(tmp_path / "moved")
    again = protect_dataset(
        find_cases(tmp_path / "moved"), small_protector(1, dims), tmp_path / "again", num_workers=1, progress=False
    )
    assert {entry.id: entry.reason for entry in again.quarantined} == reasons
    assert tree(tmp_path / "again") == tree(out)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in (*FLAT, *DEEP) if name != "series"] + ["segmentation.dcm"])
def test_a_damaged_mask_is_refused_by_name_or_holds_whole_numbers(tmp_path: Path, name: str) -> None:
    path, series = tmp_path / name, None
    if name in FLAT or name in DEEP:
        (FLAT | DEEP)[name](path)
    else:
        DEEP["series"](tmp_path / "series")
        series = read_image(tmp_path / "series")
        assert series.affine is not None
        masks = {(1, index): square(VOLUME.shape[1:], 1) for index in range(3, 9)}
        save(make_segmentation(masks, series.affine), path)
        assert read_label(path, series).any()
    content = path.read_bytes()
    generator = random.Random(name)
    for _ in range(25):
        path.write_bytes(flip(content, generator))
        try:
            label = read_label(path, series)
        except CodecError as error:
            assert str(error).startswith(name)
        else:
            assert label.dtype.kind in "iu" and len(label) == 1


def test_a_negative_side_is_refused(tmp_path: Path) -> None:
    """NumPy takes one for "whatever fits", and the file would be written back twice as long."""
    DEEP["first.nii"](tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[44:46] = (-18).to_bytes(2, "little", signed=True)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(CodecError, match=r"shape \(20, -18, 16\), must not be negative"):
        read_image(tmp_path / "a.nii")


def test_a_size_in_the_header_that_is_no_number_is_refused(tmp_path: Path) -> None:
    DEEP["nrrd.nrrd"](tmp_path / "a.nrrd")
    content = (tmp_path / "a.nrrd").read_bytes()
    assert content.count(b"(0.5,") == 1
    (tmp_path / "a.nrrd").write_bytes(content.replace(b"(0.5,", b"(0.u,"))
    with pytest.raises(CodecError, match=r"a\.nrrd: its voxels are 0 mm long along axis 0"):
        read_image(tmp_path / "a.nrrd")


def test_tags_that_cannot_be_written_are_known_before_anything_is_computed(tmp_path: Path) -> None:
    FLAT["tags.tif"](tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    resolution = (72).to_bytes(4, "little") + (1).to_bytes(4, "little")
    assert content.count(resolution) == 2
    (tmp_path / "a.tif").write_bytes(content.replace(resolution, bytes(8)))
    with pytest.raises(CodecError, match=r"a\.tif: cannot be read"):
        read_image(tmp_path / "a.tif")
