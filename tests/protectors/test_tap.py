"""Targeted poison: every pixel is to be taken for the next class."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from surrogate_toys import TINY, WEIGHT, linear_network, toy_items

from monai_umed.data.slices import slice_id
from monai_umed.protectors.base import SLICES_AT_ONCE
from monai_umed.protectors.tap import TAP
from monai_umed.protectors.targeted import next_class

EPS = TINY["eps"]


def test_convention_the_wrong_class_is_the_next_one_and_of_two_the_other() -> None:
    label = torch.tensor([0.0, 1.0, 2.0])
    assert next_class(label, 3).tolist() == [1, 2, 0]
    assert torch.equal(next_class(label[:2], 2), 1 - label[:2])


def test_against_a_linear_surrogate_the_noise_lowers_logits_inside_and_raises_them_outside() -> None:
    tap = TAP(2, 1, noise_steps=9, noise_step=0.25, **TINY)
    tap.networks = cast(Any, [linear_network()])
    item = toy_items(1)[0]
    delta = tap(item["image"], item["label"], case_id="case 0").delta
    wanted = -EPS * torch.tensor(WEIGHT).sign() * (2 * item["label"] - 1)
    torch.testing.assert_close(delta, wanted, rtol=0, atol=1e-6)


def test_slices_of_a_volume_go_through_the_network_together_and_get_what_each_gets_alone() -> None:
    tap = TAP(2, 1, noise_steps=9, noise_step=0.25, slice_axis=0, **TINY)
    batches = []
    network = linear_network()
    network.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    tap.networks = cast(Any, [network])
    items = toy_items(SLICES_AT_ONCE + 2)
    image, label = (torch.stack([item[key] for item in items], dim=1) for key in ("image", "label"))
    delta = tap(image, label, case_id="case").delta
    assert set(batches) == {tap.batch_size, 2}
    for index, item in enumerate(items):
        alone = tap(item["image"], item["label"], case_id=slice_id("case", index)).delta
        torch.testing.assert_close(delta[:, index], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_surrogate_comes_closer_to_the_wrong_segmentation(classes: int) -> None:
    tap = TAP(2, 1, epochs=3, noise_steps=5, noise_step=0.25, num_classes=classes, **TINY)
    items = toy_items(classes=classes)
    tap.fit(items, progress=False)
    for item in items:
        image, label = item["image"][None], item["label"][None]
        perturbed = image + tap(image[0], label[0], case_id=item["id"]).delta
        wrong = tap.loss(tap.networks[0], tap.target(next_class(label, classes)))
        assert wrong(perturbed) < wrong(image)


def test_a_new_image_is_protected_and_gets_the_same_noise_under_the_same_id() -> None:
    tap = TAP(2, 1, epochs=1, noise_steps=2, noise_step=0.1, **TINY)
    *fitted, new = toy_items(5)
    tap.fit(fitted, progress=False)
    first, second, other = (tap(new["image"], new["label"], case_id=name).delta for name in ("a", "a", "b"))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_a_band_in_mm_is_refused_because_the_working_grid_has_no_spacing() -> None:
    with pytest.raises(ValueError, match=r"band_unit is 'mm', but TAP needs .* use band_unit 'pixel'"):
        TAP(2, 1, bound={"text": "band", "band_unit": "mm", "band_radius": 3}, **TINY)
