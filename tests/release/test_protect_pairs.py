"""NIfTI pairs from a dataset to its protected copy and back: two files that never go separate ways."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import itk
import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from pair_files import AFFINE, KINDS, touch, write_mask, write_pair
from protected_folder import small_protector, tree

from monai_umed.data.case import CaseError, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED, Manifest
from monai_umed.io.atomic import leftovers
from monai_umed.io.checksum import sha256_path
from monai_umed.io.content import sha256_content
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import Problem, verify_folder
from monai_umed.sealing.restore import CaseReport, restore_dataset, seal_dataset
from monai_umed.sealing.seal import open_case, seal_case

KEY = bytes(range(32))


class Folders(NamedTuple):
    """A small dataset, its protected copy and what was sealed."""

    dataset: Path
    protected: Path
    sealed: Path


def protect(folders: Folders) -> Manifest:
    return protect_dataset(find_cases(folders.dataset), small_protector(1, 3), folders.protected, progress=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A pair of each kind with a pair for a mask, protected and sealed once."""
    root = tmp_path_factory.mktemp("pairs")
    folders = Folders(*(root / name for name in Folders._fields))
    for seed, (name, kind) in enumerate(KINDS.items()):
        write_pair(folders.dataset / "images" / f"{name}.img", seed, kind)
        write_mask(folders.dataset / "masks" / f"{name}.img")
    assert [record.id for record in protect(folders).cases] == [*KINDS]
    report = seal_dataset(find_cases(folders.dataset), folders.protected, folders.sealed, key=KEY, progress=False)
    assert report == CaseReport(done=[*KINDS])
    return folders


@pytest.fixture
def folders(made: Folders, tmp_path: Path) -> Folders:
    """A copy that a test may spoil."""
    for folder in made:
        shutil.copytree(folder, tmp_path / folder.name)
    return Folders(*(tmp_path / name for name in Folders._fields))


def check(folders: Folders, originals: bool = True) -> list[Problem]:
    return verify_folder(folders.protected, folders.dataset if originals else None, progress=False)


def restore(folders: Folders) -> tuple[Path, CaseReport]:
    output = folders.dataset.with_name("output")
    return output, restore_dataset(folders.protected, folders.sealed, output, key=KEY, progress=False)


@pytest.mark.parametrize("name", KINDS)
def test_a_protected_pair_keeps_its_header_bit_by_bit_and_its_place_in_every_reader(made: Folders, name: str) -> None:
    before, after = (folder / "images" / f"{name}.img" for folder in (made.dataset, made.protected))
    assert after.with_suffix(".hdr").read_bytes() == before.with_suffix(".hdr").read_bytes()
    assert after.stat().st_size == before.stat().st_size
    old, new = (nib.load(path) for path in (before, after))
    assert old.header == new.header and (old.affine == new.affine).all() and (new.affine == AFFINE).all()  # type: ignore[attr-defined]
    values = np.asarray(new.dataobj)  # type: ignore[attr-defined]
    change = np.abs(values.astype(int) - np.asarray(old.dataobj))  # type: ignore[attr-defined]
    assert 0 < change.max() <= 4 / 255 * 2000
    if name == "ni2":  # which ITK cannot read, from one file neither
        return
    old_itk, new_itk = (SimpleITK.ReadImage(str(path)) for path in (before, after))
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection", "GetPixelIDTypeAsString"):
        assert getattr(old_itk, get)() == getattr(new_itk, get)()
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(new_itk), values.T)
    old_itk, new_itk = (itk.imread(str(path)) for path in (before, after))
    np.testing.assert_array_equal(itk.array_from_image(new_itk), values.T)
    for get in ("GetSpacing", "GetOrigin"):
        assert list(getattr(old_itk, get)()) == list(getattr(new_itk, get)())
    np.testing.assert_array_equal(
        itk.array_from_matrix(old_itk.GetDirection()), itk.array_from_matrix(new_itk.GetDirection())
    )


