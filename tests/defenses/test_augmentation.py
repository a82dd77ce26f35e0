"""What every augmentation keeps: shapes, ranges, labels and seeds; and what each does to image and label."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.transforms import Compose, Lambdad
from monai.utils import convert_to_tensor

from monai_umed.defenses import Composed, Defense, Materials
from monai_umed.defenses.augment import Augment
from monai_umed.defenses.augmentation import (
    Cutout,
    GammaContrast,
    NNUNet,
    RandomNoise,
    RandRelativeNoised,
    cutout_transforms,
    gamma_contrast_transforms,
    nnunet_transforms,
    noise_transforms,
)
from monai_umed.defenses.batch_operations import augment_batch

AUGMENTATIONS: list[Defense] = [
    *(NNUNet(), GammaContrast(), RandomNoise(), RandomNoise(amount=0.3), Cutout()),
]
SHAPES = [(1, 32, 40), (3, 32, 40), (1, 12, 16, 10), (3, 12, 16, 10)]


def materials(eps: float = 4 / 255) -> Materials:
    def unused(*_: Any) -> Any:
        raise AssertionError("an augmentation needs no network")

    return Materials(build=unused, train=unused, is_encoder=unused, eps=eps)


class Pipeline:
    """A defense's augmentation of single cases, each of which is a batch."""

    def __init__(self, *transforms: Any) -> None:
        self.transforms = Compose(transforms)

    def set_random_state(self, seed: int) -> Pipeline:
        self.transforms.set_random_state(seed)
        return self

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        image, label = item["image"][None], item["label"][None]
        for transform in self.transforms.transforms:
            image, label = augment_batch(transform, image, label)
        return {**item, "image": image[0], "label": label[0]}


def pipeline(defense: Defense, seed: int = 0, eps: float = 4 / 255) -> Pipeline:
    return Pipeline(*defense.augmentation(materials(eps))).set_random_state(seed)


def make_item(channels: int, *size: int, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.zeros(1, *size)
    for value in (1, 2):
        box = tuple(slice(value * length // 4, (value + 1) * length // 4) for length in size)
        label[0][box] = value
    return {"id": "a", "image": torch.rand(channels, *size, generator=generator), "label": label}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("defense", AUGMENTATIONS, ids=repr)
def test_items_come_back_as_plain_tensors_of_their_shape_range_and_classes(
    defense: Defense, shape: tuple[int, ...]
) -> None:
    item = make_item(*shape)
    image, label = item["image"].clone(), item["label"].clone()
    augment = pipeline(defense)
    results = [augment(item) for _ in range(30)]
    for result in results:
        assert result["id"] == "a"
        assert type(result["image"]) is torch.Tensor and type(result["label"]) is torch.Tensor
        assert result["image"].shape == image.shape and result["image"].dtype == torch.float32
        assert result["label"].shape == label.shape and result["label"].dtype == torch.float32
        assert result["image"].min() >= 0 and result["image"].max() <= 1
        assert set(result["label"].unique().tolist()) <= {0, 1, 2}
    assert torch.equal(item["image"], image) and torch.equal(item["label"], label)
    assert len({result["image"].numpy().tobytes() for result in results}) > 10


@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[3]], ids=str)
@pytest.mark.parametrize("defense", [*AUGMENTATIONS, Composed(AUGMENTATIONS)], ids=lambda d: type(d).__name__)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(defense: Defense, shape: tuple[int, ...]) -> None:
    items = [make_item(*shape, seed=index) for index in range(10)]
    once, again, other = ([pipeline(defense, seed)(item) for item in items] for seed in (1, 1, 2))
    for key in ("image", "label"):
        assert all(torch.equal(a[key], b[key]) for a, b in zip(once, again, strict=True))
    assert not all(torch.equal(a["image"], b["image"]) for a, b in zip(once, other, strict=True))


@pytest.mark.parametrize("defense", AUGMENTATIONS, ids=repr)
def test_seeding_again_starts_over(defense: Defense) -> None:
    augment, item = pipeline(defense, seed=3), make_item(1, 32, 40)
    first = [augment(item)["image"] for _ in range(5)]
    augment.set_random_state(3)
    assert all(torch.equal(augment(item)["image"], image) for image in first)


MADE: dict[str, Callable[[tuple[int, ...]], list[Any]]] = {
    "nnunet": nnunet_transforms,
    "gamma-contrast": gamma_contrast_transforms,
    "noise": lambda size: noise_transforms(size, 0.1),
    "cutout": lambda size: cutout_transforms(size, 0.5),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", list(MADE))
def test_whole_batches_get_what_monai_gives_one_case_after_the_other(name: str, shape: tuple[int, ...]) -> None:
    """Every transform on its own, on every second case by chance, and all of them as they are drawn."""
    size = shape[1:]
    items = [make_item(*shape, seed=index) for index in range(12)]
    batch = [torch.stack([item[key] for item in items]) for key in ("image", "label")]

    def make(chosen: int | None) -> Compose:
        transforms: list[Any] = MADE[name](size)
        if chosen is not None:
            transforms = [transforms[chosen]]
            transforms[0].prob = min(1, max(0.5, transforms[0].prob))
        return Compose(transforms).set_random_state(3)

    for chosen in (*range(len(make(None).transforms)), None):
        alone = make(chosen)
        expected = [alone({**item, "image": item["image"].clone()}) for item in items]
        image, label = (each.clone() for each in batch)
        for transform in make(chosen).transforms:
            image, label = augment_batch(transform, image, label)
        first, second = (
            torch.stack([convert_to_tensor(item[key], track_meta=False) for item in expected])
            for key in ("image", "label")
        )
        torch.testing.assert_close(image, first, rtol=0, atol=2e-4)
        assert (label != second).float().mean() < 2e-3  # the nearer of two pixels at equal distance
        assert chosen is None or not torch.equal(image, batch[0])


def test_transforms_that_know_no_batches_see_one_case_at_a_time() -> None:
    seen: list[tuple[int, ...]] = []

    def look(image: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image.shape))
        return image + 1

    image, label = augment_batch(Lambdad("image", look), torch.zeros(2, 3, 4, 5), torch.ones(2, 1, 4, 5))
    assert seen == [(3, 4, 5)] * 2 and (image == 1).all() and (label == 1).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32], ids=str)
