"""Defenses with clean cases: one stock for all of them, training undisturbed, the best epoch, a repaired last layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.networks.nets import AttentionUnet, BasicUNet, BasicUNetPlusPlus, UNet

from monai_umed.defenses import Composed, Defense, Items, Materials
from monai_umed.defenses.clean_data import (
    CleanPartAlone,
    CleanStatistics,
    EarlyStopping,
    PartlyProtected,
    owned_cases,
)
from monai_umed.defenses.refit import FullRefit, LastLayerRefit, output_layer
from monai_umed.training.losses import segmentation_loss
from monai_umed.training.metrics import class_map, evaluate

SHARES: dict[str, Callable[[float], Defense]] = {
    "PartlyProtected": PartlyProtected,
    "CleanPartAlone": CleanPartAlone,
    "CleanStatistics": CleanStatistics,
    "EarlyStopping": EarlyStopping,
    "LastLayerRefit": LastLayerRefit,
    "FullRefit": FullRefit,
}


def squares(count: int, num_classes: int = 2, seed: int = 0, side: int = 16) -> Items:
    """Dark noise with one square per class, the brighter the higher its class."""
    generator = torch.Generator().manual_seed(seed)
    items: Items = []
    for index in range(count):
        label = torch.zeros(1, side, side)
        for number in range(1, num_classes):
            top, left = torch.randint(0, side - 6, (2,), generator=generator).tolist()
            label[:, top : top + 6, left : left + 6] = number
        image = 0.2 * torch.rand(1, side, side, generator=generator) + 0.7 * label / (num_classes - 1)
        items.append({"id": f"case{index:03}", "image": image, "label": label})
    return items


def stamped(items: Items) -> Items:
    """Images that say nothing but where the label is not."""
    return [{**item, "image": 0.5 - 0.4 * (item["label"] > 0).float()} for item in items]


def small_unet(num_classes: int = 2, dropout: float = 0.0) -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        outputs = 1 if num_classes == 2 else num_classes
        return UNet(2, 1, outputs, channels=(8, 16), strides=(2,), norm="batch", dropout=dropout)


def unused(*arguments: Any) -> Any:
    raise AssertionError("these defenses build and train no network of their own")


def materials(clean: Items, num_classes: int = 2, seed: int = 0) -> Materials:
    return Materials(unused, unused, unused, num_classes=num_classes, seed=seed, clean=lambda: clean)


def train(
    network: torch.nn.Module,
    items: Items,
    defense: Defense,
    stock: Materials,
    epochs: int = 4,
    each_epoch: Callable[[], None] = lambda: None,
) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        order = torch.Generator().manual_seed(0)
        trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=epochs,
            train_data_loader=DataLoader(Dataset(items), batch_size=4, shuffle=True, generator=order, num_workers=0),
            network=network,
            optimizer=torch.optim.Adam(network.parameters(), 1e-2),
            loss_function=segmentation_loss(stock.num_classes),
            decollate=False,
        )
        trainer.add_event_handler(Events.EPOCH_COMPLETED, each_epoch)
        defense.attach(trainer, network, stock)
        trainer.run()
    defense.finish(network.eval(), stock)
    return network


def ids(items: Items) -> list[str]:
    return [item["id"] for item in items]


def images(items: Items) -> torch.Tensor:
    return torch.stack([item["image"] for item in items])


def same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1), st.randoms())
def test_a_larger_share_contains_a_smaller_one_in_whatever_order_the_cases_come(
    count: int, one: float, other: float, seed: int, shuffle: Any
) -> None:
    clean: Items = [{"id": f"{index}"} for index in range(count)]
    shuffled = shuffle.sample(clean, count)
    small, large = sorted((one, other))
    few, many = (ids(owned_cases(materials(clean, seed=seed), fraction)) for fraction in (small, large))
    assert set(few) <= set(many)
    assert (len(few), len(many)) == (max(1, round(small * count)), max(1, round(large * count)))
    assert ids(owned_cases(materials(shuffled, seed=seed), small)) == few


def test_the_seed_decides_which_cases_are_owned() -> None:
    clean = squares(40)
    choices = {tuple(ids(owned_cases(materials(clean, seed=seed), 0.2))) for seed in (0, 0, 1, 2)}
    assert len(choices) == 3


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("fraction", [0.2, 0.4, 0.6, 0.8])
def test_what_is_not_protected_is_clean_and_alone_in_the_control(fraction: float, num_classes: int) -> None:
    clean = squares(20, num_classes)
    protected = stamped(clean)
    before = copy.deepcopy(protected)
    mixed = PartlyProtected(fraction).prepare(protected, materials(clean))
    alone = CleanPartAlone(fraction).prepare(protected, materials(clean))
    assert ids(mixed) == ids(protected)
    replaced = [item for item, old in zip(mixed, protected, strict=True) if item is not old]
    assert len(replaced) == round((1 - fraction) * 20)
    assert ids(alone) == ids(replaced)
    originals = {item["id"]: item for item in clean}
    assert all(item is originals[item["id"]] for item in replaced + alone)
    assert torch.equal(images(protected), images(before))


@pytest.mark.parametrize("defense", [PartlyProtected(0.5), CleanPartAlone(0.5)])
def test_which_cases_are_clean_does_not_depend_on_the_order_of_the_items(defense: Defense) -> None:
    clean = squares(20)
    protected = stamped(clean)

    def cleaned(items: Items) -> set[str]:
        result = defense.prepare(items, materials(clean))
        return {item["id"] for item in result if any(item is original for original in clean)}

    assert cleaned(protected) == cleaned(protected[::-1])


def test_cases_without_a_clean_original_stay_protected_and_are_not_in_the_control() -> None:
    clean = squares(10)
    lonely: Items = [{"id": "lonely", "image": torch.zeros(1, 16, 16), "label": torch.zeros(1, 16, 16)}]
    mixed = PartlyProtected(0.2).prepare(stamped(clean) + lonely, materials(clean))
    alone = CleanPartAlone(0.2).prepare(stamped(clean) + lonely, materials(clean))
    assert mixed[-1] is lonely[0]
    assert len(alone) == 8 and "lonely" not in ids(alone)


@pytest.mark.parametrize("make", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("fraction", [-0.1, 0.0, 1.0, 5.0, float("nan")])
def test_a_fraction_outside_the_open_unit_interval_is_refused(
    make: Callable[[float], Defense], fraction: float
) -> None:
    with pytest.raises(ValueError, match=r"fraction is .*more than 0 and less than 1"):
        make(fraction)


@pytest.mark.parametrize("make", SHARES.values(), ids=SHARES)
def test_no_clean_originals_are_an_error_that_names_the_cure(make: Callable[[float], Defense]) -> None:
    defense = make(0.5)
    assert defense.needs == {"clean"}
    with pytest.raises(ValueError, match=r"no clean originals .*give the clean images"):
        train(small_unet(), defense.prepare(squares(4), materials([])), defense, materials([]), epochs=1)


@pytest.mark.parametrize("defense", [PartlyProtected(0.5), CleanPartAlone(0.5)])
def test_clean_originals_of_other_cases_are_an_error_that_names_the_cure(defense: Defense) -> None:
    others = [{**item, "id": "x" + item["id"]} for item in squares(6)]
    with pytest.raises(ValueError, match=r"None of the 3 clean originals .*'xcase.*6 training cases; give both"):
        defense.prepare(squares(6), materials(others))


class Alternating:
    """Overwrites the weights at the end of each epoch, so that the best epoch is known."""

    def __init__(self, network: torch.nn.Module, good: dict[str, torch.Tensor], best_epoch: int) -> None:
        self.network, self.good, self.best_epoch, self.epoch = network, good, best_epoch, 0

    def __call__(self) -> None:
        self.epoch += 1
        self.network.load_state_dict(self.good)
        if self.epoch != self.best_epoch:
            with torch.no_grad():
                for parameter in self.network.parameters():
                    parameter.zero_()


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("best_epoch", [1, 2, 4])
def test_early_stopping_ends_with_the_best_epoch(best_epoch: int, num_classes: int) -> None:
    clean = squares(12, num_classes)
    stock = materials(clean, num_classes)
    good = train(small_unet(num_classes), clean, Defense(), stock, epochs=8).state_dict()
    network = small_unet(num_classes)
    train(network, clean, EarlyStopping(0.3), stock, 4, Alternating(network, copy.deepcopy(good), best_epoch))
    assert same_weights(network.state_dict(), good)


class Watch(Defense):
    """Records weights and mode at the end of each epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.modes: list[bool] = []

    def attach(self, trainer: Engine, network: torch.nn.Module, materials: Materials) -> None:
        @trainer.on(Events.EPOCH_COMPLETED)
        def record() -> None:
            self.weights.append(copy.deepcopy(network.state_dict()))
            self.modes.append(network.training)


