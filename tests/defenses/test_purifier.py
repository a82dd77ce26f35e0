"""The purifier takes off other images what it has learned to see, in 2D and 3D, with and without masks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from monai_umed.defenses import Items, Materials
from monai_umed.defenses.purifier import (
    AverageSubtract,
    LeakedPairs,
    ToolAwarePurifier,
    purifier_input,
    purify,
    train_purifier,
)

EPS = 8 / 255


def clean_items(
    count: int, seed: int, size: tuple[int, ...] = (32, 32), channels: int = 1, num_classes: int = 2
) -> Items:
    """Smooth random images with one box per class."""
    generator = torch.Generator().manual_seed(seed)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    axes = torch.meshgrid(*[torch.arange(length) / length for length in size], indexing="ij")
    items: Items = []
    for index in range(count):
        coarse = torch.rand(1, channels, *[4] * len(size), generator=generator)
        label = torch.zeros(1, *size)
        for number in range(1, num_classes):
            corner = 0.5 * torch.rand(len(size), generator=generator)
            box = [(axis >= start) & (axis < start + 0.5) for axis, start in zip(axes, corner, strict=True)]
            label[0, torch.stack(box).all(0)] = number
        image = 0.1 + 0.8 * torch.nn.functional.interpolate(coarse, size=size, mode=mode)[0]
        items.append({"id": f"{seed}-{index}", "image": image, "label": label})
    return items


def protect(items: Items) -> Items:
    """A checkerboard of single pixels wherever the label is not 0."""
    size = items[0]["label"].shape[1:]
    color = torch.stack(torch.meshgrid(*[torch.arange(length) for length in size], indexing="ij")).sum(0) % 2
    return [{**item, "image": item["image"] + EPS * (2 * color - 1) * (item["label"] > 0)} for item in items]


def materials(
    foreign: Items, foreign_protected: Items, num_classes: int = 2, eps: float = EPS, seed: int = 0
) -> Materials:
    def unused(*arguments: Any) -> Any:
        raise AssertionError("the purifier builds and trains a network of its own")

    return Materials(
        unused,
        unused,
        unused,
        eps,
        seed,
        num_classes,
        foreign=lambda: foreign,
        foreign_protected=lambda: foreign_protected,
    )


def images(items: Items) -> torch.Tensor:
    return torch.stack([item["image"] for item in items])


def energy_left(purified: Items, protected: Items, clean: Items) -> float:
    left, before = (images(items) - images(clean) for items in (purified, protected))
    return (left.square().sum() / before.square().sum()).item()


@pytest.mark.parametrize(
    ("size", "channels", "num_classes", "masked"),
    [((32, 32), 1, 2, True), ((32, 32), 1, 2, False), ((32, 32), 3, 3, True), ((32, 16, 16), 1, 2, True)],
)
def test_most_of_the_perturbation_of_other_images_is_removed(
    size: tuple[int, ...], channels: int, num_classes: int, masked: bool
) -> None:
    foreign = clean_items(12, 1, size, channels)
    clean = clean_items(4, 2, size, channels, num_classes)
    protected = protect(clean)
    defense = ToolAwarePurifier(masked, steps=30 if len(size) == 2 else 12)
    purified = defense.prepare(protected, materials(foreign, protect(foreign), num_classes))
    assert energy_left(purified, protected, clean) < 0.5
    assert [item["id"] for item in purified] == [item["id"] for item in clean]
    assert all(torch.equal(a["label"], b["label"]) for a, b in zip(purified, clean, strict=True))


def test_no_pixel_moves_by_more_than_eps_or_leaves_the_range_and_no_item_is_changed_in_place() -> None:
    foreign = clean_items(4, 1)
    items = [{**item, "image": item["image"].round()} for item in protect(clean_items(3, 2))]
    stock = materials(foreign, protect(foreign))
    inputs = [items, stock.foreign(), stock.foreign_protected()]
    before = copy.deepcopy(inputs)
    purified = ToolAwarePurifier(steps=3).prepare(items, stock)
    assert all(torch.equal(images(a), images(b)) for a, b in zip(inputs, before, strict=True))
    change = (images(purified) - images(items)).abs()
    # one rounding of a float32 number up to 1
    assert 0 < change.max() <= EPS + 2.0**-24
    assert images(purified).min() >= 0 and images(purified).max() <= 1


def test_the_seed_decides_the_result_and_the_random_stream_goes_on_undisturbed() -> None:
    foreign = clean_items(6, 1)
    items = protect(clean_items(2, 2))

    def purified(seed: int, foreign: Items = foreign) -> torch.Tensor:
        state = torch.get_rng_state()
        result = ToolAwarePurifier(steps=3).prepare(items, materials(foreign, protect(foreign), seed=seed))
        assert torch.equal(state, torch.get_rng_state())
        return images(result)

    assert torch.equal(purified(0), purified(0))
    assert torch.equal(purified(0), purified(0, foreign[::-1]))
    assert not torch.equal(purified(0), purified(1))


def test_pairs_are_matched_by_name_and_what_has_no_partner_is_left_out() -> None:
    foreign = clean_items(6, 1)
    protected = protect(foreign)
    items = protect(clean_items(2, 2))

    def purified(clean: Items, protected: Items) -> torch.Tensor:
        return images(ToolAwarePurifier(steps=3).prepare(items, materials(clean, protected)))

    assert torch.equal(purified(foreign[:4], protected[:4]), purified(foreign[:5], [protected[5], *protected[3::-1]]))


def test_convention_the_mask_is_the_last_channel_and_all_classes_are_one_foreground() -> None:
    item = {"image": torch.full((3, 2, 2), 0.5), "label": torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])}
    assert purifier_input(item, masked=True)[-1].tolist() == [[0, 1], [1, 1]]
    assert torch.equal(purifier_input(item, masked=True)[:3], item["image"])
    assert purifier_input(item, masked=False) is item["image"]


def test_a_purifier_is_ready_to_use_on_images_of_another_size() -> None:
    foreign = clean_items(4, 1)
    network = train_purifier(protect(foreign), foreign, eps=EPS, steps=2)
    assert not network.training
    [other] = clean_items(1, 2, (44, 40))
    assert purify(network, other, eps=EPS)["image"].shape == (1, 44, 40)


@pytest.mark.parametrize(
    ("foreign", "protected", "pattern"),
    [
        (0, 0, r"None of the 0 foreign images .* among the 0 protected"),
        (3, 0, r"None of the 3 foreign images .* among the 0 protected"),
        (0, 3, r"None of the 0 foreign images .* among the 3 protected"),
    ],
)
def test_missing_foreign_images_are_an_error_that_names_the_cure(foreign: int, protected: int, pattern: str) -> None:
    assert ToolAwarePurifier().needs == {"foreign", "foreign_protected"}
    stock = materials(clean_items(foreign, 1), clean_items(protected, 1))
    with pytest.raises(ValueError, match=pattern + r".*give clean images of another dataset and the same"):
        ToolAwarePurifier().prepare(clean_items(2, 2), stock)


def test_foreign_images_under_other_names_are_an_error() -> None:
    stock = materials(clean_items(3, 1), clean_items(3, 5))
    with pytest.raises(ValueError, match="None of the 3 foreign images"):
        ToolAwarePurifier().prepare(clean_items(2, 2), stock)


@pytest.mark.parametrize("eps", [0.0, -1.0, float("nan")])
def test_without_a_perturbation_there_is_nothing_to_learn(eps: float) -> None:
    foreign = clean_items(3, 1)
    with pytest.raises(ValueError, match=r"eps is .*no perturbation to learn"):
        ToolAwarePurifier().prepare(clean_items(2, 2), materials(foreign, foreign, eps=eps))


def leaked(clean: Items, eps: float = EPS) -> Materials:
    unused: Any = None
    return Materials(unused, unused, unused, eps, clean=lambda: clean)


def test_a_mean_over_regions_takes_off_what_lies_at_the_same_pixels_and_hardly_touches_clean_images() -> None:
    clean = [{**item, "label": torch.ones_like(item["label"])} for item in clean_items(24, 1)]
    protected = protect(clean)
    before = copy.deepcopy(protected)
    assert energy_left(AverageSubtract().prepare(protected, leaked(clean)), protected, clean) < 0.1
    assert torch.equal(images(protected), images(before))
    assert energy_left(AverageSubtract().prepare(clean, leaked(clean)), protected, clean) < 0.1


def test_leaked_originals_teach_to_take_the_perturbation_off_the_others() -> None:
    clean = clean_items(12, 1)
    protected = protect(clean)
    purified = LeakedPairs(8, steps=60).prepare(protected, leaked(clean))
    assert [item["id"] for item in purified] == [item["id"] for item in protected]
    assert energy_left(purified, protected, clean) < 0.6
    with pytest.raises(ValueError, match="12 training cases have an original, fewer than the 20 that leak"):
        LeakedPairs(20).prepare(protected, leaked(clean))
    with pytest.raises(ValueError, match=r"eps is 0.*no perturbation to learn"):
        LeakedPairs(2).prepare(protected, leaked(clean, eps=0))
