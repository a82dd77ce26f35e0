"""Reference values of methods that need no network: AR's recurrence, LSP's mosaic, the stamps' waves."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_umed.protectors import BoundedProtector, Perturbation
from monai_umed.protectors.ar import AR, autoregress, residual
from monai_umed.protectors.class_noise import composite
from monai_umed.protectors.lsp import LSP
from monai_umed.protectors.stamps import ConstantStamp, RandomStamp

EPS = 16 / 255
SIDE = 24


def by_the_letter(kernel: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Pixel by pixel, as the paper writes it."""
    field = start.astype(np.float64).copy()
    for index in product(*(range(2, side) for side in field.shape)):
        field[index] = (kernel * field[tuple(slice(i - 2, i + 1) for i in index)]).sum()
    return field


@settings(max_examples=40, deadline=None)
@given(dims=st.sampled_from([2, 3]), sides=st.tuples(*[st.integers(3, 8)] * 3), seed=st.integers(0, 2**32 - 1))
def test_every_row_as_a_filter_equals_the_recurrence_pixel_by_pixel(
    dims: int, sides: tuple[int, ...], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.uniform(-0.5, 0.5, (3,) * dims)
    kernel.flat[-1] = 0
    start = rng.standard_normal(sides[:dims])
    field = autoregress(kernel, start)
    # sums of up to 26 products, carried on over a few hundred pixels
    np.testing.assert_allclose(field, by_the_letter(kernel, start), rtol=1e-9, atol=1e-9)
    assert np.abs(residual(kernel, field)).max() <= 1e-9 * max(1, np.abs(field).max())


def make_label(dims: int, classes: int) -> torch.Tensor:
    label = torch.zeros(1, *(SIDE,) * dims)
    for number in range(1, classes):
        label[(slice(None), *(slice(4 * number, SIDE - 4 * number),) * dims)] = number
    return label


def perturb(protector: BoundedProtector, label: torch.Tensor, case_id: str = "a") -> Perturbation:
    image = torch.full((protector.in_channels, *label.shape[1:]), 0.5)
    return protector(image, label, case_id=case_id)


@pytest.mark.parametrize(("dims", "channels", "classes"), [(2, 1, 2), (2, 3, 3), (3, 1, 2)])
def test_each_class_carries_the_process_of_its_own_kernel_and_of_no_other(
    dims: int, channels: int, classes: int
) -> None:
    protector = AR(dims, channels, eps=EPS, size=(SIDE,) * dims, num_classes=classes, rms=0.05)
    assert protector.kernels.shape == (classes, channels, *(3,) * dims)
    torch.testing.assert_close(protector.kernels.flatten(2).sum(2), torch.ones(classes, channels, dtype=torch.float64))
    fields = protector.fields(protector.generator("a")).numpy()
    for channel in range(channels):
        for own, other in product(range(classes), repeat=2):
            left = np.abs(residual(protector.kernels[own, channel].numpy(), fields[other, channel])).mean()
            rms = np.sqrt((fields[other, channel] ** 2).mean())
            assert left < 1e-9 * rms if own == other else left > 0.05 * rms
    label = make_label(dims, classes)
    delta = perturb(protector, label).delta
    scaled = fields / np.sqrt((fields**2).mean(axis=tuple(range(1, fields.ndim)), keepdims=True))
    expected = composite(torch.from_numpy(scaled), label) * 0.05 * EPS
    torch.testing.assert_close(delta, expected.float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cls", [AR, LSP])
def test_the_strength_is_the_peak_or_the_root_mean_square(cls: type[AR] | type[LSP]) -> None:
    label = torch.zeros(1, SIDE, SIDE)
    peak = perturb(cls(2, 1, eps=EPS, size=(SIDE, SIDE), norm="linf"), label).delta
    torch.testing.assert_close(peak.abs().max(), torch.tensor(EPS))
    mean = perturb(cls(2, 1, eps=EPS, size=(SIDE, SIDE), norm="rms", rms=0.1), label).delta
    torch.testing.assert_close(mean.square().mean().sqrt(), torch.tensor(0.1 * EPS))


@pytest.mark.parametrize("cls", [AR, LSP])
def test_cases_share_their_fields_or_have_fields_of_their_own(cls: type[AR] | type[LSP]) -> None:
    label = make_label(2, 2)
    for per_image in (True, False):
        protector = cls(2, 1, eps=EPS, size=(SIDE, SIDE), per_image=per_image)
        first, second = (perturb(protector, label, case).delta for case in "ab")
        assert torch.equal(first, second) != per_image


def test_lsp_is_a_mosaic_with_one_color_per_tile() -> None:
    protector = LSP(2, 3, eps=EPS, size=(SIDE, SIDE + 2), patch=4)
    delta = perturb(protector, torch.zeros(1, SIDE, SIDE + 2)).delta
    for row, column in product(range(0, SIDE, 4), range(0, SIDE, 4)):
        tile = delta[:, row : row + 4, column : column + 4]
        assert torch.equal(tile, tile[:, :1, :1].expand_as(tile))
    assert len(delta.flatten(1)[0].unique()) == 6 * 7
    assert not torch.equal(delta[0], delta[1])


@pytest.mark.parametrize("classes", [2, 3])
def test_lsp_classes_are_separated_by_one_plane_each(classes: int) -> None:
    protector = LSP(2, 1, size=(SIDE, SIDE), patch=2, num_classes=classes, norm="rms")
    draws = torch.stack([protector.fields(protector.generator(str(case))) for case in range(200)]).flatten(2)
    corners = protector.corners().flatten(1).double()
    # the nearest corner decides, which is linear in the fields
    tiles = draws.unflatten(2, (SIDE, SIDE))[..., ::2, ::2].flatten(2).double()
    nearest = torch.cdist(tiles.flatten(0, 1), corners).argmin(dim=1).reshape(200, classes)
    assert torch.equal(nearest, torch.arange(classes).expand(200, -1))
    # a draw is its corner plus noise of the variance that make_classification gives: a third of the tiles' number
    noise = (tiles - corners).square().mean().item()
    assert noise == pytest.approx(corners.shape[1] / 3, rel=0.05)
    assert set(corners.unique().tolist()) == {-10.0, 10.0}


def test_default_tiles_are_a_28th_of_the_side() -> None:
    assert [LSP(2, 1, size=(side, side)).patch for side in (16, 128, 224)] == [2, 5, 8]


@pytest.mark.parametrize("pattern", ["grating", "checkerboard"])
@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_stamp_repeats_and_turns_its_sign_after_half_a_period(period: int, pattern: str) -> None:
    label = torch.ones(1, SIDE, SIDE)
    delta = perturb(ConstantStamp(2, 1, eps=EPS, size=(SIDE, SIDE), period=period, pattern=pattern), label).delta[0]
    torch.testing.assert_close(delta[period:], delta[:-period], rtol=1e-4, atol=1e-6)
    half = period // 2
    for moved, stayed in ((delta[half:], delta[:-half]), (delta[:, half:], delta[:, :-half])):
        torch.testing.assert_close(moved, -stayed, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(delta.abs().max(), torch.tensor(EPS))
    if pattern == "checkerboard":
        torch.testing.assert_close(delta.abs(), torch.full_like(delta, EPS))


def test_a_constant_stamp_is_the_same_in_every_image_and_a_random_one_is_not() -> None:
    label = torch.ones(1, SIDE, SIDE)
    arguments: dict[str, Any] = {"eps": EPS, "size": (SIDE, SIDE)}
    for cls, equal in ((ConstantStamp, True), (RandomStamp, False)):
        assert torch.equal(*(perturb(cls(2, 1, **arguments), label, case).delta for case in "ab")) == equal


def test_a_random_stamp_keeps_its_period_in_every_direction() -> None:
    side = 64
    protector = RandomStamp(2, 1, eps=EPS, size=(side, side), period=4)
    for case in "abc":
        delta = perturb(protector, torch.ones(1, side, side), case).delta[0]
        spectrum = torch.fft.fft2(delta).abs()
        peak = np.unravel_index(int(spectrum.argmax()), spectrum.shape)
        frequency = np.hypot(*(np.fft.fftfreq(side)[index] for index in peak))
        assert frequency == pytest.approx(2**0.5 / 4, abs=1.5 / side)  # two waves across each other


def test_stamps_mark_the_foreground_unless_told_otherwise() -> None:
    label = make_label(2, 2)
    delta = perturb(ConstantStamp(2, 1, size=(SIDE, SIDE)), label).delta
    assert not delta[label == 0].any() and (delta[label > 0] != 0).all()
    assert perturb(ConstantStamp(2, 1, size=(SIDE, SIDE), bound="full"), label).delta[label == 0].any()


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (LSP, {"norm": "l2"}, "norm is 'l2'; use one of linf, rms"),
        (AR, {"rms": 0}, "rms is 0; it must be positive"),
        (LSP, {"patch": 0}, "patch is 0; a tile needs a side of at least one pixel"),
        (AR, {"size": (2, 24)}, r"size is \(2, 24\); a recurrence over 3 pixels"),
        (ConstantStamp, {"period": 1}, "period is 1; pixels hold no wave shorter than 2"),
        (RandomStamp, {"pattern": "dots"}, "pattern is 'dots'; use one of grating, checkerboard"),
    ],
)
def test_arguments_out_of_range_are_refused(cls: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cls(2, 1, **{"size": (SIDE, SIDE), **arguments})


def test_more_classes_than_mosaics_are_refused() -> None:
    with pytest.raises(ValueError, match="1 tiles are too few; use smaller ones"):
        perturb(LSP(2, 1, size=(8, 8), patch=8, num_classes=3), torch.zeros(1, 8, 8))
