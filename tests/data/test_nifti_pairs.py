"""Finding, reading and writing NIfTI pairs: `NAME.hdr` and `NAME.img` are one image, half of it is none."""

import hashlib
import json
import os
import shutil
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.analyze import AnalyzeImage
from pair_files import AFFINE, KINDS, SHAPE, touch, write_pair
from protected_folder import noise, tree

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.codec import read_image, write_image
from monai_umed.data.labels import read_label
from monai_umed.io.checksum import sha256_path
from monai_umed.io.stored import CodecError
from monai_umed.io.suffixes import output_name


def test_a_pair_is_one_case_whatever_the_letters_of_its_endings(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.b.hdr", "images/a.b.img", "images/C.HDR", "images/C.IMG", "images/d_0000.hdr")
    touch(tmp_path, "images/d_0000.img", "masks/a.b.png", "masks/C.hdr", "masks/C.img", "masks/d.nii")
    cases = find_cases(tmp_path)
    assert [(case.id, case.image.name) for case in cases] == [
        ("C", "C.IMG"),
        ("a.b", "a.b.img"),
        ("d", "d_0000.img"),
    ]
    assert cases[0].label == tmp_path / "masks" / "C.img"
    entries = [{"image": "images/a.b.img", "label": "masks/C.img"}]
    (tmp_path / "list.json").write_text(json.dumps({"training": entries}))
    assert [case.id for case in find_cases(tmp_path / "list.json")] == ["a.b"]


# file -> (other files beside it, what is wrong with it)
HALVES: dict[str, tuple[list[str], str]] = {
    "a.img": ([], "half of a pair without a.hdr; put that beside it, or save both as one .nii.gz file"),
    "a.hdr": ([], "half of a pair without a.img; put that beside it"),
    "A.IMG": (["A.hdr"], "half of a pair without A.HDR"),
    "a.img.gz": (["a.hdr.gz"], "half of a compressed pair; unpack both halves with gunzip"),
    "a.hdr.gz": (["a.img.gz"], "half of a compressed pair; unpack both halves"),
}


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("place", ["images", "masks"])
def test_half_of_a_pair_is_named_with_a_cure(tmp_path: Path, place: str, name: str) -> None:
    others, reason = HALVES[name]
    touch(tmp_path, "images/b.png", "masks/b.png", *(f"{place}/{half}" for half in (name, *others)))
    (tmp_path / "list.json").write_text(
        json.dumps({"training": [{"image": f"{place}/{name}", "label": "masks/b.png"}]})
    )
    for dataset in (tmp_path, tmp_path / "list.json"):
        with pytest.raises(DatasetError) as error:
            find_cases(dataset)
        assert f"{place}/{name}: {reason}" in str(error.value)
    for read in (read_image, read_label):
        with pytest.raises(CodecError) as refused:
            read(tmp_path / place / name)
        assert str(refused.value).startswith(f"{name}: {reason}")


def test_a_header_is_no_image_and_a_third_file_of_the_same_name_is_refused(tmp_path: Path) -> None:
    touch(
        tmp_path, "images/a.hdr", "images/a.img", "images/a.nii", "masks/a.png", "images/b.img/1.dcm", "masks/b.img.nii"
    )
    with pytest.raises(DatasetError) as error:
        find_cases(tmp_path)
    assert "images/a.nii: same name as a.img" in str(error.value)
    assert "images/b.img: a folder with the ending of a NIfTI pair (.hdr, .img); rename it" in str(error.value)
    (tmp_path / "dataset.json").write_text(
        json.dumps({"training": [{"image": "images/a.hdr", "label": "masks/a.png"}]})
    )
    with pytest.raises(DatasetError, match=r"images/a\.hdr: the header of a pair; name a\.img instead"):
        find_cases(tmp_path / "dataset.json")
    with pytest.raises(CodecError, match=r"missing\.img: the file does not exist"):
        read_image(tmp_path / "missing.img")


def test_an_analyze_pair_is_refused_because_its_sides_are_uncertain(tmp_path: Path) -> None:
    AnalyzeImage(noise(SHAPE).astype(np.int16), AFFINE).to_filename(tmp_path / "a.img")
    with pytest.raises(
        CodecError, match=r"neither magic of a NIfTI pair.*left from right; convert it to one \.nii\.gz"
    ):
        read_image(tmp_path / "a.img")


def test_a_single_file_with_the_header_of_a_pair_is_refused(tmp_path: Path) -> None:
    write_pair(tmp_path / "a.img").with_suffix(".hdr").rename(tmp_path / "a.nii")
    with pytest.raises(CodecError, match=r"two files; give it the endings \.hdr and \.img, or save it as one"):
        read_image(tmp_path / "a.nii")


def test_voxels_inside_of_the_header_are_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    voxels = noise(SHAPE).astype(np.int16)
    nib.Nifti1Image(voxels, AFFINE).to_filename(path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 108, 0)
    path.write_bytes(content)
    with pytest.raises(CodecError, match=r"begin at byte 0 \(vox_offset\), inside of its header; .* set it to 352"):
        read_image(path)
    struct.pack_into("<f", content, 108, 352)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_image(path).array[0], voxels)


