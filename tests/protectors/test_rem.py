"""Robust noise: views turn image and label alike, disturbances keep their radius, the noise still finds its corner."""

from __future__ import annotations

import pytest
import torch
from surrogate_toys import TINY, WEIGHT, batch_of, linear_network, toy_items

from monai_umed.protectors.rem import REM, SEM, RobustProtector, random_view

EPS = TINY["eps"]
ROUNDING = 2.0**-23
both = pytest.mark.parametrize("method", [REM, SEM])


@pytest.mark.parametrize("size", [(8, 6), (6, 5, 4)], ids=str)
def test_a_view_flips_the_label_like_the_image_and_every_axis_at_times(size: tuple[int, ...]) -> None:
    label = torch.zeros(2, 1, *size)
    label[(slice(None), slice(None), *(slice(0, side // 2) for side in size))] = 1
    corners = set()
    for seed in range(40):
        image, turned = random_view(0.2 + 0.6 * label, label, torch.Generator().manual_seed(seed))
        assert torch.equal(image > 0.45, turned > 0.5) or image.unique().numel() > 2  # blurred
        corners.add(tuple(turned[0, 0].nonzero()[0].tolist()))
        assert image.min() >= 0 and image.max() <= 1
    assert len(corners) == 2 ** len(size)


def test_views_are_differentiable_in_the_image() -> None:
    for seed in range(4):
        image = torch.rand(1, 1, 8, 8, requires_grad=True)
        view, _ = random_view(image, torch.zeros(1, 1, 8, 8), torch.Generator().manual_seed(seed))
        (gradient,) = torch.autograd.grad(view.sum(), image)
        assert (gradient > 0).all()


@both
def test_a_disturbance_keeps_its_radius_and_that_of_rem_raises_the_loss(method: type[RobustProtector]) -> None:
    protector = method(2, 1, **TINY)
    image, label, _, _ = batch_of(toy_items(), EPS)
    loss = protector.loss(linear_network(), label)
    radius = EPS / 2
    start = radius * (2 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0)) - 1)
    disturbed = protector.disturbed(image, loss, radius, start)
    assert (disturbed - image).abs().max() <= radius + ROUNDING
    if method is SEM:
        assert torch.equal(disturbed, image + start)
    else:
        assert loss(disturbed) > loss(image + start)


@both
def test_where_every_view_asks_for_the_same_the_noise_goes_to_the_corner(method: type[RobustProtector]) -> None:
    protector = method(2, 1, noise_steps=9, views=2, **TINY)
    image, label, bound, noise = batch_of(toy_items(), EPS)
    protector.begin(protector.on_grid(toy_items()))
    moved = protector.move(linear_network(), image, torch.ones_like(label), bound, noise)
    corner = (image + EPS * torch.tensor(WEIGHT).sign()).clamp(0, 1)
    torch.testing.assert_close(moved, corner, rtol=0, atol=ROUNDING)


@both
def test_the_surrogate_is_trained_on_adversarial_views(method: type[RobustProtector]) -> None:
    protector = method(2, 1, **TINY)
    image, label, _, _ = batch_of(toy_items(), EPS)
    calls = []

    def objective(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        calls.append(label)
        return image.flatten(1).sum(1)

    seen, turned = protector.training().batch(image, label, objective, torch.Generator().manual_seed(1))
    view, expected = random_view(image, label, torch.Generator().manual_seed(1))
    assert len(calls) == protector.attack_steps and torch.equal(turned, expected)
    assert 0 < (seen - view).abs().max() <= EPS / 2 + ROUNDING


@both
@pytest.mark.parametrize("radius", [0, 1, -0.5])
def test_a_radius_that_noise_cannot_hold_against_is_refused(method: type[RobustProtector], radius: float) -> None:
    with pytest.raises(ValueError, match=rf"radius is {radius}; it must be above 0 and below 1, a fraction of eps"):
        method(2, 1, radius=radius, **TINY)
