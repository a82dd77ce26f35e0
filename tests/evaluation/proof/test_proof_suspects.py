"""Suspects that the proof is tried on: shown when they should be, behind their owner's filter, with what they own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from monai_umed.data.phantom import phantom_dir
from monai_umed.data.training_set import load_training_set
from monai_umed.defenses import defense_entry
from monai_umed.evaluation.proof.suspects import Suspect

SIZE = (32, 32)


@pytest.fixture(scope="module")
def items() -> list[dict]:
    return load_training_set(phantom_dir(2), SIZE, section="test", progress=False).items[:8]


def shown(
    items: list[dict],
    epochs: list[int],
    defense: str = "none",
    clean: Sequence[dict] = (),
    pretrained_on: Sequence[dict] = (),
) -> dict[int, torch.nn.Module]:
    found: dict[int, torch.nn.Module] = {}
    suspect = Suspect(network="unet-batch", defense=defense, size=SIZE, batch_size=4)
    suspect.train(items, epochs, found.__setitem__, clean=clean, pretrained_on=pretrained_on, progress=False)
    return found


def test_a_suspect_is_shown_after_some_epochs_and_at_the_end(items: list[dict]) -> None:
    found = shown(items, [1, 2])
    assert list(found) == [1, 2] and not found[2].training


def test_a_suspect_filters_what_it_is_asked_about(items: list[dict]) -> None:
    network, image = shown(items, [1], "blur-2.0")[1], items[0]["image"]
    blurred = defense_entry("blur-2.0").make(4 / 255).preprocess(image)
    inner = next(iter(network.children()))
    with torch.inference_mode():
        assert torch.equal(network(image[None]), inner(blurred[None]))
        assert not torch.equal(network(image[None]), inner(image[None]))


def test_a_suspect_may_own_originals_and_have_learned_elsewhere(items: list[dict]) -> None:
    color = [{**item, "image": item["image"].repeat(3, 1, 1)} for item in items]
    plain = shown(items, [1])[1]
    for other in (shown(items, [1], "refit-all-5", clean=items)[1], shown(items, [1], pretrained_on=color)[1]):
        assert not torch.equal(next(plain.parameters()), next(other.parameters()))


def test_a_suspect_may_learn_from_pairs_to_take_the_pattern_off(items: list[dict]) -> None:
    protected = [{**item, "image": (item["image"] + 4 / 255 * item["label"]).clamp(0, 1)} for item in items]
    found: dict[int, torch.nn.Module] = {}
    suspect = Suspect(defense="purifier", size=SIZE, batch_size=4)
    suspect.train(protected, [1], found.__setitem__, foreign=items, foreign_protected=protected, progress=False)
    plain = shown(protected, [1])[1]
    assert not torch.equal(next(plain.parameters()), next(found[1].parameters()))


def test_a_distilled_network_knows_the_masks_of_its_teacher_alone(items: list[dict]) -> None:
    teacher = shown(items, [1])[1]
    student = Suspect(network="unet-instance", size=SIZE, batch_size=4)
    strange = [{**item, "label": torch.zeros_like(item["label"])} for item in items]
    first, second = (student.distill(teacher, cases, epochs=1, progress=False) for cases in (items, strange))
    assert not first.training
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))
    with torch.no_grad():
        masks = [{**item, "label": (teacher(item["image"][None])[0] > 0).float()} for item in items]
    taught: dict[int, torch.nn.Module] = {}
    student.train(masks, [1], taught.__setitem__, progress=False)
    inner = next(iter(taught[1].children()))
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), inner.parameters(), strict=True))