def test_a_quaternion_that_is_no_rotation_is_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    path, again = tmp_path / "a.nii", tmp_path / "b.nii"
    voxels = noise(SHAPE).astype(np.int16)
    nib.Nifti1Image(voxels, AFFINE).to_filename(path)
    content = bytearray(path.read_bytes())
    content[252:268] = struct.pack("<hhfff", 1, 0, 0.9, 0.9, 0.9)
    path.write_bytes(content)
    with pytest.raises(CodecError, match=r"qform is not a rotation: .* longer than 1; load and save it with SimpleITK"):
        read_image(path)
    SimpleITK.WriteImage(SimpleITK.ReadImage(path), again)
    np.testing.assert_array_equal(read_image(again).array[0], voxels)


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_a_damaged_header_is_refused_by_name_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    source = write_pair(folder / "source.img", kind=KINDS[kind])
    header = bytearray(source.with_suffix(".hdr").read_bytes())
    if data.draw(st.booleans()):
        header[data.draw(st.integers(0, len(header) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del header[data.draw(st.integers(0, len(header) - 1)) :]
    shutil.copy(source, folder / "a.img")
    (folder / "a.hdr").write_bytes(header)
    try:
        image = read_image(folder / "a.img")
    except CodecError as error:
        assert str(error).startswith("a.img: ")
    else:
        write_image(folder / "b.img", image.array, image)
        assert (folder / "b.hdr").read_bytes() == header and (folder / "b.img").read_bytes() == source.read_bytes()


def test_voxels_may_begin_anywhere_but_before_the_file(tmp_path: Path) -> None:
    source = write_pair(tmp_path / "a.img")
    expected = read_image(source).array
    header = bytearray(source.with_suffix(".hdr").read_bytes())
    for offset in (32, -16):
        header[108:112] = np.float32(offset).tobytes()
        (tmp_path / "b.hdr").write_bytes(header)
        (tmp_path / "b.img").write_bytes(b"x" * 32 + source.read_bytes() + b"rest")
        if offset < 0:
            with pytest.raises(CodecError, match="begin at byte -16"):
                read_image(tmp_path / "b.img")
            continue
        image = read_image(tmp_path / "b.img")
        np.testing.assert_array_equal(image.array, expected)
        write_image(tmp_path / "c.img", image.array, image)
        assert sha256_path(tmp_path / "c.img") == sha256_path(tmp_path / "b.img")


def test_a_pair_is_written_as_a_pair_only_and_a_file_never_as_one(tmp_path: Path) -> None:
    pair = read_image(write_pair(tmp_path / "a.img"))
    nib.Nifti1Image(pair.array[0], AFFINE).to_filename(tmp_path / "b.nii")
    single = read_image(tmp_path / "b.nii")
    for image, name in ((pair, "c.nii"), (pair, "c.hdr"), (single, "c.img")):
        with pytest.raises(CodecError, match=r"cannot be written as \.\w+; keep its ending"):
            write_image(tmp_path / name, image.array, image)
    assert not list(tmp_path.glob("c.*")) and output_name("a.IMG") == "a.IMG"


@pytest.mark.parametrize("call", [1, 2])
def test_a_disk_that_is_full_leaves_both_old_files_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    image = read_image(write_pair(tmp_path / "a.img"))
    before, sync, calls = tree(tmp_path), os.fsync, iter(range(1, 9))

    def full(descriptor: int) -> None:
        if next(calls) == call:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_image(tmp_path / "a.img", image.array + np.int16(1), image)
    assert tree(tmp_path) == before


def test_convention_the_checksum_of_a_pair_covers_both_files_and_not_their_name(tmp_path: Path) -> None:
    source = write_pair(tmp_path / "a.img")
    digests = {part: hashlib.sha256(source.with_suffix(part).read_bytes()).hexdigest() for part in (".hdr", ".img")}
    lines = "".join(f"{digest}  {part}\0" for part, digest in digests.items())
    assert sha256_path(source) == hashlib.sha256(lines.encode()).hexdigest()
    for part in digests:
        shutil.copy(source.with_suffix(part), tmp_path / f"B{part.upper()}")
    assert sha256_path(tmp_path / "B.IMG") == sha256_path(source)


def test_a_datalist_does_not_follow_a_header_out_of_its_folder(tmp_path: Path) -> None:
    write_pair(tmp_path / "secret.img")
    touch(tmp_path, "data/a.img", "data/a.png")
    (tmp_path / "data" / "a.hdr").symlink_to(tmp_path / "secret.hdr")
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"training": [{"image": "a.img", "label": "a.png"}]}))
    with pytest.raises(DatasetError, match=r"a\.img: a\.hdr is a link that leaves the dataset's folder"):
        find_cases(tmp_path / "data")
