"""Filters that keep to the mask and leave no seam, and a loss that does not see the contour band."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from monai_umed.defenses import Defense, Items, Materials
from monai_umed.defenses.mask_aware import DenoiseInMask, IgnoreBorder, QuantizeInMask
from monai_umed.functional.contour_band import contour_band
from monai_umed.functional.filters import gaussian_blur
from monai_umed.training.losses import segmentation_loss

PREPARING: list[Defense] = [
    DenoiseInMask(),
    DenoiseInMask(sigma=0.4, band=0),
    DenoiseInMask(region="image"),
    QuantizeInMask(),
    QuantizeInMask(levels=3, band=1),
]
SHAPES = [(1, 40, 36), (3, 40, 36), (1, 17, 16, 15), (3, 17, 16, 15)]
MATERIALS = Materials(build=torch.nn.Identity, train=lambda network, items: network, is_encoder=lambda name: False)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def square(size: tuple[int, ...], side: int = 3, classes: int = 2) -> torch.Tensor:
    """Class numbers ``(1, *size)``: a centered box of class 1, its last half of the highest class."""
    label = torch.zeros(1, *size, dtype=torch.uint8)
    inner = [slice(length // 2 - side, length // 2 + side) for length in size]
    label[0][tuple(inner)] = 1
    inner[-1] = slice(size[-1] // 2, size[-1] // 2 + side)
    label[0][tuple(inner)] = classes - 1
    return label


def make_items(shape: tuple[int, ...], classes: int = 2) -> Items:
    return [
        {
            "id": f"case{index}",
            "image": (torch.rand(shape, generator=seeded(index)) * 1.4 - 0.2).clamp(0, 1),
            "label": square(shape[1:], 2 + index, classes),
        }
        for index in range(2)
    ]


def dilated(label: torch.Tensor, radius: int) -> torch.Tensor:
    pool = F.max_pool2d if label.ndim == 3 else F.max_pool3d
    return pool((label > 0).float()[None], 2 * radius + 1, 1, radius)[0] > 0


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("defense", PREPARING, ids=repr)
def test_images_keep_shape_type_and_range_and_what_was_given_is_not_changed(
    defense: Defense, shape: tuple[int, ...], classes: int
) -> None:
    items, copies = make_items(shape, classes), make_items(shape, classes)
    prepared = defense.prepare(items, MATERIALS)
    again = defense.prepare(items, MATERIALS)
    for item, copy, new, same in zip(items, copies, prepared, again, strict=True):
        assert torch.equal(item["image"], copy["image"]) and torch.equal(item["label"], copy["label"])
        assert new["id"] == copy["id"] and torch.equal(new["label"], copy["label"])
        assert new["image"].shape == shape and new["image"].dtype == torch.float32
        assert new["image"].min() >= 0 and new["image"].max() <= 1
        assert not torch.equal(new["image"], copy["image"]) and torch.equal(new["image"], same["image"])
        assert defense.preprocess(copy["image"]) is copy["image"]  # test images stay as they are


@pytest.mark.parametrize("defense", PREPARING, ids=repr)
def test_an_image_without_foreground_changes_only_where_the_whole_image_does(defense: Defense) -> None:
    (item,) = make_items((1, 20, 20))[:1]
    (new,) = defense.prepare([{**item, "label": torch.zeros(1, 20, 20)}], MATERIALS)
    assert torch.equal(new["image"], item["image"]) == (defense != DenoiseInMask(region="image"))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_denoising_replaces_mask_and_band_entirely_and_fades_out_within_six_sigma(shape: tuple[int, ...]) -> None:
    sigma, band = 0.6, 1
    for item in make_items(shape):
        (new,) = DenoiseInMask(sigma, band).prepare([item], MATERIALS)
        smooth = gaussian_blur(item["image"], sigma, kernel=5)
        inside = dilated(item["label"], band).expand(shape)
        torch.testing.assert_close(new["image"][inside], smooth[inside], rtol=0, atol=2.0**-23)
        outside = ~dilated(item["label"], band + 4).expand(shape)
        assert torch.equal(new["image"][outside], item["image"][outside])
        # in between: from one to the other, never beyond
        between = (new["image"] - item["image"]) * (smooth - item["image"])
        assert (between >= -1e-6).all()


def test_denoising_leaves_no_seam_where_mask_and_band_end() -> None:
    label = torch.zeros(1, 40, 80)
    label[..., :40] = 1
    columns = torch.arange(80) % 2  # stripes: what is smoothed loses its contrast
    image = (0.4 + 0.2 * columns).expand(1, 40, 80).contiguous()
    (new,) = DenoiseInMask(sigma=2, band=2).prepare([{"image": image, "label": label}], MATERIALS)
    contrast = new["image"][0, 20].diff().abs()
    assert contrast[8:40].max() < 0.01 and torch.equal(contrast[54:], image[0, 20].diff().abs()[54:])
    assert contrast[40:54].diff().abs().max() < 0.06  # of 0.2; at once it would be all of it
    # the mean over one period is what a network sees on a coarser grid; away from the image's border no edge arises
    mean = new["image"][0, 20, 8:].unfold(0, 2, 1).mean(1)
    assert (mean - 0.5).abs().max() < 0.03


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("levels", [3, 8])
def test_quantizing_leaves_multiples_of_the_step_inside_and_everything_outside(
    shape: tuple[int, ...], levels: int
) -> None:
    for item in make_items(shape):
        (new,) = QuantizeInMask(levels, band=1).prepare([item], MATERIALS)
        inside = dilated(item["label"], 1).expand(shape)
        assert torch.equal(new["image"][~inside], item["image"][~inside])
        steps = new["image"][inside] * 255 / levels
        on_step = (steps - steps.round()).abs() < 1e-4
        assert (on_step | (new["image"][inside] == 1)).all()
        assert (new["image"] - item["image"]).abs().max() <= levels / 510 + 1e-6


def soft_label(number: torch.Tensor, classes: int) -> torch.Tensor:
    """Float labels ``(B, 1 or classes, *spatial)`` as the training loop makes them."""
    return number.float() if classes == 2 else F.one_hot(number[:, 0].long(), classes).movedim(-1, 1).float()


@pytest.fixture(params=[(2, 2), (2, 3), (3, 2), (3, 3)], ids=lambda param: f"{param[0]}D-{param[1]}classes")
def segmentation(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Wrong logits, labels and the band of radius 2 of two cases."""
    spatial_dims, classes = request.param
    size = (24, 22) if spatial_dims == 2 else (16, 15, 14)
    number = torch.stack([square(size, side, classes) for side in (4, 5)])
    label = soft_label(number, classes)
    logits = 3 - 6 * label + torch.randn(label.shape, generator=seeded())
    return logits, label, contour_band(number, (2,) * spatial_dims)


