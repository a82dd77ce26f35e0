"""Sealed DICOM series: every slice comes back bit by bit under its own name, or nothing is written and it says why."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from damage import flip, truncate
from dicom_files import read_with_itk, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from protected_folder import noise, square, tree
from pydicom import uid
from sealed_folders import KEY, OTHER_KEY, Folders, copy_folders, folders_in, protect_and_seal, restore_all

from monai_umed.data.case import CaseError, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, CaseRecord, Manifest
from monai_umed.io.checksum import sha256_path
from monai_umed.io.content import Content, read_content, sha256_content
from monai_umed.sealing.restore import CaseReport, restore_dataset, seal_dataset
from monai_umed.sealing.seal import ChangedFileError, DamagedError, SwappedError, WrongKeyError, open_case, seal_case

SHAPE = (22, 24, 18)
SLICES = "caebdfghijklmnopqr"

names = st.text("abcdef 1.(\u00fc\udcff", min_size=1, max_size=6).filter(lambda name: not name.startswith("."))
folders_of_bytes = st.dictionaries(names, st.binary(max_size=60), max_size=5)


def describe(original: Content, protected: Content, case_id: str = "a") -> CaseRecord:
    return CaseRecord(
        id=case_id,
        image=f"images/{case_id}",
        label=f"masks/{case_id}.nrrd",
        source=case_id,
        sha256_before=sha256_content(original),
        sha256_after=sha256_content(protected),
        label_sha256=hashlib.sha256(b"mask").hexdigest(),
        shape=(1, 16, 16, 16),
        dtype="uint16",
        intensity_window=(0, 255),
        max_abs_delta=4,
        psnr=40.0,
        ssim=0.99,
        perturbed_fraction=0.1,
    )


@settings(max_examples=200, deadline=None)
@given(folders_of_bytes, folders_of_bytes)
def test_opening_gives_all_slices_whatever_the_protected_ones_are(
    original: dict[str, bytes], protected: dict[str, bytes]
) -> None:
    record = describe(original, protected)
    assert open_case(seal_case(original, protected, record, KEY), protected, record, KEY) == original


@settings(max_examples=50, deadline=None)
@given(folders_of_bytes)
def test_the_order_of_the_slices_does_not_matter(original: dict[str, bytes]) -> None:
    turned = dict(reversed(original.items()))
    record = describe(original, turned)
    assert record.sha256_before == record.sha256_after
    assert len(seal_case(original, turned, record, KEY)) == len(seal_case(turned, original, record, KEY))


def test_convention_content_in_memory_has_the_checksum_of_its_files(tmp_path: Path) -> None:
    for name in ("b", "\u00e4", "a b", ".hidden", "Thumbs.db"):
        (tmp_path / name).write_bytes(name.encode())
    assert sha256_content(read_content(tmp_path)) == sha256_path(tmp_path)
    assert sha256_content(read_content(tmp_path / "b")) == sha256_path(tmp_path / "b")
    assert read_content(tmp_path) == {name: name.encode() for name in ("a b", "b", "\u00e4")}


def test_slices_are_compared_with_their_own_protected_versions_and_share_what_they_have_in_common() -> None:
    pixels = {name: noise((20_000,), seed=seed).astype(np.uint8).tobytes() for seed, name in enumerate("abcd")}
    header = noise((5_000,), seed=9).astype(np.uint8).tobytes()
    original = {name: header + values for name, values in pixels.items()}
    protected = {
        name: bytes(value ^ (index % 100 == 0) for index, value in enumerate(values)) for name, values in pixels.items()
    }
    sealed = seal_case(original, protected, describe(original, protected), KEY)
    assert len(sealed) < len(header) + 0.05 * 4 * 20_000 + 1000


SERIES = {"1.dcm": b"header" + bytes(range(250)), "2.dcm": b"header" + bytes(range(1, 251))}
RECORD = describe(SERIES, SERIES)


@pytest.mark.parametrize("name", ["../evil.dcm", "/tmp/evil.dcm", "deeper/evil.dcm", "..", ".", "", ".profile", "a\0b"])
def test_whoever_has_the_key_cannot_name_a_slice_that_lies_elsewhere(name: str) -> None:
    original = SERIES | {name: b"evil"}
    record = describe(original, SERIES)
    sealed = seal_case(original, SERIES, record, KEY)
    with pytest.raises(CaseError, match="no plain file name"):
        open_case(sealed, SERIES, record, KEY)


def test_a_file_and_a_folder_are_not_sealed_together() -> None:
    for original, protected in ((SERIES, b"file"), (b"file", SERIES)):
        with pytest.raises(CaseError, match="one of original and protected image is a file, the other several"):
            seal_case(original, protected, describe(original, protected), KEY)


@pytest.mark.parametrize(
    "changed", [{}, SERIES | {"2.dcm": b"x"}, SERIES | {"3.dcm": b""}, {"1.dcm": SERIES["1.dcm"]}, b"file"]
)
def test_any_change_of_the_protected_series_is_told(changed: Mapping[str, bytes] | bytes) -> None:
    with pytest.raises(ChangedFileError, match="protected image"):
        open_case(seal_case(SERIES, SERIES, RECORD, KEY), changed, RECORD, KEY)


def test_renamed_slices_are_not_the_series_of_the_manifest() -> None:
    renamed = {"1.dcm": SERIES["2.dcm"], "2.dcm": SERIES["1.dcm"]}
    with pytest.raises(ChangedFileError, match="the original is not"):
        seal_case(renamed, SERIES, RECORD, KEY)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_damage(data: st.DataObject) -> None:
    sealed = bytearray(seal_case(SERIES, SERIES, RECORD, KEY))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedError):
        open_case(bytes(sealed), SERIES, RECORD, KEY)


def test_series_have_a_format_of_their_own_that_cannot_be_forged() -> None:
    sealed = seal_case(SERIES, SERIES, RECORD, KEY)
    assert sealed[16] == 2 and seal_case(b"a", b"b", describe(b"a", b"b"), KEY)[16] == 1
    body = bytearray(sealed[:-32])
    body[16] = 1
    with pytest.raises(DamagedError):
        open_case(bytes(body) + hashlib.sha256(body).digest(), SERIES, RECORD, KEY)


# A file that version 0.1.0 sealed when it knew single files only: bytes 0 to 249 eight times behind b"header", with
# the case of tests/test_seal.py named "a" and the key of bytes 0 to 31.
OLD_SEALED = base64.b85decode(
    "ZEtR2X<v11Wn>_8WnpXz0ev6MKMlWXc(&3&3X$omG{~LomDnbRip2Df@H}EK4`BJ(7nC1YsvJJr(f|MfOnV|}WFk5sB4HvdAR=jPVP|C`Iv^"
    "rxZDD6+b1z{oaBgQJEFdCmVPa)$B03-<ZDDh3b1z{oaBgQJEFdCmVPa)$Uvp?-GBq|LIv^r6IAUfwVl-wkG%{ggG&N&kV>V_pGh=2sIW#dfV"
    "q;-8V_`UDFgG?ZIAJg|F)}kZVPQ8mH8wD2Wn(fjFf?K!EFdCtXkjunHeX?8bY*fPIv^rtG+|~lHaKQAHZe6fH8e10G&4A3HDY8iIbt&~W-~T"
    "rHa221VPQ8nGBajkVK+5mIAJn1Ibk_5W@KY!WiVnQEFdCtXkjunHeX_8W^Zz3B03-<WjHrCW;Zl3IXE*hV=^{nWMwcgWin$nGGsPmVq-OBHZ"
    "Wl@HZWmkGB7nTGh;MlVlZT7HDow7H)3HmVKy>3A}k;xb8mHWV`U;bAR=KdYH(*FeV4TuN|#khXmvI76~k%NPyWc5`fqnxiu;CcjMf-F^;J&*"
    "yliG_YNR{B<e=eDNH22U&?W_^RrP|fEKVa57^$bwqQfiuYlm=@{QomBw|9}s<qZhzGoC8gR~}NQ-iS?21zJUkP=d0e0uER@H{nTmk7b*Fsp?"
    "7Yllvih&Bp*{tu7on|2|aCG!(6rwZ>byGm{za`<~Vs-{My"
)


def test_files_that_were_sealed_before_series_could_be_still_open() -> None:
    original, protected = b"header" + bytes(range(250)) * 8, b"new header" + bytes(range(1, 251)) * 8
    record = replace(describe(original, protected), image="images/a.png", label="masks/a.png", source="a.jpg")
    assert open_case(OLD_SEALED, protected, record, KEY) == original


def write_case(dataset: Path, name: str, seed: int = 0, compressed: bool = False) -> None:
    """A series of 18 slices with a label, and files in its folder that are no part of it."""
    pixels = noise(SHAPE[::-1], 4096, seed).astype(np.uint16)
    folder = write_series(dataset / "images" / name, pixels, SLICES)
    label = SimpleITK.GetImageFromArray(square(SHAPE, 1).T)
    label.CopyInformation(read_with_itk(folder))
    (dataset / "masks").mkdir(exist_ok=True)
    SimpleITK.WriteImage(label, str(dataset / "masks" / f"{name}.nrrd"))
    for path in folder.iterdir() if compressed else ():
        slice_ = pydicom.dcmread(path)
        slice_.compress(uid.RLELossless, generate_instance_uid=False)
        slice_.save_as(path)
    for junk in (".DS_Store", "Thumbs.db"):
        (folder / junk).write_bytes(b"junk")


def wanted(folders: Folders, *cases: str) -> dict[str, str]:
    """Checksums of the files that restoring these cases must give."""
    junk = (".DS_Store", "Thumbs.db")
    files = {name: digest for name, digest in tree(folders.dataset).items() if not name.endswith(junk)}
    return {name: digest for name, digest in files.items() if Path(name).parts[1].split(".")[0] in cases}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Two series and a single file, protected and sealed once."""
    folders = folders_in(tmp_path_factory.mktemp("made"))
    for seed, name in enumerate("ab"):
        write_case(folders.dataset, name, seed)
    volume = SimpleITK.GetImageFromArray(noise(SHAPE, 2000).astype(np.int16).T)
    SimpleITK.WriteImage(volume, str(folders.dataset / "images" / "c.nrrd"))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(square(SHAPE, 1).T), str(folders.dataset / "masks" / "c.nrrd"))
    assert protect_and_seal(folders, spatial_dims=3) == CaseReport(done=["a", "b", "c"])
    return folders


