"""Files with every field of their headers overwritten, and cut anywhere: refused by name, or right, and never huge."""

from __future__ import annotations

import re
import resource
import struct
import tempfile
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import tifffile
from damaged_fields import GRAY, VOLUME, Damage, damages, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from protected_folder import square, tree, write_array
from pydicom import dcmread
from sealed_folders import KEY

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.codec import read_image
from monai_umed.data.manifest import MANIFEST
from monai_umed.io.stored import CodecError
from monai_umed.io.suffixes import split_name
from monai_umed.protectors.stamps import ConstantStamp
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import verify_folder
from monai_umed.sealing.restore import restore_dataset, seal_dataset

ROOM = 1 << 30  # bytes that a damaged file of a few kilobytes may make the process ask for


@contextmanager
def bounded_memory(room: int = ROOM) -> Iterator[None]:
    """Let the process ask for so many bytes more than it has; more is a `MemoryError`."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def is_plane(name: str) -> bool:
    return name.endswith((".png", ".bmp", ".jpg", ".tif", "plane.dcm"))


def write_dataset(folder: Path, damage: Damage, *, accompanied: bool) -> None:
    """A damaged image or label with a good other half, and a good case beside it if it is accompanied."""
    is_flat = is_plane(damage.sample)
    halves = {"images": GRAY if is_flat else VOLUME, "masks": square(GRAY.shape if is_flat else VOLUME.shape, 1)}
    bad = "masks" if damage.as_label else "images"
    for half, pixels in halves.items():
        (folder / half).mkdir(parents=True)
        names = [*(["bad"] if half != bad else []), *(["good"] if accompanied else [])]
        for name in names:
            if is_flat:
                write_array(folder / half / f"{name}.png", pixels)
            else:
                SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(folder / half / f"{name}.nrrd"))
    (folder / bad / f"bad{split_name(damage.sample)[1]}").write_bytes(damage.content)


def check_reason(text: str) -> None:
    """A cure, and no reason that only this machine has."""
    assert "; " in text and not re.search("memory|unable to allocate", text, re.IGNORECASE), text


def seen_by_others(path: Path) -> np.ndarray | None:
    """What is stored, as other libraries read it; None if they do not."""
    try:
        match split_name(path.name)[1]:
            case ".nii" | ".nii.gz":
                return np.asarray(nib.load(path).dataobj.get_unscaled())  # type: ignore[attr-defined]
            case ".nrrd" | ".mha":
                return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
            case ".tif":
                return tifffile.imread(path)
            case ".dcm":
                return dcmread(path, force=True).pixel_array
        return np.asarray(Image.open(path))
    except Exception:
        return None


def check_as_others_see_it(originals: Path, protected: Path) -> None:
    """For other libraries, too, a protected file has changed, a little, in the shape and type of its original."""
    [original] = originals.glob("bad.*")
    before, after = seen_by_others(original), seen_by_others(protected)
    if before is None:
        return
    assert after is not None and (after.shape, after.dtype) == (before.shape, before.dtype)
    change = np.abs(after.astype(np.float64) - before.astype(np.float64))
    assert 0 < np.nanmax(change) <= 8 / 255 * np.ptp(before[np.isfinite(before)].astype(np.float64)) + 16
    assert np.count_nonzero(change) <= 3 * np.count_nonzero(square(before.shape, 1))


def attempt(root: Path, damage: Damage, *, accompanied: bool) -> str:
    """Protect, verify, seal and restore a dataset with a damaged file.

    Returns:
        ``"right"`` or ``"refused"``; all else is an error.
    """
    dataset, out = root / "dataset", root / "out"
    write_dataset(dataset, damage, accompanied=accompanied)
    before = tree(dataset)
    ndim = 2 if is_plane(damage.sample) else 3
    protector = ConstantStamp(ndim, 1, eps=8 / 255, size=(16,) * ndim)
    with bounded_memory():
        try:
            manifest = protect_dataset(find_cases(dataset), protector, out, num_workers=1, progress=False)
        except DatasetError as error:
            assert not accompanied
            [text] = error.offenders
            assert text.startswith("bad: ")
            check_reason(text)
            assert tree(dataset) == before and not tree(out)
            return "refused"
        assert verify_folder(out, dataset, progress=False) == []
        assert not seal_dataset(find_cases(dataset), out, root / "sealed", key=KEY, progress=False).failed
        assert not restore_dataset(out, root / "sealed", root / "back", key=KEY, progress=False).failed
    done = {record.id for record in manifest.cases}
    assert done | {entry.id for entry in manifest.quarantined} == ({"bad", "good"} if accompanied else {"bad"})
    assert "good" in done or not accompanied
    for entry in manifest.quarantined:
        check_reason(entry.reason)
    files = {name for record in manifest.cases for name in (record.image, record.label)}
    assert set(tree(out)) == files | {MANIFEST}
    assert tree(dataset) == before
    back = tree(root / "back")
    assert back == {name: before[name] for name in back} and len(back) == 2 * len(done)
    if "bad" not in done:
        return "refused"
    [image] = [record.image for record in manifest.cases if record.id == "bad"]
    check_as_others_see_it(dataset / "images", out / image)
    return "right"


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> list[Damage]:
    folder = tmp_path_factory.mktemp("fields")
    return [damage for as_label in (False, True) for damage in damages(folder, as_label=as_label)]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, dict[str, bytes]]:
    """Whole files by whether they are masks, and by name."""
    folder = tmp_path_factory.mktemp("good")
    return {as_label: samples(folder, as_label=as_label) for as_label in (False, True)}


def attempt_any(fields: list[Damage], good: dict[bool, dict[str, bytes]], data: st.DataObject) -> None:
    """A field with another value, or a file that ends early, as an image or as a label."""
    if data.draw(st.integers(0, 2)):
        damage = data.draw(st.sampled_from(fields))
    else:
        as_label, name = data.draw(st.booleans()), data.draw(st.sampled_from(sorted(good[False])))
        content = good[as_label][name]
        size = data.draw(st.integers(0, len(content) - 1))
        damage = Damage(name, as_label, f"cut at {size}", content[:size])
    with tempfile.TemporaryDirectory() as root:
        attempt(Path(root), damage, accompanied=data.draw(st.integers(0, 3)) == 0)


@pytest.mark.filterwarnings("ignore")  # decoders complain about what they are given
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_header_is_refused_by_name_or_read_right(
    fields: list[Damage], good: dict[bool, dict[str, bytes]], data: st.DataObject
) -> None:
    attempt_any(fields, good, data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_ten_thousand_damaged_headers_are_refused_by_name_or_read_right(
    fields: list[Damage], good: dict[bool, dict[str, bytes]], data: st.DataObject
) -> None:
    attempt_any(fields, good, data)


def claim(name: str, content: bytes) -> bytes:
    """The header of a file with about 10 ** 12 pixels in the place of its own."""
    sides = b"10000 10000 10000"
    match name:
        case "volume.nii":
            return content[:42] + struct.pack("<3h", 10000, 10000, 10000) + content[48:]
        case "second.nii":
            return content[:24] + struct.pack("<3q", 10000, 10000, 10000) + content[48:]
        case "gray.png":
            header = b"IHDR" + struct.pack(">2I", 10**6, 10**6) + content[24:29]
            return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
        case "bitmap.bmp":
            return content[:18] + struct.pack("<2i", 10**6, 10**6) + content[26:]
        case "tags.tif" | "tiles.tif" | "lzw.tif":
            sides_of_tiff = rb"(?s)(\x00\x01|\x01\x01)[\x03\x04]\x00\x01\x00\x00\x00...."
            return re.sub(sides_of_tiff, _million, content)
        case "raw.nrrd" | "packed.nrrd":
            return content.replace(b"sizes: 20 18 16", b"sizes: " + sides)
        case "raw.mha" | "packed.mha":
            return content.replace(b"DimSize = 20 18 16", b"DimSize = " + sides)
        case _:
            data = dcmread(BytesIO(content))
            data.Rows = data.Columns = 65535
            data.NumberOfFrames = 233
            buffer = BytesIO()
            data.save_as(buffer, enforce_file_format=True)
            return buffer.getvalue()


def _million(match: re.Match[bytes]) -> bytes:
    """The entry of a TIFF file's width or length as 10 ** 6, of type LONG."""
    return match[1] + struct.pack("<HII", 4, 1, 10**6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["volume.nii", "second.nii", "gray.png", "bitmap.bmp", "tags.tif", "tiles.tif", "lzw.tif", "raw.nrrd",
     "packed.nrrd", "raw.mha", "packed.mha", "plane.dcm"],
)  # fmt: skip
def test_a_header_that_claims_a_million_million_pixels_is_refused_before_they_get_memory(
    good: dict[bool, dict[str, bytes]], name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(claim(name, good[False][name]))
    assert path.read_bytes() != good[False][name]
    tracemalloc.start()
    try:
        with bounded_memory(), pytest.raises(CodecError) as error:
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()
    check_reason(str(error.value))