def test_the_band_gets_no_gradient_and_everything_else_all_of_it(
    segmentation: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    logits, label, band = segmentation
    copies = logits.clone(), label.clone()
    weights = torch.randn(logits.shape, generator=seeded(1))
    logits.requires_grad_()
    seen = IgnoreBorder(2).prediction(logits, label)
    assert seen.shape == logits.shape and seen.dtype == logits.dtype
    (gradient,) = torch.autograd.grad((seen * weights).sum(), logits)
    assert torch.equal(gradient, weights * ~band)
    assert torch.equal(logits.detach(), copies[0]) and torch.equal(label, copies[1])
    assert torch.equal(seen.detach()[(~band).expand_as(seen)], copies[0][(~band).expand_as(seen)])
    assert band.any() and not band.all()


def test_the_loss_counts_the_band_as_right(segmentation: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    logits, label, band = segmentation
    classes = label.shape[1]
    seen = IgnoreBorder(2).prediction(logits, label)
    if classes == 1:
        entropy = F.binary_cross_entropy_with_logits(seen, label, reduction="none")
        probability = seen.sigmoid()
    else:
        entropy = F.cross_entropy(seen, label, reduction="none")[:, None]
        probability = seen.softmax(1)
    assert entropy[band].max() < 1e-6 and entropy[~band].min() > 1e-3
    torch.testing.assert_close(probability[band.expand_as(label)], label[band.expand_as(label)], rtol=0, atol=1e-6)
    loss = segmentation_loss(max(2, classes), one_hot_labels=True)
    assert loss(seen, label) < loss(logits, label)
    right = torch.where(band, logits, 40 * label - 20)  # wrong in the band only
    assert loss(IgnoreBorder(2).prediction(right, label), label) < 1e-4 < loss(right, label)


def test_a_perfect_network_and_an_image_without_contour_are_left_alone() -> None:
    label = torch.ones(1, 1, 12, 12)
    logits = torch.randn(1, 1, 12, 12, generator=seeded())
    assert torch.equal(IgnoreBorder().prediction(logits, label), logits)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_mixed_label_has_the_bands_of_both_masks_and_its_own_shares_in_them(classes: int) -> None:
    first, second = square((30, 30), 4, classes)[None], square((30, 30), 9, classes)[None]
    label = 0.7 * soft_label(first, classes) + 0.3 * soft_label(second, classes)
    logits = torch.full_like(label, 5.0)
    seen = IgnoreBorder(1).prediction(logits, label)
    band = (contour_band(first, (1, 1)) | contour_band(second, (1, 1))).expand_as(label)
    probability = seen.sigmoid() if classes == 2 else seen.softmax(1)
    torch.testing.assert_close(probability[band], label[band], rtol=0, atol=1e-6)
    assert torch.equal(seen[~band], logits[~band])


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (DenoiseInMask, {"sigma": 0}, r"sigma is 0; it must be positive, in pixels"),
        (DenoiseInMask, {"sigma": float("inf")}, r"sigma is inf"),
        (DenoiseInMask, {"band": -1}, r"band is -1; it must be a whole number of pixels"),
        (DenoiseInMask, {"band": 1.5}, r"band is 1.5"),
        (DenoiseInMask, {"region": "roi"}, r"region is 'roi'; use one of mask, image"),
        (QuantizeInMask, {"levels": 0}, r"levels is 0; it must be above 0 and at most 255"),
        (QuantizeInMask, {"band": -2}, r"band is -2"),
        (IgnoreBorder, {"radius": 0}, r"radius is 0; it must be positive"),
        (IgnoreBorder, {"radius": 1.5}, r"whole number, got 1.5"),
    ],
)
def test_arguments_out_of_range_are_refused(kind: type, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