@pytest.mark.parametrize("defense", AUGMENTATIONS, ids=repr)
def test_a_label_keeps_its_dtype(defense: Defense, dtype: torch.dtype) -> None:
    item = make_item(1, 32, 40)
    item["label"] = item["label"].to(dtype)
    augment = pipeline(defense)
    assert {augment(item)["label"].dtype for _ in range(30)} == {dtype}


@pytest.mark.parametrize("defense", [GammaContrast(), RandomNoise(), Cutout()], ids=repr)
def test_what_changes_gray_values_leaves_the_label(defense: Defense) -> None:
    item, augment = make_item(1, 32, 40), pipeline(defense)
    assert all(torch.equal(augment(item)["label"], item["label"]) for _ in range(20))


def only(*names: str, prob: float = 1) -> Pipeline:
    """Of nnU-Net's transforms those of the given classes, drawn every time."""

    def make(size: tuple[int, ...]) -> list[Any]:
        chosen = [transform for transform in nnunet_transforms(size) if type(transform).__name__ in names]
        for transform in chosen:
            transform.prob = prob  # type: ignore[attr-defined]
        return chosen

    return Pipeline(Augment(make)).set_random_state(0)


def center(mass: torch.Tensor) -> torch.Tensor:
    axes = torch.meshgrid(*[torch.arange(length) for length in mass.shape], indexing="ij")
    return torch.stack([(axis * mass).sum() for axis in axes]) / mass.sum()


def ball(*size: int) -> torch.Tensor:
    """A ball off the center, so that every movement shows."""
    axes = torch.meshgrid(*[torch.arange(length) / length for length in size], indexing="ij")
    return (sum((axis - 0.4) ** 2 for axis in axes) < 0.05).float()[None]  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(64, 48), (24, 32, 28)], ids=str)
@pytest.mark.parametrize("name", ["RandFlipd", "RandAffined", "RandZoomd"])
def test_image_and_label_move_together(name: str, size: tuple[int, ...]) -> None:
    augment, mask = only(name, prob=0.5 if name == "RandFlipd" else 1), ball(*size)
    moved = 0
    for _ in range(20):
        result = augment({"image": mask, "label": mask})
        image, label = result["image"], result["label"]
        # linear interpolation gives the nearest pixel a weight of at least one half an axis
        weight = 0.5 ** len(size) - 0.01
        assert not label[image < weight].any() and label[image > 1 - weight].all()
        moved += not torch.equal(label, mask)
    assert moved >= 10
    if name == "RandFlipd":
        assert torch.equal(image, label)


@pytest.mark.parametrize("size", [(32, 32), (16, 16, 16)], ids=str)
def test_nnunet_mirrors_every_axis(size: tuple[int, ...]) -> None:
    augment, image = only("RandFlipd", prob=0.5), torch.rand(1, *size)
    seen = {augment({"image": image, "label": image})["image"][(0, *[0] * len(size))].item() for _ in range(100)}
    assert len(seen) == 2 ** len(size)


@pytest.mark.parametrize("size, degrees", [((65, 65), 180), ((33, 33, 33), 30)], ids=str)
def test_nnunet_rotates_by_up_to_180_degrees_in_2d_and_30_in_3d(size: tuple[int, ...], degrees: int) -> None:
    middle = (size[0] - 1) / 2
    position = torch.stack(torch.meshgrid(*[torch.arange(length) - middle for length in size], indexing="ij"))
    # a ball on the first axis: where it goes is where the first axis goes
    target = torch.zeros(len(size))
    target[0] = size[0] / 4
    image = torch.exp(-((position - target.reshape(-1, *[1] * len(size))) ** 2).sum(0) / 8)[None]
    augment = only("RandAffined")
    angles = []
    for _ in range(60):
        now = center(augment({"image": image, "label": image})["image"][0]) - middle
        angles.append(math.degrees(math.acos(min(1, (now[0] / now.norm()).item()))))
    # in 3D two of the three rotations turn the first axis
    limit = degrees if len(size) == 2 else math.degrees(math.acos(math.cos(math.radians(degrees)) ** 2))
    assert 0.6 * limit < max(angles) <= limit + 1


