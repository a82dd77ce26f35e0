"""Finding cases: all layouts, all mistakes at once, stable sections."""

import json
from pathlib import Path

import pytest

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.splits import hashed_section


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ids(root: Path, section: str = "all") -> list[str]:
    return [case.id for case in find_cases(root, section)]  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", ["masks", "labels"])
def test_images_pair_with_labels_of_equal_stem_whatever_the_ending(tmp_path: Path, labels: str) -> None:
    touch(tmp_path, "images/benign (1).png", f"{labels}/benign (1).png", "images/a.b c.JPG", f"{labels}/a.b c.png")
    touch(tmp_path, "images/v.1.nii.gz", f"{labels}/v.1.nii", "images/.hidden", "images/Thumbs.db")
    cases = find_cases(tmp_path)
    assert [case.id for case in cases] == ["a.b c", "benign (1)", "v.1"]
    assert cases[0].image == tmp_path / "images" / "a.b c.JPG"
    assert cases[0].label == tmp_path / labels / "a.b c.png"


def test_decathlon_folders_win_over_their_datalist(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/b.nii.gz", "labelsTr/b.nii.gz", "imagesTr/._b.nii.gz", "imagesTs/c.nii.gz")
    (tmp_path / "dataset.json").write_text("{}")
    assert ids(tmp_path) == ["b"]


def test_nnunet_channel_suffix_is_dropped_only_where_that_gives_a_pair(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/la_003_0000.nii.gz", "labelsTr/la_003.nii.gz")
    touch(tmp_path, "imagesTr/x_0000.nii.gz", "labelsTr/x_0000.nii.gz")
    assert ids(tmp_path) == ["la_003", "x_0000"]
    touch(tmp_path, "imagesTr/la_003_0001.nii")
    with pytest.raises(DatasetError, match=r"la_003_0001\.nii: a further channel of la_003; save all channels"):
        find_cases(tmp_path)


def test_channels_in_files_of_their_own_are_one_case(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}.nrrd" for name in ("a_0000", "a_0001", "b_0000", "b_0001", "c_0001", "d_0007")))
    touch(tmp_path, *(f"masks/{name}.nrrd" for name in ("a", "b_seg", "c", "d_0007")))
    cases = {case.id: case.image.name for case in find_cases(tmp_path)}
    both = {name: f"{name}_{{0000,0001}}.nrrd" for name in ("a", "b", "c")}  # of c one is missing
    assert cases == {**both, "d_0007": "d_0007.nrrd"}


def test_as_many_channels_as_most_cases_have_or_as_the_list_says(tmp_path: Path) -> None:
    touch(tmp_path, *(f"imagesTr/{name}_0000.nii.gz" for name in "abc"), *(f"labelsTr/{name}.nii.gz" for name in "abc"))
    assert [case.image.name for case in find_cases(tmp_path)] == [f"{name}_0000.nii.gz" for name in "abc"]
    touch(tmp_path, "imagesTr/b_0001.nii.gz")
    assert [case.image.name[1:] for case in find_cases(tmp_path)][:2] == ["_0000.nii.gz", "_{0000,0001}.nii.gz"]
    for ending, expected in ((".nii.gz", "a_{0000,0001}.nii.gz"), (".png", "a_0000.nii.gz")):
        fields = {"channel_names": {"0": "CT", "1": "PET"}, "file_ending": ending}
        (tmp_path / "dataset.json").write_text(json.dumps(fields))
        assert find_cases(tmp_path)[0].image.name == expected


def test_a_name_with_braces_is_refused_because_it_means_several_files(tmp_path: Path) -> None:
    touch(tmp_path, "images/a_{t1,t2}.png", "masks/a_{t1,t2}.png")
    with pytest.raises(DatasetError, match=r"images/a_\{t1,t2\}\.png: a name with braces, .*; rename it"):
        find_cases(tmp_path)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "images/alone.png", "masks/orphan.png", "images/twin.png", "images/twin.jpg", "masks/twin.png")
    touch(tmp_path, "images/scan.webp", "masks/scan.png", "images/sub/x.png")
    (tmp_path / "split.json").write_text(json.dumps({"train": ["twin", "ghost"], "test": ["twin"]}))
    with pytest.raises(DatasetError) as error:
        find_cases(tmp_path)
    message = str(error.value)
    for expected in (
        "images/alone.png: no label masks/alone.*",
        "masks/orphan.png: no image images/orphan.*",
        "images/twin.png: same name as twin.jpg",
        "images/scan.webp: unknown file ending '.webp'; convert it to one of .png",
        "images/sub: a folder",
        "split.json: 'ghost' has no files",
        "split.json: 'twin' is in both lists",
    ):
        assert expected in message


def test_long_lists_are_cut_in_the_message_but_kept_in_the_error(tmp_path: Path) -> None:
    touch(tmp_path, "masks/x.png", *(f"images/{number}.png" for number in range(30)))
    with pytest.raises(DatasetError, match="and 11 more") as error:
        find_cases(tmp_path)
    assert len(error.value.offenders) == 31


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["other/a.png"], "no known layout"),
        (["images/a.png"], "masks/: no such folder"),
        (["images/.x", "masks/.x"], "no case at all"),
        (["images/a.png", "masks/a.png", "labels/a.png"], "both masks/ and labels/"),
    ],
)
def test_unusable_folders_are_refused(tmp_path: Path, names: list[str], reason: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DatasetError, match=reason):
        find_cases(tmp_path)