def test_a_run_that_was_killed_between_the_two_files_ends_with_the_same_bytes(folders: Folders) -> None:
    before = tree(folders.protected)
    (folders.protected / MANIFEST).rename(folders.protected / UNFINISHED)
    (folders.protected / "images" / "ni1.img").unlink()
    (folders.protected / "images" / f".{32 * '0'}.tmp").touch()
    protect(folders)
    assert tree(folders.protected) == before and not leftovers(folders.protected)


@pytest.mark.parametrize("name", ["images/ni1.hdr", "masks/ni1.hdr"])
def test_a_finished_pair_whose_header_is_gone_is_written_again(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = tree(folders.protected)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Manifest, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        protect(folders)
    (folders.protected / name).unlink()
    assert not protect(folders).quarantined and tree(folders.protected) == before


def test_a_pair_that_turned_bad_leaves_neither_file_of_an_earlier_run(folders: Folders) -> None:
    (folders.dataset / "images" / "ni1.img").write_bytes(b"short")
    protect(folders)
    names = {f"{place}/ni2{part}" for place in ("images", "masks") for part in (".hdr", ".img")}
    assert tree(folders.protected).keys() == {MANIFEST, *names}


def test_a_file_that_is_half_of_nothing_in_the_output_is_never_overwritten(folders: Folders) -> None:
    out = folders.dataset.with_name("out")
    touch(out, "images/ni1.hdr")
    with pytest.raises(DatasetError, match=r"images/ni1\.hdr: not written by this program"):
        protect(folders._replace(protected=out))
    assert tree(out).keys() == {"images/ni1.hdr"}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200] ^= 1  # of a header, a letter of the description
    path.write_bytes(content)


def swap(first: Path, second: Path) -> None:
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])


def swap_pairs(images: Path) -> None:
    for part in (".hdr", ".img"):
        swap(images / f"ni1{part}", images / f"ni2{part}")


def copy_original(images: Path) -> None:
    for part in (".hdr", ".img"):
        shutil.copy(images.parents[1] / "dataset" / "images" / f"ni1{part}", images / f"old{part}")


def link_header(images: Path) -> None:
    outside = images.parents[1] / "dataset" / "images" / "ni1.hdr"
    (images / "ni1.hdr").unlink()
    (images / "ni1.hdr").symlink_to(outside)


# name -> (what is done to the protected images, id and part of the text of each problem, in order)
DAMAGES: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "changed header": (lambda images: flip(images / "ni1.hdr"), [("ni1", "images/ni1.img is not the file that")]),
    "changed voxels": (lambda images: flip(images / "ni1.img"), [("ni1", "images/ni1.img is not the file that")]),
    "no header": (lambda images: (images / "ni1.hdr").unlink(), [("ni1", "images/ni1.hdr is missing; fetch it again")]),
    "no voxels": (lambda images: (images / "ni1.img").unlink(), [("ni1", "images/ni1.img is missing; fetch it again")]),
    "no header of a mask": (
        lambda images: (images.parent / "masks" / "ni2.hdr").unlink(),
        [("ni2", "masks/ni2.hdr is missing")],
    ),
    "swapped headers": (
        lambda images: swap(images / "ni1.hdr", images / "ni2.hdr"),
        [("ni1", "images/ni1.img is not the file"), ("ni2", "images/ni2.img is not the file")],
    ),
    "swapped pairs": (
        swap_pairs,
        [("ni1", "is the protected image of case 'ni2'; put"), ("ni2", "is the protected image of case 'ni1'; put")],
    ),
    "link": (link_header, [("ni1", "ni1.hdr is a link that leaves"), ("images/ni1.hdr", "a link")]),
    "lone header": (lambda images: touch(images, "x.hdr"), [("images/x.hdr", "not in manifest.json")]),
    "lone voxels": (lambda images: touch(images, "x.img"), [("images/x.img", "not in manifest.json; remove it")]),
    "original beside": (
        copy_original,
        [("images/old.hdr", "not in manifest"), ("images/old.img", "the unprotected original of case 'ni1'; remove")],
    ),
}