@pytest.fixture
def folders(made: Folders, tmp_path: Path) -> Folders:
    return copy_folders(made, tmp_path)


def test_series_and_files_come_back_bit_by_bit_and_inputs_stay(folders: Folders) -> None:
    before = [tree(folder) for folder in folders[:3]]
    assert restore_all(folders) == CaseReport(done=["a", "b", "c"])
    assert tree(folders.output) == wanted(folders, "a", "b", "c")
    assert [tree(folder) for folder in folders[:3]] == before
    for record in Manifest.load(folders.protected / MANIFEST).cases[:2]:
        assert sha256_path(folders.output / "images" / record.source) == record.sha256_before
        assert len(list((folders.output / "images" / record.source).iterdir())) == len(SLICES)


def test_a_sealed_series_is_one_file_and_smaller_than_the_series(folders: Folders) -> None:
    assert tree(folders.sealed).keys() == {f"images/{name}.sealed" for name in ("a", "b", "c.nrrd")}
    size = sum(path.stat().st_size for path in (folders.dataset / "images" / "a").iterdir())
    assert (folders.sealed / "images" / "a.sealed").stat().st_size < 0.5 * size


def test_compressed_slices_come_back_bit_by_bit(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    write_case(folders.dataset, "a", compressed=True)
    assert protect_and_seal(folders, spatial_dims=3).done == ["a"] and restore_all(folders).done == ["a"]
    assert tree(folders.output) == wanted(folders, "a")


def test_chosen_cases_alone_are_restored(folders: Folders) -> None:
    assert restore_all(folders, cases=["b"]).done == ["b"]
    assert tree(folders.output) == wanted(folders, "b")


def test_a_wrong_key_writes_nothing(folders: Folders) -> None:
    with pytest.raises(WrongKeyError, match="another key"):
        restore_all(folders, OTHER_KEY)
    assert not folders.output.exists()


def take_neighbor(path: Path) -> None:
    shutil.copy(path.with_name("b.sealed"), path)


def rename(path: Path) -> None:
    path.rename(path.with_name("z.dcm"))


def add(path: Path) -> None:
    shutil.copy(path, path.with_name("z.dcm"))


def link_outside(path: Path) -> None:
    outside = path.parents[3] / "outside"
    path.rename(outside)
    path.symlink_to(outside)


def nest(path: Path) -> None:
    path.with_name("deeper").mkdir()


SEALED, SLICE = "sealed/images/a.sealed", "protected/images/a/k.dcm"


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        (SEALED, flip, "sealed file is damaged or incomplete"),
        (SEALED, truncate, "sealed file is damaged or incomplete"),
        (SEALED, take_neighbor, "sealed file is that of case 'b'"),
        (SEALED, Path.unlink, "a.sealed is missing; fetch it again"),
        (SEALED, link_outside, "a link that leaves"),
        (SLICE, flip, "protected image is not the file that the manifest describes"),
        (SLICE, truncate, "protected image is not the file"),
        (SLICE, rename, "protected image is not the file"),
        (SLICE, add, "protected image is not the file"),
        (SLICE, Path.unlink, "protected image is not the file"),
        (SLICE, link_outside, "a link that leaves"),
        (SLICE, nest, "Is a directory"),
        ("protected/images/a", shutil.rmtree, "a is missing; fetch it again"),
        ("protected/masks/a.nrrd", flip, "mask is not the file that the manifest describes"),
    ],
)
def test_a_bad_file_is_listed_with_its_reason_and_the_others_are_restored(
    folders: Folders, name: str, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(folders.sealed.parent / name)
    report = restore_all(folders)
    assert report.done == ["b", "c"]
    [failure] = report.failed
    assert failure.id == "a" and reason in failure.reason
    assert tree(folders.output) == wanted(folders, "b", "c")


def test_a_manifest_of_other_names_is_refused(folders: Folders) -> None:
    path = folders.protected / MANIFEST
    content = json.loads(path.read_text())
    content["cases"][0]["source"] = "z"
    path.write_text(json.dumps(content))
    [failure] = restore_all(folders).failed
    assert "differ in source" in failure.reason and not (folders.output / "images" / "z").exists()
    content["cases"][0] |= {"source": "a", "label": "images/b/a.nrrd"}
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"images/b/a\.nrrd: it would be written into images/b"):
        restore_all(folders)


