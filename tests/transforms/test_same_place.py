"""Images and labels in MONAI pipelines must lie on one grid; the cures that the error names work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from grid_files import label_array, placed, reordered, volume, write_case
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, ResampleToMatchd, ScaleIntensityd

from monai_umed.protectors.stamps import ConstantStamp
from monai_umed.transforms import ApplyPerturbationd, ContourBandd, UMedProtectd

KEYS = ("image", "label")
LOAD = [LoadImaged(KEYS), EnsureChannelFirstd(KEYS), ScaleIntensityd("image")]
PROTECT = UMedProtectd("image", ConstantStamp(3, 1, size=(16, 16, 16)))


def files(folder: Path, order: tuple[tuple[int, ...], tuple[bool, ...]]) -> dict[str, Any]:
    label = reordered(placed(label_array()), *order)
    case = write_case(folder, volume(), label, (".nii.gz", ".nii.gz"))
    return {"image": str(case.image), "label": str(case.label)}


def changed(transforms: list[Any], data: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    clean, protected = Compose(transforms)(data), Compose([*transforms, PROTECT])(data)
    return torch.as_tensor(clean["image"] != protected["image"]), torch.as_tensor(clean["label"] > 0)


@pytest.mark.parametrize(
    "cure", [Orientationd(KEYS, axcodes="RAS"), ResampleToMatchd("label", key_dst="image", mode="nearest")]
)
def test_a_label_in_another_order_is_refused_until_it_is_matched(tmp_path: Path, cure: Any) -> None:
    data = files(tmp_path, ((0, 1, 2), (True, True, False)))
    loaded = Compose(LOAD)(data)
    with pytest.raises(ValueError, match=r"The label is not on the image's grid: .* Orientationd\(.*ResampleToMatchd"):
        PROTECT(loaded)
    moved, foreground = changed([*LOAD, cure], data)
    assert moved.any() and not moved[~foreground].any()


def test_equal_rounded_and_missing_affines_are_no_difference(tmp_path: Path) -> None:
    loaded = Compose(LOAD)(files(tmp_path, ((0, 1, 2), (False, False, False))))
    expected = torch.as_tensor(PROTECT(loaded)["image"])
    rounded = MetaTensor(loaded["label"].as_tensor(), affine=loaded["label"].affine + 1e-5)
    for label in (loaded["label"].as_tensor(), rounded):
        assert torch.equal(torch.as_tensor(PROTECT({**loaded, "label": label})["image"]), expected)
    plain = {key: value.as_tensor() for key, value in loaded.items()}
    default = {key: MetaTensor(value) for key, value in plain.items()}
    for data in (plain, default, {**loaded, "image": plain["image"]}):
        assert torch.equal(torch.as_tensor(PROTECT(data)["image"]), expected)


def test_a_bound_that_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    data = ContourBandd("label")(Compose(LOAD)(files(tmp_path, ((0, 1, 2), (True, False, False)))))
    data["noise"] = np.ones(data["image"].shape, np.float32)
    with pytest.raises(ValueError, match="The bound is not on the image's grid"):
        ApplyPerturbationd("image", bound_key="band_label")(data)