@pytest.mark.parametrize("size", [(64, 64), (32, 32, 32)], ids=str)
def test_nnunet_scales_all_axes_alike(size: tuple[int, ...]) -> None:
    axes = torch.meshgrid(*[torch.arange(length) / length - 0.5 for length in size], indexing="ij")
    mask = (sum(axis**2 for axis in axes) < 0.05).float()[None]  # type: ignore[union-attr]
    augment, factors = only("RandZoomd"), []
    for _ in range(40):
        label = augment({"image": mask, "label": mask})["label"][0]
        extents = [
            label.amax([other for other in range(len(size)) if other != axis]).sum() for axis in range(len(size))
        ]
        assert max(extents) - min(extents) <= 1
        factors.append((label.sum() / mask.sum()).item() ** (1 / len(size)))
    assert 0.65 < min(factors) < 0.8 and 1.25 < max(factors) < 1.45


def test_nnunets_noise_is_relative_to_the_contrast_of_the_image() -> None:
    image = torch.rand(1, 64, 64)
    augment = Pipeline(RandRelativeNoised("image", prob=1, std=0.1))
    fractions = []
    for contrast in (0.5, 0.05):
        augment.set_random_state(0)
        flat = 0.5 + contrast * (image - 0.5)
        change = augment({"image": flat.clone(), "label": flat})["image"] - flat
        fractions.append((change.std() / flat.std()).item())
    assert 0 < fractions[0] <= 0.11
    assert fractions[0] == pytest.approx(fractions[1], rel=1e-3)


def test_nnunet_leaves_some_items_alone_but_for_mirroring() -> None:
    # .8 * .8 * .9 * .8 * .85 * .85 * .75 * .9 * .7 = .16 of all items
    augment, image = pipeline(NNUNet()), torch.rand(1, 32, 32)
    mirrored = [image, image.flip(1), image.flip(2), image.flip(1, 2)]
    results = [augment({"image": image, "label": image.round()})["image"] for _ in range(150)]
    alone = sum(any(torch.equal(result, other) for other in mirrored) for result in results)
    assert abs(alone - 0.16 * 150) < 3 * math.sqrt(150 * 0.16 * 0.84)  # standard deviations of a binomial


@pytest.mark.parametrize("amount, eps, radius", [("eps", 4 / 255, 4 / 255), ("eps", 0.1, 0.1), (0.05, 0.1, 0.05)])
def test_random_noise_fills_its_radius_evenly(amount: float | str, eps: float, radius: float) -> None:
    image = torch.full((1, 64, 64), 0.5)
    augment = pipeline(RandomNoise(amount), eps=eps)
    first, second = (augment({"image": image, "label": image.round()})["image"] - image for _ in range(2))
    assert first.abs().max() <= radius * (1 + 1e-5) and first.abs().max() > 0.98 * radius
    assert first.std().item() == pytest.approx(radius / math.sqrt(3), rel=0.05)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cutout_blackens_one_box_of_half_the_side_in_all_channels(shape: tuple[int, ...]) -> None:
    item = make_item(*shape)
    item["image"] = item["image"] * 0.5 + 0.5
    augment = pipeline(Cutout())
    corners = set()
    for _ in range(20):
        image = augment(item)["image"]
        black = image == 0
        inside = black[0].nonzero()
        extent = inside.amax(0) - inside.amin(0) + 1
        assert extent.tolist() == [length // 2 for length in shape[1:]]
        assert black.sum() == shape[0] * extent.prod()
        assert torch.equal(image[~black], item["image"][~black])
        corners.add(tuple(inside.amin(0).tolist()))
    assert len(corners) > 10


def test_gamma_contrast_changes_gray_values_monotonically() -> None:
    ramp = torch.linspace(0, 1, 1024).reshape(1, 32, 32)
    augment = pipeline(GammaContrast())
    for _ in range(20):
        steps = augment({"image": ramp, "label": ramp.round()})["image"].flatten().diff()
        assert (steps >= -1e-6).all() and (steps > 0).sum() > 500


@pytest.mark.parametrize("defense", AUGMENTATIONS, ids=repr)
def test_a_constant_image_gives_no_nan(defense: Defense) -> None:
    augment = pipeline(defense)
    for level in (0.0, 0.5, 1.0):
        item = {"image": torch.full((1, 32, 32), level), "label": torch.zeros(1, 32, 32)}
        assert all(augment(item)["image"].isfinite().all() for _ in range(20))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RandomNoise(0), r"amount is 0; use a positive number, for example 4 / 255, or 'eps'"),
        (lambda: RandomNoise("Eps"), "amount is 'Eps'; use a positive number"),
        (lambda: Cutout(side=1), r"side is 1; it must be a share between 0 and 1, for example 0\.5"),
    ],
)
def test_errors_name_value_limit_and_cure(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
