"""Bounded addition: no pixel moves by more than its bound or leaves [0, 1], and gradients pass both clips."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_umed.functional.bounded_addition import add_bounded
from monai_umed.functional.eps import EPS_LIMIT, check_eps

DTYPES = [np.float32, np.float64]


def half_ulp_below_one(dtype: type) -> float:
    """Largest error of one sum whose result lies in [0, 1]: 2**-25 in float32, 2**-54 in float64."""
    return float(np.finfo(dtype).epsneg) / 2


@st.composite
def cases(draw: st.DrawFn, low: float = 0.0, high: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An image over [low, high], noise and bounds, the latter two in full or broadcast shapes."""
    dtype = draw(st.sampled_from(DTYPES))
    bits = np.dtype(dtype).itemsize * 8
    shape = draw(st.sampled_from([(1, 3, 4), (3, 2, 2), (2, 1, 3, 2), (1, 2, 2, 2)]))

    def array(minimum: float, maximum: float, of: tuple[int, ...]) -> torch.Tensor:
        elements = st.floats(minimum, maximum, width=bits, allow_subnormal=False)  # type: ignore[arg-type]
        return torch.from_numpy(draw(hnp.arrays(dtype, of, elements=elements)))

    noise_shape = draw(st.sampled_from([shape, (1, *shape[1:])]))
    bound_shape = draw(st.sampled_from([shape, (1, *shape[1:]), ()]))
    return array(low, high, shape), array(-2, 2, noise_shape), array(0, 0.125, bound_shape)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_no_pixel_moves_by_more_than_its_bound(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    image, noise, bound = case
    result = add_bounded(image, noise, bound)
    assert result.shape == image.shape and result.dtype == image.dtype
    moved = np.abs(result.numpy().astype(np.longdouble) - image.numpy().astype(np.longdouble))
    assert (moved <= bound.numpy().astype(np.longdouble) + half_ulp_below_one(image.numpy().dtype.type)).all()


@settings(max_examples=200, deadline=None)
@given(cases())
def test_images_in_0_to_1_stay_there(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    result = add_bounded(*case)
    assert (result >= 0).all() and (result <= 1).all()


@settings(max_examples=100, deadline=None)
@given(cases(low=-1, high=2))
def test_pixels_outside_0_to_1_stay_as_they_are(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    image, noise, bound = case
    result = add_bounded(image, noise, bound)
    outside = (image < 0) | (image > 1)
    assert torch.equal(result[outside], image[outside])
    assert (result[~outside] >= 0).all() and (result[~outside] <= 1).all()


@settings(max_examples=100, deadline=None)
@given(cases(low=-1, high=2))
def test_zero_noise_or_zero_bound_gives_the_identical_image(
    case: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    image, noise, bound = case
    assert torch.equal(add_bounded(image, torch.zeros_like(noise), bound), image)
    assert torch.equal(add_bounded(image, noise, torch.zeros_like(bound)), image)


@settings(max_examples=100, deadline=None)
@given(cases(low=0.25, high=0.75))
def test_noise_within_bound_and_range_is_added_unchanged(
    case: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    image, noise, bound = case
    small = noise.clamp(-0.125, 0.125).minimum(bound).maximum(-bound)
    assert torch.equal(add_bounded(image, small, bound), image + small)


@settings(max_examples=100, deadline=None)
@given(cases(low=-1, high=2))
def test_convention_the_gradient_of_the_noise_passes_both_clips(
    case: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    image, noise, bound = case
    whole = noise.expand_as(image).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(add_bounded(image, whole, bound).sum(), whole)
    assert torch.equal(gradient, torch.ones_like(image))


def test_arguments_are_not_changed() -> None:
    image, noise, bound = torch.tensor([0.0, 0.5, 1.5]), torch.ones(3), torch.full((3,), 0.1)
    add_bounded(image, noise, bound)
    assert image.tolist() == [0.0, 0.5, 1.5] and noise.tolist() == [1, 1, 1]
    assert torch.equal(bound, torch.full((3,), 0.1))


@pytest.mark.parametrize("levels", [1e-3, 1, 4, 32])
def test_eps_up_to_32_of_255_is_returned_as_it_is(levels: float) -> None:
    assert check_eps(levels / 255) == levels / 255
    assert EPS_LIMIT == 32 / 255


@pytest.mark.parametrize("eps", [0.0, -4 / 255, 33 / 255, 4.0, math.nan, math.inf])
def test_eps_outside_its_limits_is_refused_with_an_example(eps: float) -> None:
    with pytest.raises(ValueError, match=r"eps is .*; it must be above 0 and at most 32/255.*write 4/255 = 0.0157"):
        check_eps(eps)
