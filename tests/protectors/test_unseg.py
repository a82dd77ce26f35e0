"""All-foreground noise: the target of the generator, the budget of the background, one object of all classes."""

from __future__ import annotations

import pytest
import torch
from surrogate_toys import TINY, WEIGHT, batch_of, linear_network, toy_items

from monai_umed.protectors.unseg import UnSeg

EPS = TINY["eps"]
SMALL = {**TINY, "generator_channels": (4, 8), "rounds": 1, "surrogate_steps": 1, "passes": 1}


def test_the_generator_minimizes_the_loss_for_a_mask_of_ones() -> None:
    unseg = UnSeg(2, 1, **SMALL)
    image, label, _, noise = batch_of(toy_items(), EPS)
    noise.requires_grad_()
    loss = unseg.generator_loss(linear_network(), image, label, noise)
    torch.testing.assert_close(loss, unseg.criterion()(linear_network()(image + noise), torch.ones_like(label)))
    (gradient,) = torch.autograd.grad(loss, noise)
    assert (gradient.sign() == -torch.tensor(WEIGHT).sign()).all()  # inside and outside alike


def test_the_background_gets_its_share_of_the_budget() -> None:
    unseg = UnSeg(2, 1, background=0.25, **SMALL)
    items = toy_items()
    unseg.fit(items, progress=False)
    raw = unseg.raw(items[0]["image"], items[0]["label"], None)
    inside = items[0]["label"] > 0
    assert 0 < raw[~inside].abs().max() <= 0.25 < raw[inside].abs().max() <= 1


def test_all_classes_of_foreground_are_one_object_and_the_prompt_tells_where_it_is() -> None:
    unseg = UnSeg(2, 1, num_classes=3, **SMALL)
    items = toy_items(classes=3)
    unseg.fit(items, progress=False)
    image, label = items[0]["image"], items[0]["label"]
    union = (label > 0).float()
    assert torch.equal(unseg(image, label).delta, unseg(image, union).delta)
    assert not torch.equal(unseg(image, label).delta, unseg(image, torch.ones_like(label)).delta)


@pytest.mark.parametrize("background", [-0.1, 1.5])
def test_a_share_of_the_background_out_of_range_is_refused(background: float) -> None:
    with pytest.raises(ValueError, match=rf"background is {background}; it must be from 0 to 1"):
        UnSeg(2, 1, background=background, **SMALL)
