"""Adversarial images stay within their radius and climb the loss; of several augmentations the hardest one is kept."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.nets.unet import UNet
from torch.nn import functional as F

from monai_umed.defenses import Defense, Objective
from monai_umed.defenses.adversarial import AdversarialTraining, WorstOf, projected_ascent
from monai_umed.defenses.strong_augmentation import (
    INTENSITY_OPERATIONS,
    SPATIAL_OPERATIONS,
    plasma,
    strong_augmentation,
    trivial_augment,
)

DEFENSES: list[Defense] = [AdversarialTraining(4 / 255), AdversarialTraining(0.3, steps=1), WorstOf(), WorstOf(draws=1)]
SHAPES = [(4, 1, 13, 10), (4, 3, 12, 12), (3, 1, 7, 6, 5), (3, 3, 6, 6, 6)]
# Sum of two float32 numbers in [0, 1], rounded, and its difference to one of them, rounded
ROUNDING = 2.0**-23


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_batch(shape: tuple[int, ...], classes: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise that also reaches 0 and 1, and random class numbers."""
    image = (torch.rand(shape, generator=seeded(seed)) * 1.4 - 0.2).clamp(0, 1)
    number = torch.randint(0, classes, (shape[0], *shape[2:]), generator=seeded(seed + 1))
    label = number[:, None] if classes == 2 else F.one_hot(number, classes).movedim(-1, 1)
    return image, label.float()


def squared_error(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return (image.mean(1, keepdim=True) - label[:, -1:]).square().flatten(1).mean(1)


def linear(weight: torch.Tensor) -> Objective:
    """A loss whose gradient is ``weight`` for every case, whatever the image."""
    return lambda image, label: (image * weight).flatten(1).sum(1)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("defense", DEFENSES, ids=repr)
def test_shapes_types_and_ranges_are_kept_and_the_same_seed_gives_the_same_bits(
    defense: Defense, shape: tuple[int, ...], classes: int
) -> None:
    image, label = make_batch(shape, classes)
    copies = image.clone(), label.clone()
    results = [defense.batch(image, label, squared_error, seeded(seed)) for seed in (3, 3, 4)]
    assert torch.equal(image, copies[0]) and torch.equal(label, copies[1])
    assert not image.requires_grad
    for before, after in zip(copies, results[0], strict=True):
        assert after.shape == before.shape and after.dtype == torch.float32 and not after.requires_grad
        assert after.min() >= 0 and after.max() <= 1
    assert not torch.equal(results[0][0], image)
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][0], results[2][0])


@settings(max_examples=60, deadline=None)
@given(
    st.floats(1e-4, 1),
    st.integers(1, 6),
    st.floats(0.01, 3),
    st.sampled_from(SHAPES),
    st.integers(0, 2**31),
)
def test_an_adversary_never_leaves_the_radius_nor_the_range(
    radius: float, steps: int, step: float, shape: tuple[int, ...], seed: int
) -> None:
    image, label = make_batch(shape, seed=seed)
    adversary, kept = AdversarialTraining(radius, steps, step).batch(image, label, squared_error, seeded(seed))
    assert (adversary - image).abs().max() <= radius + ROUNDING
    assert adversary.min() >= 0 and adversary.max() <= 1
    assert kept is label


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_of_a_linear_loss_the_optimum_is_found_the_corner_that_the_signs_point_to(shape: tuple[int, ...]) -> None:
    image, label = make_batch(shape)
    weight = torch.randn(shape[1:], generator=seeded(5))
    radius = 0.1
    # eight steps of a quarter cross the whole box from any start
    adversary, _ = AdversarialTraining(radius, steps=8).batch(image, label, linear(weight), seeded())
    optimum = (image + radius * weight.sign()).clamp(0, 1)
    torch.testing.assert_close(adversary, optimum, rtol=0, atol=ROUNDING)


