"""Images and labels are paired by name: with marks, without doubt, and alike in every part of a dataset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_umed.data.pairing import pair_names

CASES = st.sampled_from(["a", "b", "a_0000", "a_mask", "c 1", "volume-0", "0", "\u00e9", "e\u0301"])
IMAGES = st.builds(
    "".join, st.tuples(st.sampled_from(["", "", "volume-"]), CASES, st.sampled_from(["", "_0000", "_image", "-IMG"]))
)
LABELS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "segmentation-", "mask_"]),
        CASES,
        st.sampled_from(["", "_mask", ".seg", "-label", "_GT"]),
    ),
)


@pytest.mark.parametrize(
    ("image", "label", "case"),
    [
        ("x", "x", "x"),
        ("x_0000", "x_0000", "x_0000"),
        ("x_0000", "x", "x"),
        ("x_0000", "x_0000_mask", "x_0000"),
        ("benign (1)", "benign (1)_mask", "benign (1)"),
        ("ISIC_0000", "ISIC_0000_segmentation", "ISIC_0000"),
        ("scan", "scan.seg", "scan"),
        ("scan", "scan-label", "scan"),
        ("Scan_Image", "Scan_GT", "Scan"),
        ("volume-0", "segmentation-0", "0"),
        ("img_7", "mask_7", "7"),
        ("scan", "mask_scan", "scan"),
        ("L\u00e4sion", "La\u0308sion_mask", "L\u00e4sion"),
        ("La\u0308sion_0000", "L\u00e4sion", "La\u0308sion"),
    ],
)
def test_marks_of_common_tools_are_recognized(image: str, label: str, case: str) -> None:
    found = pair_names({image}, {label})
    assert found.pairs == {case: (image, label)} and not found.alone


@pytest.mark.parametrize(
    ("image", "label"), [("x", "y"), ("x_0001", "x"), ("x", "xmask"), ("x", "X"), ("_0000", "_gt")]
)
def test_other_names_are_no_pair(image: str, label: str) -> None:
    found = pair_names({image}, {label})
    assert not found.pairs and found.alone == {("image", image): [], ("label", label): []}


@given(st.sets(IMAGES), st.sets(LABELS))
def test_every_name_is_in_one_pair_or_alone(images: set[str], labels: set[str]) -> None:
    found = pair_names(images, labels)
    used = [("image", image) for image, _ in found.pairs.values()] + [
        ("label", label) for _, label in found.pairs.values()
    ]
    assert sorted([*used, *found.alone]) == sorted(
        [*(("image", name) for name in images), *(("label", name) for name in labels)]
    )


@given(st.sets(IMAGES), st.sets(LABELS), st.data())
def test_a_part_of_a_dataset_has_the_same_cases(images: set[str], labels: set[str], data: st.DataObject) -> None:
    whole = pair_names(images, labels).pairs
    chosen = data.draw(st.sets(st.sampled_from(sorted(whole)))) if whole else set()
    part = {case: whole[case] for case in chosen}
    found = pair_names({image for image, _ in part.values()}, {label for _, label in part.values()})
    assert found.pairs == part and not found.alone
