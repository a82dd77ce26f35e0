"""Signed-gradient descent: it finds the corner of a linear loss and never leaves bound or range."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.functional.projected_gradient import minimize

ROUNDING = 2.0**-23


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_of_a_linear_loss_the_lowest_corner_of_every_pixels_own_bound_is_found() -> None:
    image = torch.rand(3, 2, 6, 5, generator=seeded(0))
    bound = 0.2 * torch.rand(3, 1, 6, 5, generator=seeded(1))
    weight = torch.randn(image.shape, generator=seeded(2))
    found = minimize(
        lambda x: (weight * x).flatten(1).sum(1), image, bound, steps=9, step_size=0.05, start=torch.zeros(())
    )
    torch.testing.assert_close(found, (image - bound * weight.sign()).clamp(0, 1), rtol=0, atol=ROUNDING)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 0.5), st.integers(1, 4), st.floats(1e-3, 2), st.floats(0, 3), st.integers(0, 1000))
def test_no_pixel_leaves_its_bound_or_the_range(bound: float, steps: int, step: float, start: float, seed: int) -> None:
    image = (1.4 * torch.rand(2, 1, 4, 4, generator=seeded(seed)) - 0.2).clamp(0, 1)
    limits = bound * torch.rand(2, 1, 4, 4, generator=seeded(seed + 1)).round()
    noise = start * torch.randn(image.shape, generator=seeded(seed + 2))
    found = minimize(lambda x: x.square().sin().sum(), image, limits, steps=steps, step_size=step, start=noise)
    assert ((found - image).abs() <= limits + ROUNDING).all()
    assert torch.equal(found[limits == 0], image[limits == 0])
    assert found.min() >= 0 and found.max() <= 1


def test_it_descends_where_gradients_are_switched_off_and_leaves_no_history() -> None:
    image = torch.full((1, 1, 2, 2), 0.5)
    with torch.no_grad():
        found = minimize(lambda x: x.sum(), image, 0.25, steps=1, step_size=0.125, start=torch.zeros(()))
    assert torch.equal(found, image - 0.125)
    assert not found.requires_grad and not image.requires_grad
