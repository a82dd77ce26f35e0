"""What methods with a surrogate share: cases on the working grid, the alternation, noise that belongs to a case."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from surrogate_toys import TINY, linear_network, toy_items

from monai_umed.defenses import Defense
from monai_umed.protectors import resize
from monai_umed.protectors.alternation import Turns
from monai_umed.protectors.em import EM
from monai_umed.protectors.targeted import Snapshots


def make_em(**options: Any) -> EM:
    return EM(2, 1, **{**TINY, "rounds": 2, "surrogate_steps": 2, "noise_steps": 1, **options})


def test_bounds_that_come_with_a_case_are_averaged_over_the_grid_and_others_are_computed() -> None:
    case = toy_items(1, side=32)[0]
    given = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(1)) / 100
    em = make_em(bound="roi")
    with_bounds, without = em.on_grid([{**case, "bounds": given}, case])
    torch.testing.assert_close(with_bounds["bound"], resize(given.sum(0)[None, None], (16, 16))[0])
    torch.testing.assert_close(without["bound"], resize(em.eps * case["label"][None], (16, 16))[0])
    assert with_bounds["image"].shape == with_bounds["label"].shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.rand(3, 16, 16)}, r"'case 0' has shape \(3, 16, 16\).* 1 channel\(s\) and 2 spatial axes"),
        ({"image": torch.rand(1, 16, 16, 16)}, r"has shape \(1, 16, 16, 16\)"),
        (
            {"label": torch.full((1, 16, 16), 2.0)},
            r"'case 0' has class 2, but num_classes is 2; set it to at least 3",
        ),
    ],
)
def test_a_case_that_does_not_fit_is_named_with_the_cure(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_em().fit([{**toy_items(1)[0], **change}], progress=False)


def test_in_native_windows_a_case_of_another_size_is_refused_with_the_layout_to_load() -> None:
    with pytest.raises(ValueError, match=r"windows of \(16, 16\) native pixels. Load .* with layout='windows'"):
        make_em(native=True).on_grid(toy_items(1, side=32))


def test_no_cases_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="EM was given no training cases; fit needs at least one"):
        make_em().fit([], progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (20, 16), "channels": (4, 8, 16, 32)}, r"\(20, 16\) does not fit .* multiples of 8 and at least 16"),
        ({"channels": (4, 8, 16, 32, 64)}, r"\(16, 16\) does not fit .* fewer widths in channels"),
        ({"rounds": 0}, "rounds is 0; it must be a whole number of at least 1"),
        ({"batch_size": 2.5}, "batch_size is 2.5; it must be a whole number"),
        ({"noise_step": 0.0}, "noise_step is 0.0; it must be a positive number"),
        ({"learning_rate": float("inf")}, "learning_rate is inf; it must be a positive number"),
        ({"stop": 0}, "stop is 0; it must be a Dice similarity above 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_em(**arguments)


def test_the_surrogate_starts_from_its_seed_and_not_from_the_worlds() -> None:
    networks = []
    for world in (1, 2):
        torch.manual_seed(world)
        networks.append(make_em().new_surrogate().state_dict())
    assert all(torch.equal(value, networks[1][name]) for name, value in networks[0].items())
    other = make_em(seed=1).new_surrogate().state_dict()
    assert not torch.equal(networks[0]["model.0.conv.weight"], other["model.0.conv.weight"])


class Steps:
    """A handler that counts the steps of a training."""

    def __init__(self) -> None:
        self.done = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)

    def _count(self) -> None:
        self.done += 1


@pytest.mark.parametrize(("stop", "expected"), [(2.0, [2, 4, 6]), (1e-9, [2])])
def test_the_noise_has_its_turn_after_every_few_steps_until_all_turns_are_done_or_the_images_are_learned(
    stop: float, expected: list[int]
) -> None:
    em = make_em(batch_size=2)
    items = [{**item, "image": 0.9 * item["label"]} for item in toy_items()]
    steps, seen = Steps(), []

    def turn(network: torch.nn.Module) -> None:
        assert not network.training and not any(p.requires_grad for p in network.parameters())
        seen.append(steps.done)

    network = em.train_surrogate(items, 10, False, handlers=[steps, Turns(turn, 3, 2, stop)])
    assert seen == expected and steps.done == expected[-1]
    assert not network.training and not any(p.requires_grad for p in network.parameters())


class Recorder(Defense):
    """Ordinary training that remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[torch.Tensor] = []

    def batch(self, image: torch.Tensor, label: torch.Tensor, *others: Any) -> tuple[torch.Tensor, torch.Tensor]:
        self.batches.append(image)
        return image, label


def test_the_surrogate_sees_the_noise_of_the_last_turn() -> None:
    recorder = Recorder()

    class Brighter(EM):
        def training(self) -> Defense:
            return recorder

        def move(self, network: torch.nn.Module, image: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            return image + 0.01

    items = toy_items()
    Brighter(2, 1, **{**TINY, "rounds": 2, "surrogate_steps": 1, "stop": 2.0}).fit(items, progress=False)
    clean = torch.stack([item["image"] for item in items]).mean().item()
    before, after = (batch.mean().item() for batch in recorder.batches)
    assert after == pytest.approx(clean + 0.01, abs=1e-6)
    assert abs(before - clean) < 0.005


@pytest.mark.parametrize(("count", "expected"), [(1, [7]), (3, [3, 5, 7]), (7, [1, 2, 3, 4, 5, 6, 7])])
def test_snapshots_are_evenly_spaced_and_the_last_epoch_is_among_them(count: int, expected: list[int]) -> None:
    engine = Engine(lambda engine, batch: None)
    taken: list[int] = []
    engine.network = linear_network()  # type: ignore[attr-defined]
    snapshots = Snapshots(count)
    snapshots.attach(engine)

    @engine.on(Events.EPOCH_COMPLETED)
    def look() -> None:
        if len(snapshots.networks) > len(taken):
            taken.append(engine.state.epoch)

    engine.run([0], max_epochs=7)
    assert taken == expected
    assert all(network is not engine.network for network in snapshots.networks)  # type: ignore[attr-defined]