def test_early_stopping_takes_the_very_steps_of_ordinary_training() -> None:
    clean = squares(12)
    stock = materials(clean)
    ordinary, stopping = Watch(), Watch()
    train(small_unet(dropout=0.5), clean, ordinary, stock)
    kept = train(small_unet(dropout=0.5), clean, Composed([EarlyStopping(0.3), stopping]), stock).state_dict()
    assert all(same_weights(a, b) for a, b in zip(ordinary.weights, stopping.weights, strict=True))
    assert all(stopping.modes)

    def dice(weights: dict[str, torch.Tensor]) -> float:
        network = small_unet(dropout=0.5)
        network.load_state_dict(weights)
        return evaluate(network, owned_cases(stock, 0.3)).dice

    assert same_weights(kept, max(stopping.weights, key=dice))


def test_clean_statistics_are_those_of_the_owned_images_and_leave_the_weights_alone() -> None:
    clean = squares(40)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4)).eval()
    before = [parameter.clone() for parameter in network.parameters()]
    CleanStatistics(0.25).finish(network, materials(clean))
    images = torch.stack([item["image"] for item in owned_cases(materials(clean), 0.25)])
    with torch.no_grad():
        features = network[0](images)
    assert isinstance(network[1].running_mean, torch.Tensor)
    torch.testing.assert_close(network[1].running_mean, features.mean(dim=(0, 2, 3)))
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert not network.training


