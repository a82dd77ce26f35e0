"""Random moves of whole batches: shapes, ranges, labels, seeds, and how far each of them moves what."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from monai_umed.defenses import Composed, Defense
from monai_umed.defenses.geometric_augmentation import Affine, Elastic, Flips, RandomCrop, RandomInterpolation

MOVES: list[Defense] = [RandomCrop(), Affine(), Flips(), Elastic(), RandomInterpolation()]
SHAPES = [(1, 32, 40), (3, 32, 40), (1, 24, 16, 20)]


def unused(*_: Any) -> Any:
    raise AssertionError("a move needs no loss")


def move(
    defense: Defense, image: torch.Tensor, label: torch.Tensor, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    return defense.batch(image, label, unused, torch.Generator().manual_seed(seed))


def make_batch(shape: tuple[int, ...], count: int = 12, classes: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, and two classes as numbers or as one channel a class, background first."""
    image = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(count, 1, *shape[1:])
    for value in (1, 2):
        box = tuple(slice(value * length // 4, (value + 1) * length // 4) for length in shape[1:])
        label[:, 0][(slice(None), *box)] = value
    return image, label if classes == 1 else torch.cat([label == value for value in range(classes)], 1).float()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("defense", [*MOVES, Composed(MOVES)], ids=lambda defense: type(defense).__name__)
def test_shape_range_and_classes_are_kept_and_nothing_that_was_given_is_changed(
    defense: Defense, shape: tuple[int, ...]
) -> None:
    image, label = make_batch(shape)
    before = image.clone(), label.clone()
    moved, classes = move(defense, image, label)
    assert moved.shape == image.shape and classes.shape == label.shape
    assert moved.min() >= 0 and moved.max() <= 1 and moved.isfinite().all()
    assert set(classes.unique().tolist()) <= {0, 1, 2}
    assert torch.equal(image, before[0]) and torch.equal(label, before[1])
    assert len({case.numpy().tobytes() for case in move(defense, image[:1].expand_as(image), label)[0]}) > 2
    again, other = move(defense, image, label), move(defense, image, label, seed=1)
    assert torch.equal(moved, again[0]) and torch.equal(classes, again[1]) and not torch.equal(moved, other[0])


@pytest.mark.parametrize("defense", MOVES, ids=lambda defense: type(defense).__name__)
def test_what_comes_into_view_is_background_whether_classes_are_numbers_or_channels(defense: Defense) -> None:
    image, numbers = make_batch(SHAPES[0])
    _, channels = make_batch(SHAPES[0], classes=3)
    moved = move(defense, image, channels)[1]
    assert torch.equal(moved.sum(1), torch.ones_like(moved[:, 0]))
    assert torch.equal(moved.argmax(1, keepdim=True).float(), move(defense, image, numbers)[1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_crops_move_image_and_label_together_by_whole_pixels(shape: tuple[int, ...]) -> None:
    image, _ = make_batch(shape, count=20)
    label = (image[:, :1] * 7).round()
    moved, labels = move(RandomCrop(0.5), image, label)
    kept = [round(0.5 * length) for length in shape[1:]]
    middle = tuple(
        slice((side - part) // 2, (side - part) // 2 + part) for side, part in zip(shape[1:], kept, strict=True)
    )
    windows = moved[(slice(None), slice(None), *middle)]
    assert moved.count_nonzero() == windows.count_nonzero()
    assert torch.equal(labels, (moved[:, :1] * 7).round())
    places = set()
    for case, window in zip(image, windows, strict=True):
        corner = (case[0] == window[(0,) * len(shape)]).nonzero()[0].tolist()
        part = (slice(None), *(slice(start, start + length) for start, length in zip(corner, kept, strict=True)))
        assert torch.equal(case[part], window)
        places.add(tuple(corner))
    assert len(places) > 10


def test_affine_maps_move_image_and_label_together_within_their_limits() -> None:
    label = torch.zeros(60, 1, 64, 96)  # a bar whose shape must survive on a grid that is no square
    label[..., 28:36, 36:60] = 1
    moved, labels = move(Affine(degrees=20, scale=(0.8, 1.25)), 0.9 * label, label)
    assert ((moved > 0.45) == (labels > 0)).float().mean() > 0.97
    areas = labels.sum((1, 2, 3)) / label[0].sum()
    turned = []
    for case in labels:
        places = case[0].nonzero().float()
        rows, columns = torch.linalg.svd(places - places.mean(0), full_matrices=False).Vh[0].tolist()
        angle = math.degrees(math.atan2(rows, columns)) % 180
        turned.append(min(angle, 180 - angle))
    assert 0.8**2 * 0.9 < areas.min() < 0.8 and 1.3 < areas.max() < 1.25**2 * 1.1
    assert 15 < max(turned) < 22


def test_volumes_turn_about_every_axis() -> None:
    label = torch.zeros(20, 1, 24, 24, 24)
    label[..., 11:13, 11:13, 11:13] = 1
    for axis in range(3):
        rod = torch.zeros_like(label)
        rod.movedim(2 + axis, 2)[..., 4:20, 11:13, 11:13] = 1
        _, labels = move(Affine(degrees=30, scale=(1, 1)), rod, rod)
        others = [2 + other for other in range(3) if other != axis]
        spread = [labels.amax([other for other in (2, 3, 4) if other != kept]).sum(-1).max() for kept in others]
        assert min(spread) > 4  # it was 2 pixels thick
        assert abs(labels.sum().item() / rod.sum().item() - 1) < 0.1


def test_flips_show_every_mirror_image() -> None:
    image, label = make_batch((1, 8, 6), count=1)
    moved, _ = move(Flips(), image.expand(40, -1, -1, -1), label.expand(40, -1, -1, -1))
    expected = [image[0].flip(axes) for axes in ([], [1], [2], [1, 2])]
    assert all(sum(torch.equal(case, mirrored) for mirrored in expected) == 1 for case in moved)
    assert all(any(torch.equal(case, mirrored) for case in moved) for mirrored in expected)


def test_elastic_bends_smoothly_and_no_further_than_its_limit() -> None:
    rows = torch.arange(64.0).reshape(1, 1, 64, 1).expand(4, 1, 64, 64) / 64
    moved, _ = move(Elastic(pixels=4, spacing=16), rows, rows.round())
    shift = (moved - rows)[..., 8:-8, 8:-8] * 64
    assert 2 < shift.abs().max() < 4.01
    assert shift.diff(dim=-1).abs().max() < 2 * 4 / 16 + 0.1


def test_interpolation_shifts_every_pixel_alone_and_leaves_the_label() -> None:
    rows = torch.arange(64.0).reshape(1, 1, 64, 1).expand(4, 1, 64, 64) / 64
    moved, label = move(RandomInterpolation(2), rows, rows.round())
    shift = (moved - rows)[..., 4:-4, :] * 64
    assert torch.equal(label, rows.round())
    assert 1.9 < shift.abs().max() < 2.01 and shift.std().item() == pytest.approx(2 / math.sqrt(3), rel=0.05)
    assert abs(torch.corrcoef(torch.stack([shift[..., 1:].flatten(), shift[..., :-1].flatten()]))[0, 1]) < 0.05


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Affine(degrees=200), "degrees is 200; it must be above 0 and at most 180"),
        (lambda: Affine(scale=(1.2, 0.8)), r"scale is \(1\.2, 0\.8\); give two positive factors"),
        (lambda: RandomCrop(1.5), r"fraction is 1\.5; it must be between 0 and 1"),
        (lambda: Elastic(pixels=8), "pixels is 8; it must be above 0 and below half of spacing, 16"),
        (lambda: RandomInterpolation(0), "pixels is 0; it must be positive, for example 2"),
    ],
)
def test_errors_name_value_limit_and_cure(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
