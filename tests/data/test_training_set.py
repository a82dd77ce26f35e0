"""Cases of one size: shapes, ranges and bounds, and what is left out with which reason."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from monai_umed.data.case import DatasetError
from monai_umed.data.training_set import load_training_set
from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed

EPS = 4 / 255
SIDE = 64


def protector(in_channels: int = 1, size: tuple[int, ...] = (32, 32)) -> UMed:
    return UMed(UMedPerturbator(len(size), in_channels, features=(4, 8)), size, EPS)


def write_case(folder: Path, name: str, channels: int = 1, empty: bool = False) -> None:
    """A noisy image with a square of foreground in rows 20 to 43 and columns 16 to 47."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    shape = (SIDE, SIDE) if channels == 1 else (SIDE, SIDE, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if not empty:
        mask[20:44, 16:48] = 255
    Image.fromarray(mask).save(folder / "masks" / f"{name}.png")


def write_volume(folder: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(-1000, 1000, (20, 24, 28)).astype(np.int16)
    mask = np.zeros(pixels.shape, np.uint8)
    mask[6:14, 6:18, 8:20] = 1
    for kind, array in (("images", pixels), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        nib.Nifti1Image(array, np.eye(4)).to_filename(folder / kind / f"{name}.nii.gz")


def grown(region: torch.Tensor, pixels: int) -> torch.Tensor:
    """A region ``(1, H, W)`` and all pixels within so many rows and columns of it."""
    return F.max_pool2d(region[None].float(), 2 * pixels + 1, stride=1, padding=pixels)[0] > 0


@pytest.mark.parametrize(("section", "cases"), [("train", 8), ("test", 4), ("all", 12)])
def test_every_case_of_a_section_arrives_on_the_grid(tiny_phantom: Path, section: str, cases: int) -> None:
    training_set = load_training_set(tiny_phantom, (48, 32), section=section, protector=protector(), progress=False)  # type: ignore[arg-type]
    assert len(training_set.items) == cases and not training_set.quarantined
    assert training_set.in_channels == 1
    assert len({item["id"] for item in training_set.items}) == cases
    for item in training_set.items:
        assert item["image"].shape == (1, 48, 32) and item["label"].shape == (1, 48, 32)
        assert item["bounds"].shape == (2, 48, 32)
        assert item["image"].min() >= 0 and item["image"].max() <= 1
        assert set(item["label"].unique().tolist()) == {0.0, 1.0}


def test_convention_without_a_protector_there_are_no_bounds(tiny_phantom: Path) -> None:
    [item, *_] = load_training_set(tiny_phantom, (32, 32), progress=False).items
    assert item.keys() == {"id", "image", "label"}


@pytest.mark.parametrize("num_workers", [1, 3])
def test_order_of_cases_does_not_depend_on_the_number_of_workers(tiny_phantom: Path, num_workers: int) -> None:
    items = load_training_set(tiny_phantom, (32, 32), num_workers=num_workers, progress=False).items
    assert [item["id"] for item in items] == [f"phantom_{index:04d}" for index in range(12)]


def test_bounds_reach_eps_within_the_roi_and_its_band_and_are_zero_outside(tmp_path: Path) -> None:
    write_case(tmp_path, "a")
    [item] = load_training_set(tmp_path, (32, 32), protector=protector(), progress=False).items
    label, bounds = item["label"] > 0, item["bounds"]
    assert label[0, 10:22, 8:24].all() and label.sum() == 12 * 16
    assert bounds.min() >= 0 and bounds.max() == pytest.approx(EPS)
    assert bounds.sum(0).max() <= EPS * (1 + 2**-20)  # regions do not overlap; float32 averages
    # The band is 2 grid pixels wide to each side; averaging blurs it by less than one more.
    assert not bounds[:, ~grown(label, 3)[0]].any()
    assert not bounds[1, ~label[0]].any()
    edge = grown(label, 1) & ~label
    assert torch.allclose(bounds[0][edge[0]], torch.tensor(EPS))
    inner = ~grown(~label, 4)
    assert inner.any() and not bounds[0][inner[0]].any() and bounds[1][inner[0]].mean() > EPS / 4


def test_bounds_are_what_eight_bit_files_can_hold(tmp_path: Path) -> None:
    """At 1.9 levels only one can be stored, so no grid pixel may be promised more."""
    write_case(tmp_path, "a")
    fractional = UMed(UMedPerturbator(2, 1, features=(4, 8)), (SIDE, SIDE), eps=1.9 / 255, texture="flat")
    [item] = load_training_set(tmp_path, (SIDE, SIDE), protector=fractional, progress=False).items
    assert sorted((item["bounds"] * 255).unique().tolist()) == [0, pytest.approx(1)]


def test_images_with_other_channels_than_most_are_left_out_with_the_reason(tmp_path: Path) -> None:
    for name in "abc":
        write_case(tmp_path, name)
    write_case(tmp_path, "rgb", channels=3)
    training_set = load_training_set(tmp_path, (32, 32), progress=False)
    assert [item["id"] for item in training_set.items] == ["a", "b", "c"]
    [entry] = training_set.quarantined
    assert entry.id == "rgb" and "3 channel(s), most of the dataset 1" in entry.reason


def test_images_with_other_channels_than_the_protector_are_left_out_with_the_reason(tmp_path: Path) -> None:
    write_case(tmp_path, "gray")
    write_case(tmp_path, "rgb", channels=3)
    training_set = load_training_set(tmp_path, (32, 32), protector=protector(3), progress=False)
    assert [item["id"] for item in training_set.items] == ["rgb"]
    [entry] = training_set.quarantined
    assert entry.id == "gray" and "1 channel(s), the protector was fitted on 3" in entry.reason


@pytest.mark.parametrize("protected", [True, False])
def test_a_volume_among_flat_images_is_left_out_with_the_reason(tmp_path: Path, protected: bool) -> None:
    write_case(tmp_path, "flat")
    write_volume(tmp_path, "volume")
    training_set = load_training_set(tmp_path, (32, 32), protector=protector() if protected else None, progress=False)
    assert [item["id"] for item in training_set.items] == ["flat"]
    [entry] = training_set.quarantined
    assert entry.id == "volume" and re.search("[23]D", entry.reason)


def test_a_flat_image_among_volumes_is_left_out_with_the_reason(tmp_path: Path) -> None:
    write_case(tmp_path, "flat")
    write_volume(tmp_path, "volume")
    volumes = protector(size=(16, 16, 16))
    training_set = load_training_set(tmp_path, (16, 16, 16), protector=volumes, progress=False)
    assert {item["id"] for item in training_set.items} == {"volume"}
    assert training_set.items[0]["bounds"].shape == (2, 16, 16, 16)
    [entry] = training_set.quarantined
    assert entry.id == "flat" and re.search("[23]D", entry.reason)


def test_a_folder_of_bad_cases_only_is_refused_and_all_are_listed(tmp_path: Path) -> None:
    for name in "abc":
        write_case(tmp_path, name, empty=True)
    (tmp_path / "images" / "c.png").write_bytes(b"no image")
    with pytest.raises(DatasetError) as error:
        load_training_set(tmp_path, (32, 32), progress=False)
    assert [offender.split(":")[0] for offender in error.value.offenders] == ["a", "b", "c"]
    assert str(error.value).count("the mask is empty") == 2


def test_a_volume_keeps_its_voxels_and_is_surrounded_by_zeros(tmp_path: Path) -> None:
    write_volume(tmp_path, "a")
    [item] = load_training_set(
        tmp_path, (32, 32, 32), section="all", protector=protector(size=(32, 32, 32)), progress=False
    ).items
    [whole] = load_training_set(tmp_path, (32, 32, 32), section="all", progress=False, layout="whole").items
    assert whole["image"].shape == (1, 20, 24, 28)
    for name in ("image", "label"):
        assert torch.equal(item[name][:, 6:26, 4:28, 2:30], whole[name])
        assert item[name].sum() == whole[name].sum()
    assert item["bounds"].shape == (2, 32, 32, 32) and item["bounds"].amax() == pytest.approx(EPS, abs=1e-3)


def test_patches_of_a_larger_volume_are_native_voxels_with_bounds(tmp_path: Path) -> None:
    write_volume(tmp_path, "a")
    items = load_training_set(
        tmp_path, (16, 16, 16), section="all", protector=protector(size=(16, 16, 16)), progress=False
    ).items
    assert len(items) == 4 and {item["id"] for item in items} == {"a"}
    assert all(item["image"].shape == (1, 16, 16, 16) for item in items)
    assert all(item["bounds"].any() == item["label"].any() for item in items[::2])


def test_slices_of_a_volume_are_images_with_foreground(tmp_path: Path) -> None:
    write_volume(tmp_path, "a")
    items = load_training_set(
        tmp_path, (32, 32), section="all", protector=protector(), progress=False, slice_axis=2
    ).items
    assert len(items) == 12  # slices 8 to 19
    assert all(item["image"].shape == (1, 32, 32) and item["label"].any() and item["bounds"].any() for item in items)


def test_volumes_resampled_lie_on_one_grid(tmp_path: Path) -> None:
    write_volume(tmp_path, "a")
    [item] = load_training_set(tmp_path, (8, 8, 8), section="all", progress=False, layout="resampled").items
    assert item["image"].shape == (1, 8, 8, 8)
