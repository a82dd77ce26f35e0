"""What a fit expects exploiters to do: every transformation keeps its promise, and equals the exploiters' own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.defenses.filters import Contrast, GaussianBlur, Half, Jpeg
from monai_umed.fitting.transformations import (
    Affine,
    Flip,
    GaussianNoise,
    HalfSize,
    Identity,
    OneOf,
    RandomBlur,
    RandomContrast,
    RandomJpeg,
    Shift,
    Transformation,
    transform_batch,
)

ALL: list[Transformation] = [
    Identity(),
    RandomBlur(),
    RandomJpeg(),
    HalfSize(),
    RandomContrast(),
    GaussianNoise(),
    Shift(),
    Flip(),
    Affine(),
    OneOf((Shift(), RandomBlur())),
]
GEOMETRIC: list[Transformation] = [Shift(), Flip(), Affine()]
SHAPES = [(1, 24, 16), (3, 24, 16), (1, 8, 12, 10)]


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def case(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.rand(shape, generator=draws(seed))
    label = torch.zeros(1, *shape[1:])
    label[(slice(None), *(slice(length // 3, length // 2 + 2) for length in shape[1:]))] = 2
    return image, label


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("transformation", ALL, ids=repr)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_shape_window_and_classes_are_kept_and_nothing_that_was_given_is_changed(
    transformation: Transformation, shape: tuple[int, ...], seed: int
) -> None:
    image, label = case(shape, seed)
    given_image, given_label = image.clone(), label.clone()
    moved, classes = transformation(image, label, draws(seed))
    assert moved.shape == image.shape and classes.shape == label.shape
    assert moved.min() >= 0 and moved.max() <= 1
    assert set(classes.unique().tolist()) <= {0.0, 2.0}
    assert torch.equal(image, given_image) and torch.equal(label, given_label)
    again = transformation(image, label, draws(seed))
    assert torch.equal(moved, again[0]) and torch.equal(classes, again[1])


@pytest.mark.parametrize("transformation", ALL, ids=repr)
def test_the_gradient_reaches_the_image(transformation: Transformation) -> None:
    image, label = case((1, 24, 16))
    image.requires_grad_()
    moved, _ = transformation(image, label, draws())
    (moved * torch.rand(moved.shape, generator=draws(1))).sum().backward()
    assert image.grad is not None and torch.isfinite(image.grad).all() and (image.grad != 0).float().mean() > 0.5


@pytest.mark.parametrize("transformation", GEOMETRIC, ids=repr)
@pytest.mark.parametrize("shape", SHAPES[::2], ids=str)
def test_image_and_label_move_together(transformation: Transformation, shape: tuple[int, ...]) -> None:
    label = torch.zeros(1, *shape[1:])
    label[(slice(None), *(slice(1, length // 3 + 2) for length in shape[1:]))] = 2  # off the middle, along every axis
    different = 0
    for seed in range(20):
        moved, classes = transformation(label / 2, label, draws(seed))
        # Linear against nearest interpolation: at a corner the nearest pixel weighs least, a half along each axis.
        assert ((moved - classes / 2).abs() <= 1 - 0.5 ** (len(shape) - 1) + 1e-4).all()
        different += int(not torch.equal(classes, label))
    assert different >= 12


def test_a_rotation_keeps_the_shape_of_structures_where_sides_differ() -> None:
    label = torch.zeros(1, 40, 80)
    label[:, 10:30, 38:42] = 1  # 20 x 4 pixels
    _, turned = Affine(degrees=90, scale=(1, 1))(label, label, draws(3))
    assert abs(turned.sum().item() - 80) <= 12


def test_nothing_to_do_changes_nothing() -> None:
    image, label = case((1, 24, 16))
    moved, classes = Affine(degrees=0, scale=(1, 1))(image, label, draws())
    torch.testing.assert_close(moved, image, atol=1e-5, rtol=0)
    assert torch.equal(classes, label)


@pytest.mark.parametrize(
    ("transformation", "defense"),
    [
        (RandomBlur(sigma=(1.0, 1.0)), GaussianBlur(sigma=1.0, kernel=7)),
        (RandomJpeg(quality=(60, 60)), Jpeg(quality=60)),
        (HalfSize(), Half()),
        (RandomContrast(gamma=(0.7, 0.7), contrast=(1.25, 1.25)), Contrast(gamma=0.7, contrast=1.25)),
    ],
    ids=repr,
)
def test_a_fit_sees_what_an_exploiter_would(transformation: Transformation, defense: GaussianBlur) -> None:
    image = case((1, 24, 16))[0].clamp(min=1 / 255)
    torch.testing.assert_close(transformation(image, image, draws())[0], defense.preprocess(image), atol=1e-6, rtol=0)


def test_every_case_of_a_batch_has_a_draw_of_its_own() -> None:
    image, label = case((1, 24, 16))
    images, labels = torch.stack([image] * 6), torch.stack([label] * 6)
    moved, classes = transform_batch([Shift(), GaussianNoise()], images, labels, draws())
    assert moved.shape == images.shape and classes.shape == labels.shape
    assert len({bytes(one.numpy().tobytes()) for one in moved}) == 6


def test_without_transformations_a_batch_stays_as_it_is() -> None:
    image, label = (one[None] for one in case((1, 24, 16)))
    moved, classes = transform_batch([], image, label, draws())
    assert moved is image and classes is label


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomBlur(sigma=(1.2, 0.5)), "sigma"),
        (lambda: RandomJpeg(quality=(0, 90)), "quality"),
        (lambda: RandomContrast(gamma=(0, 1)), "gamma"),
        (lambda: GaussianNoise(std=-0.1), "std"),
        (lambda: Shift(pixels=0), "pixels"),
        (lambda: Affine(degrees=200), "degrees"),
        (lambda: Affine(scale=(0, 1)), "scale"),
        (lambda: OneOf(()), "empty"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