def test_missing_folder_and_unknown_section_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        find_cases(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="must be 'train', 'test' or 'all'"):
        find_cases(tmp_path, "validation")  # type: ignore[arg-type]


def test_split_file_decides_and_unnamed_cases_are_only_in_all(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{folder}/{name}.png" for folder in ("images", "masks") for name in "abc"))
    (tmp_path / "split.json").write_text(json.dumps({"train": ["b"], "test": ["a"]}))
    assert (ids(tmp_path, "train"), ids(tmp_path, "test"), ids(tmp_path)) == (["b"], ["a"], ["a", "b", "c"])


@pytest.mark.parametrize("text", ["{", "[]", '{"train": "a"}', '{"train": [1], "test": []}'])
def test_damaged_split_file_is_refused(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(DatasetError, match=r"split\.json"):
        find_cases(tmp_path)


def test_convention_hashed_sections_are_80_to_20_and_never_change(tmp_path: Path) -> None:
    names = [f"case {number}" for number in range(1000)]
    share = sum(hashed_section(name) == "test" for name in names) / len(names)
    assert 0.17 < share < 0.23
    touch(tmp_path, *(f"{folder}/{name}.png" for folder in ("images", "masks") for name in names[:40]))
    before = ids(tmp_path, "test")
    assert sorted(before + ids(tmp_path, "train")) == sorted(names[:40])
    touch(tmp_path, "images/a new one.png", "masks/a new one.png")
    assert set(before) <= set(ids(tmp_path, "test"))


def test_empty_section_is_refused_with_a_cure(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png")
    with pytest.raises(DatasetError, match="none of 1 cases"):
        ids(tmp_path, "test")


def test_a_case_alone_is_for_training_whatever_its_name(tmp_path: Path) -> None:
    assert (hashed_section("patient001"), hashed_section("a")) == ("test", "train")
    touch(tmp_path, "images/patient001.png", "masks/patient001.png")
    assert ids(tmp_path, "train") == ["patient001"]
    touch(tmp_path, "images/a.png", "masks/a.png")
    assert (ids(tmp_path, "train"), ids(tmp_path, "test")) == (["a"], ["patient001"])


def write_datalist(root: Path, name: str = "dataset.json", **lists: object) -> Path:
    (root / name).write_text(json.dumps(lists))
    return root / name


def test_datalist_sections_come_from_its_labelled_test_cases(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.nii.gz", "gt/a.nii.gz", "in/b.nii.gz", "gt/b.nii.gz", "in/c.nii.gz")
    train = [{"image": "./in/a.nii.gz", "label": "./gt/a.nii.gz"}]
    test = [{"image": "in/b.nii.gz", "label": "gt/b.nii.gz"}, "./in/c.nii.gz", {"image": "in/c.nii.gz"}]
    path = write_datalist(tmp_path, "list.json", training=train, test=test)
    assert (ids(path, "train"), ids(path, "test"), ids(path)) == (["a"], ["b"], ["a", "b"])


def test_datalist_refuses_paths_that_leave_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, "secret.png", "data/a.png", "data/m.png", "data/a2.png")
    root = tmp_path / "data"
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    paths = ["../secret.png", str(root / "a.png"), "link.png", "C:\\a.png", "missing.png"]
    path = write_datalist(root, training=[{"image": image, "label": "m.png"} for image in paths])
    with pytest.raises(DatasetError) as error:
        find_cases(root)
    assert path.name == "dataset.json" and len(error.value.offenders) == len(paths)
    for offender, text in zip(error.value.offenders, paths, strict=True):
        assert text in offender


def test_datalist_refuses_an_image_listed_twice_several_channels_and_unlabelled_training_cases(tmp_path: Path) -> None:
    touch(tmp_path, "p1/t1.nii", "p2/t1.nii", "gt.nii")
    entries = [
        {"image": "p1/t1.nii", "label": "gt.nii"},
        {"image": "./p1/t1.nii", "label": "gt.nii"},
        {"image": ["p1/t1.nii"], "label": "gt.nii"},
        "p1/t1.nii",
    ]
    write_datalist(tmp_path, training=entries)
    with pytest.raises(DatasetError) as error:
        find_cases(tmp_path)
    assert [offender.split(":")[0] for offender in error.value.offenders] == [f"training[{i}]" for i in (1, 2, 3)]


@pytest.mark.parametrize("text", ["{", "[]", '{"training": {}}'])
def test_damaged_datalist_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        find_cases(tmp_path)
