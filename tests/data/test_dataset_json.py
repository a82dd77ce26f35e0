"""A ``dataset.json`` that is cut down to some of its cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.dataset_json import Kept, ListingError, keep_cases

NAMES = st.sets(st.text("abé 1.", min_size=1).filter(lambda name: name.strip(".") == name), max_size=5)


@given(NAMES, st.sampled_from([None, 0, 1, 4]), st.sampled_from(["{}", "./{}"]))
def test_what_keeps_every_case_keeps_every_byte(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], indent: int | None, form: str
) -> None:
    path = tmp_path_factory.mktemp("json") / "dataset.json"
    entries = [{"image": form.format(f"in/{name}.nii"), "label": form.format(f"gt/{name}.nii")} for name in names]
    path.write_text(json.dumps({"training": entries, "numTraining": len(names), "name": "é"}, indent=indent))
    kept = {f"gt/{name}.nii": Kept(f"in/{name}.nii", f"in/{name}.nii") for name in names}
    assert keep_cases(path, kept) == path.read_bytes()
    some = dict(list(kept.items())[1:])
    shortened = json.loads(keep_cases(path, some))
    assert {entry["label"].removeprefix("./") for entry in shortened["training"]} == some.keys()
    assert (shortened["numTraining"], shortened["name"]) == (len(some), "é")


def test_lists_counts_and_names_follow_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    fields = {
        "name": "Läsion",
        "numTraining": 2,
        "numTest": 1,
        "training": [{"image": "./in/a.jpg", "label": "./gt/a.png", "age": 3}, {"image": "in/b.png", "label": "b.png"}],
        "test": ["in/c.png"],
        "validation": [{"image": "in/d.png", "label": "gt/d.png"}],
        "dataset": {"a": {"images": ["in/a.jpg"], "label": "gt/a.png"}, "b": {"images": ["b"], "label": "b.png"}},
    }
    path.write_text(json.dumps(fields))
    kept = {"gt/a.png": Kept("in/a.jpg", "in/a.png"), "gt/d.png": Kept("in/d.png", "in/d.png")}
    assert json.loads(keep_cases(path, kept)) == {
        "name": "Läsion",
        "numTraining": 1,
        "numTest": 0,
        "training": [{"image": "in/a.png", "label": "./gt/a.png", "age": 3}],
        "test": [],
        "validation": [{"image": "in/d.png", "label": "gt/d.png"}],
        "dataset": {"a": {"images": ["in/a.jpg"], "label": "gt/a.png"}},
    }


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff"])
def test_what_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(ListingError, match=r"^dataset\.json: "):
        keep_cases(tmp_path / "dataset.json", {})


def test_annotations_of_coco_are_named_and_their_cure_works(tmp_path: Path) -> None:
    coco: dict[str, object] = {"images": [{"file_name": "1.jpg"}], "annotations": [], "categories": []}
    (tmp_path / "dataset.json").write_text(json.dumps(coco))
    with pytest.raises(DatasetError, match=r"COCO annotations, .*one mask file per image.*train"):
        find_cases(tmp_path)
    for name in ("1.jpg", "1.png"):
        (tmp_path / name).touch()
    (tmp_path / "dataset.json").write_text(json.dumps({**coco, "training": [{"image": "1.jpg", "label": "1.png"}]}))
    assert [case.id for case in find_cases(tmp_path)] == ["1"]


def test_a_file_without_lists_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"labels": {}}')
    with pytest.raises(DatasetError, match="has no list 'training'; add "):
        find_cases(tmp_path)