@pytest.mark.parametrize("originals", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_named_with_and_without_originals(folders: Folders, damage: str, originals: bool) -> None:
    spoil, expected = DAMAGES[damage]
    assert check(folders, originals) == []
    spoil(folders.protected / "images")
    problems = check(folders, originals)
    assert [problem.id for problem in problems] == [case_id for case_id, _ in expected]
    for problem, (_, text) in zip(problems, expected, strict=True):
        assert text in problem.what


def test_originals_show_a_changed_header_that_a_manifest_agrees_with(folders: Folders) -> None:
    flip(folders.protected / "images" / "ni1.hdr")
    path = folders.protected / MANIFEST
    content = json.loads(path.read_text())
    content["cases"][0]["sha256_after"] = sha256_path(folders.protected / "images" / "ni1.img")
    path.write_text(json.dumps(content))
    assert check(folders, originals=False) == []
    assert [(problem.id, problem.what.split(";")[0]) for problem in check(folders)] == [
        ("ni1", "images/ni1.img has another header than its original")
    ]


def test_pairs_come_back_bit_by_bit_and_are_then_kept(folders: Folders) -> None:
    output, report = restore(folders)
    assert report == CaseReport(done=[*KINDS]) and tree(output) == tree(folders.dataset)
    assert restore(folders)[1] == CaseReport(kept=[*KINDS])


@pytest.mark.parametrize("part", [".hdr", ".img"])
def test_one_right_half_is_completed_and_a_wrong_one_is_never_overwritten(folders: Folders, part: str) -> None:
    images = folders.dataset.with_name("output") / "images"
    images.mkdir(parents=True)
    shutil.copy(folders.dataset / "images" / f"ni1{part}", images)
    (images / f"ni2{part}").write_bytes(b"mine")
    output, report = restore(folders)
    [failure] = report.failed
    assert report.done == ["ni1"] and f"ni2{part} exists with other content" in failure.reason
    names = {f"{place}/ni1{half}" for place in ("images", "masks") for half in (".hdr", ".img")}
    assert tree(output).keys() == {*names, f"images/ni2{part}"}
    assert (images / f"ni2{part}").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("images/ni1.hdr", flip, "protected image is not the file"),
        ("images/ni1.hdr", Path.unlink, "ni1.hdr is missing; fetch it again"),
        ("masks/ni1.hdr", flip, "mask is not the file"),
        ("masks/ni1.img", Path.unlink, "ni1.img is missing; fetch it again"),
    ],
)
def test_a_bad_half_is_listed_and_nothing_of_its_case_is_restored(
    folders: Folders, name: str, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(folders.protected / name)
    output, report = restore(folders)
    [failure] = report.failed
    assert report.done == ["ni2"] and failure.id == "ni1" and reason in failure.reason
    assert not list(output.glob("*/ni1*"))


@pytest.mark.parametrize("name", ["protected/images/ni1.hdr", "protected/masks/ni1.hdr", "output/images/ni1.hdr"])
def test_a_header_that_is_a_link_out_of_its_folder_is_not_followed(folders: Folders, name: str) -> None:
    outside, link = (
        folders.dataset.with_name("outside"),
        folders.dataset.with_name(name.split("/")[0]) / name[name.index("/") + 1 :],
    )
    outside.write_bytes(b"")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(outside)
    _, report = restore(folders)
    assert report.done == ["ni2"] and "ni1.hdr is a link that leaves" in report.failed[0].reason
    assert outside.read_bytes() == b""


def test_a_manifest_that_would_write_one_header_twice_is_refused(folders: Folders) -> None:
    path = folders.protected / MANIFEST
    content = json.loads(path.read_text())
    content["cases"][0]["source"] = "ni2.hdr"
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"images/ni2\.hdr: the header of a NIfTI pair, no image of its own"):
        restore(folders)


def test_whoever_has_the_key_cannot_pass_a_pair_for_a_series(folders: Folders) -> None:
    [record, _] = Manifest.load(folders.protected / MANIFEST).cases
    pair = {".hdr": b"header", ".img": b"voxels"}
    digest = sha256_content(pair)
    for source in ("ni1.img", "series"):
        described = replace(record, sha256_before=digest, sha256_after=digest, source=source)
        sealed = seal_case(pair, pair, described, KEY)
        if source == "ni1.img":
            assert open_case(sealed, pair, described, KEY) == pair
        else:
            with pytest.raises(CaseError, match="no plain file name"):
                open_case(sealed, pair, described, KEY)
