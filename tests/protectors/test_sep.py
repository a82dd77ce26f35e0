"""Self-ensemble protection: the mean over snapshots, and features that move to those of the wrong class."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from surrogate_toys import TINY, linear_network, toy_items
from torch.nn import functional as F

from monai_umed.protectors.sep import SEP, SEPFA, at_size_of, features
from monai_umed.protectors.targeted import next_class


def test_the_objective_is_the_mean_of_the_snapshots_losses_for_the_wrong_class() -> None:
    sep = SEP(2, 1, checkpoints=2, **TINY)
    sep.networks = cast(Any, [linear_network(-3), linear_network(5)])
    item = toy_items(1)[0]
    image, wrong = item["image"][None], 1 - item["label"][None]
    losses = [sep.loss(network, wrong)(image) for network in sep.networks]
    torch.testing.assert_close(sep.objective(wrong)(image), sum(losses) / torch.tensor(2))


def test_a_fit_keeps_as_many_different_snapshots_as_asked_for() -> None:
    sep = SEP(2, 1, checkpoints=3, epochs=4, **TINY)
    sep.fit(toy_items(), progress=False)
    weights = [network.state_dict()["model.0.conv.weight"] for network in sep.networks]
    assert len(weights) == 3
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


@pytest.mark.parametrize("checkpoints", [0, 5])
def test_more_snapshots_than_epochs_are_refused(checkpoints: int) -> None:
    with pytest.raises(ValueError, match=rf"checkpoints is {checkpoints}; it must be from 1 to the 4 epochs"):
        SEP(2, 1, checkpoints=checkpoints, epochs=4, **TINY)


@pytest.mark.parametrize("classes", [2, 3])
def test_prototypes_are_the_mean_features_of_each_class_over_all_images(classes: int) -> None:
    sep = SEPFA(2, 1, checkpoints=2, epochs=2, num_classes=classes, **{**TINY, "batch_size": 3})
    items = toy_items(classes=classes)
    sep.fit(items, progress=False)
    image, label = (torch.stack([item[key] for item in items]) for key in ("image", "label"))
    for network, prototypes in zip(sep.networks, sep.prototypes, strict=True):
        found = features(network, image, amp=False)
        assert found.shape[2:] == (8, 8)
        halved = label[:, 0, ::2, ::2]
        for number in range(classes):
            expected = found.movedim(1, -1)[halved == number].mean(0)
            torch.testing.assert_close(prototypes[number], expected, rtol=1e-4, atol=1e-5)


def test_the_features_are_what_the_logits_are_made_of() -> None:
    sep = SEPFA(2, 1, **TINY)
    network = sep.new_surrogate().eval()
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    last = cast(torch.nn.Sequential, network.model)[2]
    torch.testing.assert_close(last(features(network, image, amp=False)), network(image))


def test_the_features_of_every_pixel_come_closer_to_those_of_its_wrong_class() -> None:
    sep = SEPFA(2, 1, checkpoints=1, epochs=2, noise_steps=5, **TINY)
    items = toy_items()
    sep.fit(items, progress=False)
    item = items[0]
    image, wrong = item["image"][None], next_class(item["label"][None], 2)
    perturbed = image + sep(image[0], item["label"], case_id="case 0").delta
    network, prototypes = sep.networks[0], sep.prototypes[0]

    def distance(image: torch.Tensor) -> torch.Tensor:
        found = features(network, image, amp=False)
        target = F.embedding(at_size_of(wrong, found)[:, 0].long(), prototypes).movedim(-1, 1)
        return (found - target).square().mean()

    torch.testing.assert_close(sep.objective(wrong)(image), distance(image))
    assert distance(perturbed) < distance(image)
