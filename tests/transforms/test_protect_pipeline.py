"""Protection inside MONAI's pipelines: keys of a dictionary, files from disk, and a data loader."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, ScaleIntensityRanged
from PIL import Image

from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed
from monai_umed.protectors.checkpoint import save_protector
from monai_umed.protectors.stamps import ConstantStamp
from monai_umed.transforms import UMedProtectd


def make_protector() -> UMed:
    torch.manual_seed(0)
    network = UMedPerturbator(2, 1, features=(4, 6), patch=2).eval().requires_grad_(False)
    return UMed(network, working_size=(16, 16))


@pytest.fixture
def data() -> Mapping[Hashable, Any]:
    label = torch.zeros(1, 20, 20)
    label[:, 5:15, 5:15] = 1
    return {"image": torch.rand((1, 20, 20), generator=torch.Generator().manual_seed(0)), "mask": label}


def test_protection_without_a_label_names_the_missing_and_the_present_keys(data: Mapping[Hashable, Any]) -> None:
    with pytest.raises(KeyError, match=r"needs the mask under 'label', the data has \['image', 'mask'\]; load the"):
        UMedProtectd("image", make_protector())(data)
    with pytest.raises(KeyError, match="needs the mask under 'liver'"):
        UMedProtectd("image", make_protector(), label_key="liver")(data)
    protected = UMedProtectd("image", make_protector(), label_key="mask")(data)
    assert not torch.equal(torch.as_tensor(protected["image"]), data["image"])


@pytest.mark.parametrize("side", [6, 9])
def test_images_in_which_less_than_half_arrives_are_refused(side: int) -> None:
    label = torch.zeros(1, side, side)
    label[:, 1:-2, 1:-2] = 1
    image = torch.rand((1, side, side), generator=torch.Generator().manual_seed(0))
    protect = UMedProtectd("image", make_protector(), label_key="mask")
    with pytest.raises(ValueError, match=f"must be at least 50%: {side} x {side} pixels are less than .* 16 x 16"):
        protect({"image": image, "mask": label})
    background = protect({"image": image, "mask": torch.zeros_like(label)})
    assert torch.equal(torch.as_tensor(background["image"]), image)


def test_missing_images_are_an_error_unless_allowed(data: Mapping[Hashable, Any]) -> None:
    with pytest.raises(KeyError, match="ct"):
        UMedProtectd(("image", "ct"), make_protector(), label_key="mask")(data)
    protect = UMedProtectd(("image", "ct"), make_protector(), label_key="mask", allow_missing_keys=True)
    assert set(protect(data)) == set(data)


def test_png_files_are_protected_in_a_pipeline_and_a_data_loader(tmp_path: Path) -> None:
    checkpoint = save_protector(tmp_path / "protector.pt", make_protector())
    rng = np.random.default_rng(0)
    mask = np.zeros((24, 30), np.uint8)
    mask[6:18, 8:20] = 1
    cases = []
    for number in range(3):
        case = {key: str(tmp_path / f"{key}_{number}.png") for key in ("image", "label")}
        Image.fromarray(rng.integers(0, 256, mask.shape, dtype=np.uint8)).save(case["image"])
        Image.fromarray(mask).save(case["label"])
        cases.append(case)
    load = Compose(
        [
            LoadImaged(("image", "label")),
            EnsureChannelFirstd(("image", "label")),
            ScaleIntensityRanged("image", a_min=0, a_max=255, b_min=0, b_max=1, clip=True),
        ]
    )
    protect = Compose([load, UMedProtectd("image", checkpoint)])
    (batch,) = DataLoader(Dataset(cases, protect), batch_size=3, num_workers=0)
    for case, image in zip(cases, batch["image"], strict=True):
        clean = load(case)
        expected = make_protector()(clean["image"].as_tensor(), clean["label"].as_tensor())
        assert torch.equal(image.as_tensor(), clean["image"].as_tensor() + expected.delta)
        assert expected.delta.any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.uint16, torch.float32])
@pytest.mark.parametrize("value", [255, 65535, 0.99999])
def test_masks_of_two_values_mean_what_they_mean_in_files(
    data: Mapping[Hashable, Any], dtype: torch.dtype, value: float
) -> None:
    if (dtype == torch.uint8 and value == 65535) or (value < 1 and dtype != torch.float32):
        return
    stamp = ConstantStamp(2, 1, size=(16, 16), num_classes=2, bound="roi")
    for protector in (make_protector(), stamp):
        protect = UMedProtectd("image", protector, label_key="mask")
        expected = protect(data)["image"]
        found = protect({**data, "mask": (data["mask"] * value).to(dtype)})["image"]
        assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected))
        assert not torch.equal(torch.as_tensor(found), data["image"])


def test_255_beside_another_class_is_no_foreground(data: Mapping[Hashable, Any]) -> None:
    label = data["mask"].clone()
    label[:, 7, 7] = 255
    protect = UMedProtectd("image", ConstantStamp(2, 1, size=(16, 16), bound="roi"), label_key="mask")
    with pytest.raises(ValueError, match="The label has class 255"):
        protect({**data, "mask": label})


def test_ignored_pixels_stay_and_are_of_no_class(data: Mapping[Hashable, Any]) -> None:
    label = data["mask"].to(torch.uint8)
    label[:, 5:8, 5:15] = 255
    stamp = ConstantStamp(2, 1, size=(16, 16), bound="roi")
    found = UMedProtectd("image", stamp, label_key="mask", ignore_label=255)({**data, "mask": label})["image"]
    changed = torch.as_tensor(found) != data["image"]
    assert changed[label == 1].any() and not changed[label != 1].any()
    with pytest.raises(ValueError, match="ignore_label is 0, must be 1 to 65535"):
        UMedProtectd("image", stamp, ignore_label=0)


def test_pixels_without_a_value_stay_outside_of_the_structure_and_are_refused_inside(
    data: Mapping[Hashable, Any],
) -> None:
    protect = UMedProtectd("image", ConstantStamp(2, 1, size=(16, 16), bound="full"), label_key="mask")
    image = data["image"].clone()
    image[:, 0], image[:, 19] = float("nan"), float("inf")
    found = torch.as_tensor(protect({**data, "image": image})["image"])
    assert found[:, 0].isnan().all() and found[:, 19].isposinf().all()
    assert torch.equal(found[:, 1:19], torch.as_tensor(protect(data)["image"])[:, 1:19])
    image[:, 7, 7] = float("nan")
    with pytest.raises(ValueError, match="Pixels inside the structure are NaN or infinite"):
        protect({**data, "image": image})


def test_gray_that_is_stored_as_color_is_protected_as_its_file_would_be(data: Mapping[Hashable, Any]) -> None:
    gray, color = (ConstantStamp(2, channels, size=(16, 16), bound="roi") for channels in (1, 3))
    expected = torch.as_tensor(UMedProtectd("image", gray, label_key="mask")(data)["image"])
    stored = {**data, "image": data["image"].repeat(3, 1, 1)}
    found = torch.as_tensor(UMedProtectd("image", gray, label_key="mask")(stored)["image"])
    torch.testing.assert_close(found, expected.repeat(3, 1, 1))
    assert torch.as_tensor(UMedProtectd("image", color, label_key="mask")(data)["image"]).shape == (1, 20, 20)
