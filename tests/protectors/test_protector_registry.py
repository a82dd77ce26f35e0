"""Methods by name, and what runs with nothing but a name: a whole folder, and slices of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from protected_folder import noise, read_array, square, write_array

from monai_umed.data.cases import find_cases
from monai_umed.data.training_set import Layout, load_training_set
from monai_umed.protectors import PROTECTORS, BoundedProtector, Protector, UMed, method_name, protector_class
from monai_umed.release.protect import protect_dataset


def make(name: str, **arguments: Any) -> Protector:
    return protector_class(name).from_settings({"spatial_dims": 2, "in_channels": 1, **arguments})


@pytest.mark.parametrize("name", PROTECTORS)
def test_every_name_leads_to_a_class_and_back(name: str) -> None:
    assert issubclass(protector_class(name), Protector)
    assert method_name(protector_class(name)) == name


def test_an_unknown_name_gets_the_nearest_one() -> None:
    assert protector_class("umed") is UMed
    with pytest.raises(
        ValueError, match=r"no protector 'constant_stamp'\. Did you mean 'constant-stamp'\? Known: umed"
    ):
        protector_class("constant_stamp")
    with pytest.raises(ValueError, match=r"no protector 'xyzxyz'\. Known"):
        protector_class("xyzxyz")


@pytest.mark.parametrize("name", ["lsp", "ar", "constant-stamp", "random-stamp", "uniform", "identity"])
def test_a_folder_is_protected_within_the_budget_and_cases_differ(tmp_path: Path, name: str) -> None:
    image = (noise((40, 48), 200) + 20).astype(np.uint8)
    for case in "ab":
        write_array(tmp_path / "in" / "images" / f"{case}.bmp", image)
        write_array(tmp_path / "in" / "masks" / f"{case}.png", square((40, 48)))
    protector = make(name, eps=4 / 255, size=(32, 32))
    manifest = protect_dataset(find_cases(tmp_path / "in"), protector, tmp_path / "out", progress=False)
    assert manifest.protector == repr(protector) and len(manifest.cases) == 2
    changes = [read_array(tmp_path / "out" / case.image).astype(int) - image for case in manifest.cases]
    largest = max(np.abs(change).max() for change in changes)
    assert largest == 0 if name == "identity" else 2 <= largest <= 4
    assert np.array_equal(changes[0], changes[1]) == (name in ("constant-stamp", "identity"))


def test_a_mask_with_too_many_classes_is_left_out_with_its_reason(tmp_path: Path) -> None:
    for case, value in (("a", 1), ("b", 2)):
        write_array(tmp_path / "in" / "images" / f"{case}.bmp", noise((40, 48)).astype(np.uint8))
        write_array(tmp_path / "in" / "masks" / f"{case}.png", square((40, 48), value))
    protector = make("lsp", size=(32, 32))
    manifest = protect_dataset(find_cases(tmp_path / "in"), protector, tmp_path / "out", num_classes=3, progress=False)
    assert [case.id for case in manifest.cases] == ["a"]
    assert "give num_classes=3, or merge classes" in manifest.quarantined[0].reason


@pytest.mark.parametrize(("axis", "layout"), [(0, "resampled"), (2, "resampled"), (0, "windows"), (2, "windows")])
def test_slices_and_windows_carry_the_names_by_which_a_protector_is_asked_for_them(
    tmp_path: Path, axis: int, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_array(tmp_path / "imagesTr" / "a.nii.gz", noise((21, 24, 18), 2000).astype(np.int16))
    write_array(tmp_path / "labelsTr" / "a.nii.gz", square((21, 24, 18), 1))
    protector = cast(BoundedProtector, make("uniform", size=(16, 16), slice_axis=axis, native=layout == "windows"))
    asked: list[str | None] = []
    draw: Any = protector.raw

    def noted(*arguments: Any) -> Any:
        asked.append(arguments[-1])
        return draw(*arguments)

    monkeypatch.setattr(protector, "raw", noted)
    protect_dataset(find_cases(tmp_path), protector, tmp_path / "out", progress=False)
    items = load_training_set(
        tmp_path, (16, 16), protector=protector, slice_axis=axis, layout=layout, progress=False
    ).items
    first = f"a:{(7, 8, 6)[axis]}"
    assert [item["id"] for item in items] == asked and asked[0] == (first if layout == "resampled" else f"{first}#0")
    assert all(item["image"].shape == item["bounds"].shape == (1, 16, 16) for item in items)
