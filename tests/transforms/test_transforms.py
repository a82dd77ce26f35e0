"""One contract for every transform: container, type and metadata stay, and both forms give the same numbers."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch.nn import functional as F

from monai_umed import transforms
from monai_umed.functional.contour_band import contour_band
from monai_umed.functional.local_binary_pattern import lbp_bound
from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed
from monai_umed.transforms import (
    ApplyPerturbation,
    ApplyPerturbationd,
    ContourBand,
    ContourBandd,
    LBPBound,
    LBPBoundd,
    UMedProtect,
    UMedProtectd,
)

EPS = 4 / 255
SIZES = {2: (20, 31), 3: (12, 20, 17)}
META = {"filename_or_obj": "case_1.nii.gz"}
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def make_protector(spatial_dims: int = 2, device: str = "cpu", **arguments: Any) -> UMed:
    torch.manual_seed(0)
    network = UMedPerturbator(spatial_dims, 1, features=(4, 6), patch=2).eval().requires_grad_(False)
    return UMed(network.to(device), **{"working_size": (16,) * spatial_dims, "eps": EPS, **arguments})


def affine(spatial_dims: int) -> torch.Tensor:
    """Spacing 0.5 mm along the first axis, 1 mm along the second, 2 mm along the third."""
    return torch.diag(torch.tensor([0.5, 1.0, 2.0, 1.0], dtype=torch.float64))


def sample(spatial_dims: int) -> dict[str, torch.Tensor]:
    """Image, label, noise and bound; the image reaches both ends of the range."""
    size = SIZES[spatial_dims]
    generator = torch.Generator().manual_seed(0)
    image = (torch.rand((1, *size), generator=generator, dtype=torch.float64) * 1.5 - 0.25).clamp(0, 1)
    inner = torch.ones((1, *(length - 8 for length in size)), dtype=torch.float64)
    label = F.pad(inner, [4] * 2 * spatial_dims)
    noise = torch.randn((1, *size), generator=generator, dtype=torch.float64)
    return {"image": image, "label": label, "noise": noise, "bound": torch.full_like(image, EPS)}


# How to bring the sample into each container.
CONTAINERS: dict[str, Callable[[torch.Tensor, str], Any]] = {
    "float32 array": lambda values, device: values.numpy().astype(np.float32),
    "float64 array": lambda values, device: values.numpy(),
    "float32 tensor": lambda values, device: values.float().to(device),
    "float64 tensor": lambda values, device: values.to(device),
    "float32 MetaTensor": lambda values, device: MetaTensor(
        values.float().to(device), affine=affine(values.ndim - 1), meta=dict(META)
    ),
}
# name: (array form, its arguments, dictionary form, key of its result); the first argument gives type and metadata
FORMS: dict[str, tuple[Callable[[int, str], Any], tuple[str, ...], Callable[[int, str], MapTransform], str]] = {
    "ContourBand": (
        lambda dims, device: ContourBand(radius=1, side="inner"),
        ("label",),
        lambda dims, device: ContourBandd("label", radius=1, side="inner"),
        "band_label",
    ),
    "LBPBound": (
        lambda dims, device: LBPBound("code"),
        ("image",),
        lambda dims, device: LBPBoundd("image", mode="code"),
        "bound_image",
    ),
    "ApplyPerturbation": (
        lambda dims, device: ApplyPerturbation(),
        ("image", "noise", "bound"),
        lambda dims, device: ApplyPerturbationd("image"),
        "image",
    ),
    "UMedProtect": (
        lambda dims, device: UMedProtect(make_protector(dims, device), device),
        ("image", "label"),
        lambda dims, device: UMedProtectd("image", make_protector(dims, device), device=device),
        "image",
    ),
}
each_case = [
    pytest.mark.parametrize("name", FORMS),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("spatial_dims", [2, 3]),
]


def over_every_case(test: Callable[..., None]) -> Callable[..., None]:
    for mark in each_case:
        test = mark(test)
    return test


def to_numpy(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else torch.as_tensor(values).cpu().numpy()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@over_every_case
def test_type_shape_dtype_device_and_metadata_are_those_of_the_input(
    name: str, container: str, spatial_dims: int, device: str
) -> None:
    make_array, arguments, _, _ = FORMS[name]
    inputs = [CONTAINERS[container](sample(spatial_dims)[argument], device) for argument in arguments]
    before = [to_numpy(values).copy() for values in inputs]
    result = make_array(spatial_dims, device)(*inputs)
    assert type(result) is type(inputs[0]) and result.shape == inputs[0].shape
    if name == "LBPBound":  # documented: always float32
        assert result.dtype in (torch.float32, np.float32)
    else:
        assert result.dtype == inputs[0].dtype
    if isinstance(result, torch.Tensor):
        assert result.device == inputs[0].device
    if isinstance(result, MetaTensor):
        assert torch.equal(result.affine, affine(spatial_dims))
        assert result.meta["filename_or_obj"] == META["filename_or_obj"]
    for values, copy in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(to_numpy(values), copy)


@over_every_case
def test_the_dictionary_form_gives_what_the_array_form_gives(name: str, container: str, spatial_dims: int) -> None:
    make_array, arguments, make_dictionary, result_key = FORMS[name]
    data: Mapping[Hashable, Any] = {
        key: CONTAINERS[container](values, "cpu") for key, values in sample(spatial_dims).items()
    }
    expected = make_array(spatial_dims, "cpu")(*(data[argument] for argument in arguments))
    result = make_dictionary(spatial_dims, "cpu")(data)
    assert set(result) == set(data) | {result_key}
    assert type(result[result_key]) is type(expected)
    np.testing.assert_array_equal(to_numpy(result[result_key]), to_numpy(expected))
    assert all(result[key] is data[key] for key in data if key != result_key)


@pytest.mark.parametrize("name", ["ApplyPerturbation", "UMedProtect"])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("shade", ["mixed", "dark", "bright"])
def test_protected_images_keep_the_bound_and_the_range_in_every_type(
    name: str, container: str, spatial_dims: int, shade: str
) -> None:
    make_array, arguments, _, _ = FORMS[name]
    values = sample(spatial_dims)
    if shade != "mixed":  # within a quarter of the bound from one end of the range, so that most noise is clipped
        near = values["image"] * EPS / 4
        values["image"] = near if shade == "dark" else 1 - near
    inputs = [CONTAINERS[container](values[argument], "cpu") for argument in arguments]
    result, image = (to_numpy(v).astype(np.float64) for v in (make_array(spatial_dims, "cpu")(*inputs), inputs[0]))
    # eps in float32, one float32 sum, and the rounding of the image itself to float32
    assert 0 < np.abs(result - image).max() <= EPS * (1 + 2.0**-24) + 2 * 2.0**-25
    assert result.min() >= 0 and result.max() <= 1


@pytest.mark.parametrize("name", FORMS)
def test_convention_dictionary_forms_also_end_in_capital_d_and_dict(name: str) -> None:
    twin = getattr(transforms, f"{name}d")
    assert issubclass(twin, MapTransform)
    assert getattr(transforms, f"{name}D") is twin and getattr(transforms, f"{name}Dict") is twin


def test_array_forms_are_the_functions_on_one_image() -> None:
    data = sample(2)
    assert torch.equal(torch.as_tensor(ContourBand(3)(data["label"])) > 0, contour_band(data["label"], (3, 3)))
    assert torch.equal(torch.as_tensor(LBPBound()(data["image"])), lbp_bound(data["image"]))


def test_convention_a_contour_band_in_mm_reads_the_affine_of_the_label() -> None:
    label = torch.zeros(1, 20, 20, 20, dtype=torch.uint8)
    label[:, 6:14, 6:14, 6:14] = 1
    band = ContourBand(radius=2, unit="mm")(MetaTensor(label, affine=affine(3)))
    assert torch.equal(torch.as_tensor(band) > 0, contour_band(label, (4, 2, 1)))  # 0.5, 1 and 2 mm
    for bare in (label, label.numpy()):
        with pytest.raises(
            ValueError, match="needs the spacing of 3 axes, got None; pass an image that carries its aff"
        ):
            ContourBand(radius=2, unit="mm")(bare)


def test_convention_protection_in_mm_reads_the_affine_of_the_image() -> None:
    protector = make_protector(band_radius=2, band_unit="mm")
    data = sample(2)
    image = MetaTensor(data["image"].float(), affine=affine(2))
    result = UMedProtect(protector)(image, data["label"])
    expected = data["image"].float() + protector(data["image"].float(), data["label"], (0.5, 1.0)).delta
    assert torch.equal(torch.as_tensor(result).as_subclass(torch.Tensor), expected)
    with pytest.raises(ValueError, match="needs the spacing of 2 axes"):
        UMedProtect(protector)(data["image"], data["label"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_integer_images_are_refused_since_they_cannot_hold_the_change(dtype: type) -> None:
    image: np.ndarray = np.zeros((1, 20, 20), dtype)
    label = np.zeros((1, 20, 20), np.uint8)
    with pytest.raises(ValueError, match=r"where a change below 1 is lost; scale it to \[0, 1\] first"):
        UMedProtect(make_protector())(image, label)
    with pytest.raises(ValueError, match=r"where a change below 1 is lost; scale it to \[0, 1\] first"):
        ApplyPerturbation()(image, label, EPS)


def test_unusable_labels_and_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, \*spatial\), got \(2, 8, 8\); use AsDiscrete\(argmax=True\)"):
        ContourBand()(torch.zeros(2, 8, 8))
    with pytest.raises(ValueError, match=r"got \(8, 8\)"):
        ContourBand()(torch.zeros(8, 8))
    with pytest.raises(ValueError, match=r"bound has -0\.1; a bound is the limit"):
        ApplyPerturbation()(torch.zeros(1, 8, 8), torch.zeros(1, 8, 8), -0.1)