def test_every_case_climbs_its_own_loss() -> None:
    image, label = make_batch((3, 1, 8, 8))
    sign = torch.tensor([1.0, -1.0, 0.0]).reshape(3, 1, 1, 1)
    objective = linear(sign)
    adversary = projected_ascent(image, label, objective, radius=0.2, steps=8, step=0.1, generator=seeded())
    up, down, nowhere = adversary - image
    assert (up >= 0).all() and (down <= 0).all()
    assert (nowhere.abs() <= 0.2 + ROUNDING).all() and (nowhere > 0).any() and (nowhere < 0).any()  # the random start


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_loss_of_a_network_rises_and_its_parameters_and_gradients_stay_as_they_are(spatial_dims: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet(spatial_dims, 1, 1, channels=(4, 8), strides=(2,), norm="batch").eval()
    image, label = make_batch((4, 1, *[8] * spatial_dims))

    def objective(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(network(image), label, reduction="none").flatten(1).mean(1)

    objective(image, label).sum().backward()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    gradients = [(p.grad, p.grad.clone()) for p in network.parameters() if p.grad is not None]
    assert len(gradients) == len(list(network.parameters()))
    adversary, _ = AdversarialTraining(8 / 255).batch(image, label, objective, seeded())
    WorstOf(3).batch(image, label, objective, seeded())
    assert (objective(adversary, label) > objective(image, label)).all()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    for parameter, (same, before) in zip(network.parameters(), gradients, strict=True):
        assert parameter.grad is same and torch.equal(same, before)


@pytest.mark.parametrize("draws", [2, 5])
def test_the_draw_with_the_largest_loss_is_kept_case_by_case_with_its_label(draws: int) -> None:
    image, label = make_batch((16, 3, 8, 8), classes=3)
    seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def objective(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        loss = torch.rand(len(image), generator=seeded(len(seen)))
        seen.append((loss, image.clone(), label.clone()))
        return loss

    kept_image, kept_label = WorstOf(draws).batch(image, label, objective, seeded())
    assert len(seen) == draws
    winners = torch.stack([loss for loss, _, _ in seen]).argmax(0).tolist()
    assert len(set(winners)) > 1
    for case, winner in enumerate(winners):
        assert torch.equal(kept_image[case], seen[winner][1][case])
        assert torch.equal(kept_label[case], seen[winner][2][case])


def test_a_single_draw_needs_no_loss() -> None:
    def unused(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        raise AssertionError("there is nothing to choose from")

    image, label = make_batch((4, 1, 8, 8))
    assert WorstOf(1).batch(image, label, unused, seeded())[0].shape == image.shape


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (33, 20), (128, 128), (6, 10, 17)], ids=str)
def test_plasma_fields_differ_and_fill_the_range(size: tuple[int, ...]) -> None:
    fields = plasma(6, size, seeded())
    assert fields.shape == (6, 1, *size) and fields.dtype == torch.float32
    if math.prod(size) > 1:
        assert (fields.flatten(1).amin(1) == 0).all() and (fields.flatten(1).amax(1) == 1).all()
        assert not torch.equal(fields[0], fields[1])
    assert torch.isfinite(fields).all()


def test_plasma_is_smoother_than_noise_and_varies_over_the_whole_image() -> None:
    fields = plasma(50, (64, 64), seeded())
    neighbors = (fields[..., 1:] - fields[..., :-1]).abs().mean()
    far = (fields[..., 32:] - fields[..., :32]).abs().mean()
    assert neighbors < 0.25 * far


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.5, 0.999])
@pytest.mark.parametrize("shape", [(1, 9, 12), (3, 8, 8), (1, 5, 6, 7), (3, 6, 6, 6)], ids=str)
@pytest.mark.parametrize("name", [*INTENSITY_OPERATIONS, *SPATIAL_OPERATIONS])
def test_every_operation_keeps_the_shape_and_spatial_ones_only_move_pixels(
    name: str, shape: tuple[int, ...], draw: float
) -> None:
    image = torch.rand(shape, generator=seeded())
    before = image.clone()
    operation = SPATIAL_OPERATIONS.get(name) or INTENSITY_OPERATIONS[name]
    result = operation(image, draw)
    assert torch.equal(image, before) and result.shape == image.shape and torch.isfinite(result).all()
    if name in SPATIAL_OPERATIONS:
        assert torch.isin(result, image).all()
        number = torch.randint(0, 3, shape[1:], generator=seeded())
        label = F.one_hot(number, 3).movedim(-1, 0).float()
        assert torch.equal(
            operation(label, draw), F.one_hot(operation(number[None], draw)[0], 3).movedim(-1, 0).float()
        )


@pytest.mark.parametrize("name", [*INTENSITY_OPERATIONS, *SPATIAL_OPERATIONS])
def test_every_operation_but_the_identity_changes_an_image(name: str) -> None:
    image = 0.1 + 0.7 * torch.rand(1, 12, 12, generator=seeded())
    operation = SPATIAL_OPERATIONS.get(name) or INTENSITY_OPERATIONS[name]
    assert torch.equal(operation(image, 0.1), image) == (name == "identity")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_label_follows_the_geometry_of_its_image(shape: tuple[int, ...]) -> None:
    # images that survive every operation on intensities recognizably: bright exactly where the label is
    label = torch.zeros(shape[0], 1, *shape[2:])
    label[(slice(None), slice(None), *[slice(0, length // 2) for length in shape[2:]])] = 1
    image = (0.2 + 0.6 * label).expand(shape)
    moved = 0
    for seed in range(40):
        new_image, new_label = trivial_augment(image, label, seeded(seed))
        for one, mask in zip(new_image, new_label, strict=True):
            assert set(mask.unique().tolist()) <= {0, 1}
            values = [one[mask.expand_as(one) == number] for number in (0, 1)]
            # sharpening mixes neighbors, so that only the means are apart; solarizing may join or swap both
            means = [value.mean() for value in values]
            assert (one.max() - one.min() < 1e-6) or abs(means[1] - means[0]) > 0.5 * (one.max() - one.min())
        moved += int((new_label != label).flatten(1).any(1).sum())
    assert moved > 10 * shape[0]


@pytest.mark.parametrize(("channels", "probability", "kept"), [(2, 1.0, True), (3, 0.0, True), (3, 1.0, False)])
def test_channels_are_shuffled_if_there_are_three(channels: int, probability: float, kept: bool) -> None:
    image = (torch.arange(1, channels + 1).reshape(1, -1, 1, 1) / 8).expand(200, channels, 4, 4)
    augmented, _ = strong_augmentation(image, image[:, :1], probability, seeded())
    # of all operations solarizing alone, one of ten, can make a darker channel the brighter one
    in_order = (augmented.mean((2, 3)).diff(dim=1) >= 0).all(1).float().mean()
    assert in_order > 0.85 if kept else in_order < 0.5


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (AdversarialTraining, {"radius": 0}, r"radius is 0; it must be above 0 and at most 1"),
        (AdversarialTraining, {"radius": 4}, r"radius is 4; .* a fraction of the \[0, 1\] window"),
        (AdversarialTraining, {"radius": math.nan}, r"radius is nan"),
        (AdversarialTraining, {"radius": 0.1, "steps": 0}, r"steps is 0; it must be at least 1"),
        (AdversarialTraining, {"radius": 0.1, "step": -1}, r"step is -1; .* a fraction of the radius"),
        (WorstOf, {"draws": 0}, r"draws is 0; it must be at least 1"),
        (WorstOf, {"probability": -0.1}, r"probability is -0.1; it must be between 0 and 1"),
    ],
)
def test_arguments_out_of_range_are_refused(kind: type, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