def test_originals_in_place_are_kept_also_beside_hidden_files(folders: Folders) -> None:
    before = tree(folders.dataset)
    report = restore_dataset(folders.protected, folders.sealed, folders.dataset, key=KEY, progress=False)
    assert report == CaseReport(kept=["a", "b", "c"]) and tree(folders.dataset) == before


def remove_a_slice(folder: Path) -> None:
    (folder / "k.dcm").unlink()


def change_a_slice(folder: Path) -> None:
    flip(folder / "k.dcm")


def add_a_note(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("mine")


@pytest.mark.parametrize("spoil", [remove_a_slice, change_a_slice, add_a_note, replace_by_a_file])
def test_what_lies_in_the_place_of_a_series_is_never_overwritten(
    folders: Folders, spoil: Callable[[Path], None]
) -> None:
    assert restore_all(folders).done == ["a", "b", "c"]
    spoil(folders.output / "images" / "a")
    before = tree(folders.output)
    report = restore_all(folders)
    assert report.kept == ["b", "c"] and "exists with other content" in report.failed[0].reason
    assert tree(folders.output) == before


@pytest.mark.parametrize("name", ["images", "images/a", "images/a/k.dcm"])
def test_links_out_of_the_output_are_not_followed(folders: Folders, name: str) -> None:
    restore_all(folders, cases=["a"])
    outside, link = folders.output.parent / "outside", folders.output / name
    link.rename(outside)
    link.symlink_to(outside)
    before = tree(outside)
    report = restore_all(folders, cases=["a"])
    assert "a link that leaves" in report.failed[0].reason and tree(outside) == before


def test_an_interrupted_series_is_not_there_at_all_and_a_later_run_finishes(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(len(SLICES)))

    def interrupted(descriptor: int) -> None:
        if next(calls) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore_all(folders)
    monkeypatch.undo()
    assert not list((folders.output / "images").iterdir())
    assert restore_all(folders).done == ["a", "b", "c"] and tree(folders.output) == wanted(folders, "a", "b", "c")


def test_an_original_series_that_changed_is_not_sealed(folders: Folders) -> None:
    shutil.rmtree(folders.sealed)
    flip(folders.dataset / "images" / "a" / "k.dcm")
    report = seal_dataset(find_cases(folders.dataset), folders.protected, folders.sealed, key=KEY, progress=False)
    assert report.done == ["b", "c"] and "original is not the file" in report.failed[0].reason


def test_sealing_again_keeps_good_series_and_replaces_bad_ones(folders: Folders) -> None:
    flip(folders.sealed / "images" / "b.sealed")
    before = tree(folders.sealed)
    report = seal_dataset(find_cases(folders.dataset), folders.protected, folders.sealed, key=KEY, progress=False)
    assert report == CaseReport(done=["b"], kept=["a", "c"])
    assert {name for name, digest in tree(folders.sealed).items() if before[name] != digest} == {"images/b.sealed"}


def test_a_series_of_another_release_is_swapped(made: Folders) -> None:
    first, second = Manifest.load(made.protected / MANIFEST).cases[:2]
    sealed = (made.sealed / "images" / "b.sealed").read_bytes()
    protected = read_content(made.protected / "images" / "a")
    with pytest.raises(SwappedError, match="case 'b'"):
        open_case(sealed, protected, first, KEY)
    with pytest.raises(SwappedError, match="differ in sha256_after"):
        open_case(sealed, protected, replace(second, sha256_after=first.sha256_after), KEY)
