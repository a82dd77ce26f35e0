"""Folders of cases whose channels are files side by side, as in BraTS: one case each, or named by what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from protected_folder import noise, small_protector, square, write_array

from monai_umed.data.case import Case, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.codec import read_image
from monai_umed.io.stored import CodecError
from monai_umed.release.protect import protect_dataset

SHAPE = (40, 36)
OLD, NEW = ("flair", "t1", "t1ce", "t2"), ("t1c", "t1n", "t2f", "t2w")


def write(root: Path, *names: str) -> None:
    """Images, and masks where the name says so."""
    for name in names:
        is_mask = name.endswith(("seg.png", "mask.png", "seg_1.png"))
        write_array(root / name, square(SHAPE) if is_mask else noise(SHAPE, 250).astype("uint8"))


def write_case(root: Path, case: str, channels: tuple[str, ...], mark: str = "_", label: str = "seg") -> None:
    write(root, *(f"{case}/{case}{mark}{channel}.png" for channel in (*channels, label)))


def names(cases: list[Case]) -> list[tuple[str, str, str]]:
    return [(case.id, case.image.name, case.label.name) for case in cases]


def test_what_follows_the_name_of_the_case_names_a_channel(tmp_path: Path) -> None:
    write_case(tmp_path, "BraTS20_001", OLD)
    write_case(tmp_path, "BraTS-GLI-00000-000", NEW, "-")
    (tmp_path / "name_mapping.csv").touch()
    assert names(find_cases(tmp_path)) == [
        ("BraTS-GLI-00000-000", "BraTS-GLI-00000-000-{t1c,t1n,t2f,t2w}.png", "BraTS-GLI-00000-000-seg.png"),
        ("BraTS20_001", "BraTS20_001_{flair,t1,t1ce,t2}.png", "BraTS20_001_seg.png"),
    ]


def test_another_name_than_the_folders_is_in_the_id(tmp_path: Path) -> None:
    write(tmp_path, "p/x_0000.png", "p/x_0001.png", "p/x_mask.png")
    assert names(find_cases(tmp_path)) == [("p/x", "x_{0000,0001}.png", "x_mask.png")]


def test_names_of_channels_alone_count_if_two_folders_hold_them(tmp_path: Path) -> None:
    write(tmp_path, "p1/t1.png", "p1/t2.png", "p1/seg.png")
    with pytest.raises(DatasetError, match=r"p1/t1.png: no label beside it; .*list all cases in a dataset.json"):
        find_cases(tmp_path)
    write(tmp_path, "p2/t1.png", "p2/t2.png", "p2/seg.png")
    assert names(find_cases(tmp_path)) == [(case, "{t1,t2}.png", "seg.png") for case in ("p1", "p2")]


@pytest.mark.parametrize("kept", [OLD[:3], OLD[2:3]])
def test_a_case_that_lacks_channels_of_most_cases_names_them(tmp_path: Path, kept: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    for case, channels in (("a", OLD), ("b", OLD), ("c", kept)):
        write_case(data, case, channels)
    missing = ", ".join(f"c_{channel}.png" for channel in OLD if channel not in kept)
    with pytest.raises(CodecError, match=f"{missing} is missing, one of its channels"):
        read_image(find_cases(data)[-1].image)
    manifest = protect_dataset(find_cases(data), small_protector(4, 2), tmp_path / "out", progress=False)
    assert [record.id for record in manifest.cases] == ["a", "b"]
    assert f"{missing} is missing" in manifest.quarantined[0].reason


def test_a_case_with_more_channels_than_most_keeps_them(tmp_path: Path) -> None:
    for case, channels in (("a", ("t1",)), ("b", ("t1",)), ("c", ("t1", "t2"))):
        write_case(tmp_path, case, channels)
    assert [name for name, _, _ in names(find_cases(tmp_path))] == ["a/a_t1", "b/b_t1", "c"]
    assert len(read_image(find_cases(tmp_path)[-1].image).channels) == 2


def test_several_masks_of_such_a_case_are_merged_on_request(tmp_path: Path) -> None:
    write_case(tmp_path, "a", OLD)
    write(tmp_path, "a/a_seg_1.png")
    with pytest.raises(DatasetError, match=r"a/a_seg_1.png: a second mask beside a_seg.png; unite both with --merge"):
        find_cases(tmp_path)
    assert names(find_cases(tmp_path, merge_masks=True)) == [("a", "a_{flair,t1,t1ce,t2}.png", "a_{seg,seg_1}.png")]


@pytest.mark.parametrize(
    "files",
    [
        ("x.png", "x_2.png", "x_mask.png"),  # a picture with its mask, and another
        ("x_1.png", "x_2.png", "x_mask.png"),  # two photographs
        ("x_img.png", "x_t2.png", "x_mask.png"),
        ("x_t1.png", "y_t2.png", "x_mask.png"),
        ("x_t1.png", "x_t2.tif", "x_mask.png"),
        ("image.png", "t2.png", "mask.png"),
    ],
)
def test_images_that_may_be_no_channels_are_refused(tmp_path: Path, files: tuple[str, ...]) -> None:
    write(tmp_path, *(f"{folder}/{file}" for folder in "cd" for file in files))
    with pytest.raises(DatasetError, match="no label beside it"):
        find_cases(tmp_path)


def test_the_misnamed_label_of_brats_2020_is_named_and_the_cure_works(tmp_path: Path) -> None:
    case, label = "BraTS20_Training_355", "W39_1998.09.19_Segm"
    write_case(tmp_path, case, OLD)
    write_case(tmp_path, "BraTS20_Training_356", OLD)
    (tmp_path / case / f"{case}_seg.png").rename(tmp_path / case / f"{label}.png")
    with pytest.raises(DatasetError, match=rf"{case}/{label}.png: no label beside it; add it as NAME_mask"):
        find_cases(tmp_path)
    (tmp_path / case / f"{label}.png").rename(tmp_path / case / f"{case}_mask.png")
    assert [case.id for case in find_cases(tmp_path)] == [case, "BraTS20_Training_356"]