def test_clean_statistics_leave_networks_without_batch_normalization_as_they_are() -> None:
    network = UNet(2, 1, 1, channels=(8, 16), strides=(2,), norm="instance").eval()
    before = copy.deepcopy(network.state_dict())
    CleanStatistics(0.5).finish(network, materials(squares(4)))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("num_classes", [2, 3])
def test_refitting_repairs_a_broken_last_layer_and_touches_nothing_else(num_classes: int) -> None:
    stock = materials(squares(40, num_classes), num_classes)
    network = train(small_unet(num_classes), squares(40, num_classes), Defense(), stock, epochs=12)
    test = squares(20, num_classes, seed=1)
    intact = evaluate(network, test, num_classes=num_classes).dice
    layer = output_layer(network, test[0]["image"][None])
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.neg_()
    broken = evaluate(network, test, num_classes=num_classes).dice
    before = copy.deepcopy(network.state_dict())
    first, *rest = network.parameters()
    first.requires_grad_(False)
    LastLayerRefit(0.1).finish(network.train(), stock)
    assert broken < 0.5 < intact - 0.1 < evaluate(network, test, num_classes=num_classes).dice
    assert not network.training
    assert not first.requires_grad and all(parameter.requires_grad for parameter in rest)
    assert all(parameter.grad is None or parameter is not layer.weight for parameter in network.parameters())
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    refitted = {name for name, value in network.named_parameters() if any(value is w for w in layer.parameters())}
    assert changed == refitted


