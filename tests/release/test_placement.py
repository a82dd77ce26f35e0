"""What changed lies where the mask lies in the patient, or verification says so: also where matching itself failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from grid_files import SHAPE, SUFFIXES, label_array, placed, reordered, volume, write_case
from hypothesis import given, settings
from hypothesis import strategies as st
from protected_folder import small_protector

from monai_umed.data import labels
from monai_umed.data.cases import find_cases
from monai_umed.data.codec import decode, read_image
from monai_umed.protectors import Protector, UMed
from monai_umed.protectors.stamps import ConstantStamp
from monai_umed.release.placement import Reach, foreground_in_space, reach_of
from monai_umed.release.protect import protect_dataset
from monai_umed.release.verify import Problem, verify_folder

FLIP: tuple[tuple[int, ...], tuple[bool, ...]] = ((0, 1, 2), (True, True, False))


def umed(**settings: object) -> Protector:
    """A loud protector with other settings than usual."""
    usual = small_protector(1, 2)
    protector = UMed.from_settings({**usual.settings(), "slice_axis": 2, "native": True, "eps": 8 / 255, **settings})
    protector.load_state(usual.state())
    return protector


def stamp(**settings: Any) -> Protector:
    return ConstantStamp(3, 1, eps=8 / 255, size=(16, 16, 16), **settings)


PROTECTORS: dict[str, Callable[[], Protector]] = {
    "region": stamp,
    "band": lambda: stamp(bound={"text": "band*lbp", "band_radius": 1, "band_side": "outer"}, native=True),
    "band in mm": lambda: stamp(bound={"text": "band", "band_radius": 2.0, "band_unit": "mm"}),
    "inner band": lambda: stamp(bound={"text": "band", "band_side": "inner"}),
    "slices": lambda: ConstantStamp(2, 1, size=(16, 16), bound="band", slice_axis=1),
    "paper": umed,
    "paper on the grid": lambda: umed(native=False),
    "inside": lambda: umed(band_side="inner", texture="flat"),
}


def protect(root: Path, protector: Protector, suffix: str = ".nii.gz") -> None:
    write_case(root, volume(), reordered(placed(label_array()), *FLIP), (suffix, suffix))
    protect_dataset(find_cases(root), protector, root / "out", progress=False)


def check(root: Path) -> list[Problem]:
    return verify_folder(root / "out", root, progress=False)


def as_stored(name: str, values: np.ndarray, grid: object, image: object) -> np.ndarray:
    """A reader that ignores where a label lies."""
    return values


@pytest.mark.parametrize("kind", PROTECTORS)
def test_every_kind_is_good_where_it_is_and_found_where_it_is_not(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(tmp_path / "good", PROTECTORS[kind]())
    assert check(tmp_path / "good") == []
    with monkeypatch.context() as patch:
        patch.setattr(labels, "on_image_grid", as_stored)
        protect(tmp_path / "beside", PROTECTORS[kind]())
    (problem,) = check(tmp_path / "beside")
    assert problem.id == "a" and "stored units beside the structure as its mask lies in space" in problem.what


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_reader_that_ignores_the_place_is_found(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    protect(tmp_path, stamp(), suffix)
    assert check(tmp_path) == []
    monkeypatch.setattr(labels, "on_image_grid", as_stored)
    (problem,) = check(tmp_path)
    assert "voxels of its mask lie elsewhere in space than on the image" in problem.what


def test_voxels_outside_of_the_image_are_counted(tmp_path: Path) -> None:
    label = placed(label_array())
    label.SetOrigin(label.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, 5.0)))
    case = write_case(tmp_path, volume(), label, (".mha", ".mha"))
    found, outside = foreground_in_space(decode(case.label), read_image(case.image))
    assert outside == int(label_array()[:, :, 2:].sum())
    np.testing.assert_array_equal(found[:, :, 5:], label_array()[:, :, :2] > 0)


def test_a_label_on_another_grid_is_a_problem_of_its_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label = placed(label_array())
    label.SetSpacing([1.0, 1.0, 1.0])
    write_case(tmp_path, volume(), label, (".nii.gz", ".nii.gz"))
    with monkeypatch.context() as patch:
        patch.setattr(labels, "on_image_grid", as_stored)
        protect_dataset(find_cases(tmp_path), stamp(), tmp_path / "out", progress=False)
    (problem,) = check(tmp_path)
    assert problem.id == "a" and "the mask is not on the image's grid" in problem.what


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from([*PROTECTORS]), seed=st.integers(0, 3), spacing=st.sampled_from([(1, 1, 1), (0.7, 0.9, 2.5)])
)
def test_property_the_reach_holds_every_pixel_that_may_change(
    kind: str, seed: int, spacing: tuple[float, float, float]
) -> None:
    protector = PROTECTORS[kind]()
    label = torch.from_numpy(np.roll(label_array(), seed, 0))[None]
    image = torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(seed))
    bound = protector(image, label, spacing, case_id="a").bound[0].numpy()
    reach = reach_of(repr(protector), SHAPE, spacing)
    assert reach is not None
    box = tuple(2 * width + 1 for width in reach.widths)
    dilated = SimpleITK.GetArrayFromImage(
        SimpleITK.BinaryDilate(
            SimpleITK.GetImageFromArray(label[0].numpy()), [side // 2 for side in box][::-1], SimpleITK.sitkBox
        )
    )
    assert bound[dilated == 0].max(initial=0) <= protector.eps * reach.fraction * (1 + 1e-6)


@pytest.mark.parametrize(
    ("protector", "reach"),
    [
        (repr(stamp(bound="full")), None),
        (repr(stamp(bound="lbp")), None),
        (repr(stamp(bound="roi*lbp")), Reach((0, 0, 0))),
        (repr(umed(contour_share=0.0)), Reach((0, 0, 0))),
        # Version 0.1 could change the background, too.
        (f"{repr(umed(contour_share=0.0))[:-1]}, background_share=0.5)", Reach((0, 0, 0), 0.5)),
        ("Later(version=2)", None),
        ("no call", None),
        ("", None),
    ],
)
def test_what_a_record_does_not_say_is_not_held_against_files(protector: str, reach: Reach | None) -> None:
    assert reach_of(protector, SHAPE, (1, 1, 1)) == reach
