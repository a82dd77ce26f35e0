"""The three terms of VoxShield's loss against their definitions, in volumes and images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from surrogate_toys import TINY, batch_of, linear_network, toy_items

from monai_umed.protectors.voxshield import LOGIT_LIMIT, VoxShield, slice_spectrum_distance

EPS = TINY["eps"]
SMALL: dict[str, Any] = {**TINY, "generator_channels": (4, 8), "rounds": 1, "surrogate_steps": 1}


def test_the_distance_of_spectra_is_that_of_numpys_fourier_transform() -> None:
    noise = torch.randn(2, 3, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    magnitudes = np.abs(np.fft.fft2(noise.numpy().astype(np.float64), axes=(2, 3), norm="ortho"))
    expected = np.sqrt((np.diff(magnitudes, axis=-1) ** 2).mean(axis=(2, 3))).mean()
    assert slice_spectrum_distance(noise).item() == pytest.approx(expected, rel=1e-5)


def test_equal_slices_have_no_distance_and_a_gradient_that_is_finite() -> None:
    noise = torch.rand(1, 1, 6, 6, 1, generator=torch.Generator().manual_seed(0)).repeat(1, 1, 1, 1, 4)
    noise.requires_grad_()
    distance = slice_spectrum_distance(noise)
    (gradient,) = torch.autograd.grad(distance, noise)
    assert distance < 1e-5 and torch.isfinite(gradient).all()
    assert slice_spectrum_distance(noise[..., :1]) == 0


def test_in_an_image_the_generator_minimizes_the_loss_less_the_divergence_of_logits() -> None:
    image, label, _, noise = batch_of(toy_items(), EPS)
    network = linear_network(2.0)
    losses = [VoxShield(2, 1, logit_weight=w, **SMALL).generator_loss(network, image, label, noise) for w in (0.0, 0.5)]
    torch.testing.assert_close(losses[0] - losses[1], 0.5 * 2.0 * noise.abs().mean())


def test_the_divergence_of_logits_has_a_limit() -> None:
    image, label, _, noise = batch_of(toy_items(), EPS)
    network = linear_network(1e6)
    losses = [VoxShield(2, 1, logit_weight=w, **SMALL).generator_loss(network, image, label, noise) for w in (0.0, 1.0)]
    assert losses[0].item() - losses[1].item() == pytest.approx(LOGIT_LIMIT, rel=0.05)


def test_in_a_volume_slices_that_differ_are_rewarded() -> None:
    protector, plain = (
        VoxShield(3, 1, spectrum_weight=weight, **{**SMALL, "size": (16, 16, 16)}) for weight in (0.2, 0.0)
    )
    generator = torch.Generator().manual_seed(0)
    image, noise = 0.5 + torch.zeros(1, 1, 16, 16, 16), EPS * torch.randn(1, 1, 16, 16, 16, generator=generator)
    label = (torch.rand(image.shape, generator=generator) < 0.5).float()
    network = protector.new_surrogate().eval()
    with torch.no_grad():
        less = plain.generator_loss(network, image, label, noise) - protector.generator_loss(
            network, image, label, noise
        )
    torch.testing.assert_close(less, 0.2 * slice_spectrum_distance(noise / EPS), rtol=1e-4, atol=1e-6)


def test_by_default_only_the_foreground_changes() -> None:
    protector, items = VoxShield(2, 1, **SMALL), toy_items()
    protector.fit(items, progress=False)
    delta = protector(items[0]["image"], items[0]["label"]).delta
    assert delta[items[0]["label"] > 0].any() and not delta[items[0]["label"] == 0].any()


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="logit_weight is -1; it must be at least 0"):
        VoxShield(2, 1, logit_weight=-1, **SMALL)