def test_refitting_is_deterministic_uses_a_single_case_if_it_must_and_leaves_the_items_as_they_are() -> None:
    clean = squares(10)
    before = copy.deepcopy(clean)

    def refitted() -> dict[str, torch.Tensor]:
        network = small_unet()
        LastLayerRefit(0.01).finish(network, materials(clean))
        return network.state_dict()

    first, second = refitted(), refitted()
    assert same_weights(first, second) and not same_weights(first, small_unet().state_dict())
    assert all(torch.isfinite(value).all() for value in first.values())
    assert torch.equal(images(clean), images(before))


def test_channels_last_networks_are_refit_alike() -> None:
    stock = materials(squares(10, 3), 3)
    first, second = small_unet(3), small_unet(3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for network in (first, second):
        LastLayerRefit(0.3).finish(network, stock)
    test = images(squares(10, 3, seed=1))
    # sums of float32 in another order decide the few pixels in which two classes are about equally likely
    assert (class_map(first(test)) == class_map(second(test))).float().mean() > 0.99


def test_a_frozen_last_layer_is_refit_and_frozen_again() -> None:
    network = small_unet().requires_grad_(False)
    LastLayerRefit(0.2).finish(network, materials(squares(10)))
    assert not same_weights(network.state_dict(), small_unet().state_dict())
    assert not any(parameter.requires_grad for parameter in network.parameters())


class First(torch.nn.Module):
    """A network that gives the first of several outputs."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)[0]


@pytest.mark.parametrize(
    ("network", "shape", "outputs"),
    [
        (small_unet(3), (1, 1, 16, 16), 3),
        (UNet(3, 2, 1, channels=(4, 8), strides=(2,)), (1, 2, 8, 8, 8), 1),
        (BasicUNet(2, 1, 1, (4, 4, 4, 4, 4, 4)), (1, 1, 32, 32), 1),
        (First(BasicUNetPlusPlus(2, 1, 2, (4, 4, 4, 4, 4, 4))), (1, 1, 32, 32), 2),
        (AttentionUnet(2, 1, 2, channels=(4, 8), strides=(2,)), (1, 1, 16, 16), 2),
    ],
    ids=["UNet", "UNet 3D", "BasicUNet", "BasicUNetPlusPlus", "AttentionUnet"],
)
def test_the_output_layer_of_a_network_is_the_convolution_that_gives_its_logits(
    network: torch.nn.Module, shape: tuple[int, ...], outputs: int
) -> None:
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    network.eval()
    layer = output_layer(network, image)
    assert layer.out_channels == outputs
    logits = network(image)
    with torch.no_grad():
        cast(torch.Tensor, layer.bias).add_(1)
    torch.testing.assert_close(network(image), logits + 1)


def test_a_network_that_does_not_end_in_a_convolution_is_refused_and_left_without_hooks() -> None:
    network = UNet(2, 1, 1, channels=(4, 8), strides=(2,), num_res_units=2).eval()
    with pytest.raises(ValueError, match=r"convolutions of UNet .*no last layer.*use a network that ends"):
        LastLayerRefit(0.5).finish(network, materials(squares(4)))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_full_refit_trains_all_layers_on_as_many_cases_as_there_are_all_of_them_owned() -> None:
    clean = squares(30)
    network, seen = small_unet(), cast(Items, [])

    def record(network: torch.nn.Module, items: Items) -> torch.nn.Module:
        seen.extend(items)
        return network

    stock = Materials(unused, record, unused, clean=lambda: clean)
    FullRefit(0.1).finish(network, stock)
    assert len(seen) == len(clean)
    assert set(ids(seen)) == set(ids(owned_cases(stock, 0.1))) and len(set(ids(seen))) == 3
