"""Pretraining: what of the encoder travels, and that a frozen encoder stays what it is, statistics included."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.networks.nets import BasicUNet

from monai_umed.defenses import Items, Materials
from monai_umed.defenses.pretrained import PretrainedEncoder
from monai_umed.training.losses import segmentation_loss

NORMS = ["batch", "instance"]


def items(count: int, num_classes: int = 2, seed: int = 0) -> Items:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, num_classes, (count, 1, 32, 32), generator=generator).float()
    image = 0.5 * label / num_classes + 0.5 * torch.rand(label.shape, generator=generator)
    return [{"id": str(index), "image": image[index], "label": label[index]} for index in range(count)]


def build(num_classes: int = 2, norm: str = "batch") -> BasicUNet:
    return BasicUNet(2, 1, 1 if num_classes == 2 else num_classes, (4, 4, 4, 4, 4, 4), norm=norm)


def seeded(num_classes: int = 2, norm: str = "batch") -> BasicUNet:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return build(num_classes, norm)


def is_encoder(name: str) -> bool:
    return name.startswith(("conv_0", "down_"))


def trainer_of(network: torch.nn.Module, data: Items, num_classes: int) -> SupervisedTrainer:
    order = torch.Generator().manual_seed(0)
    return SupervisedTrainer(
        device="cpu",
        max_epochs=2,
        train_data_loader=DataLoader(Dataset(data), batch_size=4, shuffle=True, generator=order, num_workers=0),
        network=network,
        optimizer=torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-2),
        loss_function=segmentation_loss(num_classes),
        decollate=False,
    )


def materials(num_classes: int = 2, norm: str = "batch", seed: int = 0, count: int = 8) -> Materials:
    def train(network: torch.nn.Module, data: Items) -> torch.nn.Module:
        trainer_of(network, data, num_classes).run()
        return network.eval()

    return Materials(
        lambda: build(num_classes, norm),
        train,
        is_encoder,
        seed=seed,
        num_classes=num_classes,
        foreign=lambda: items(count, seed=9),
    )


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(network.state_dict())


def different(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_weights_and_statistics_of_the_encoder_travel_and_nothing_else(num_classes: int, norm: str) -> None:
    network = seeded(num_classes, norm)
    before = weights(network)
    stock = materials(num_classes, norm)
    PretrainedEncoder().start(network, stock)
    with torch.random.fork_rng():
        torch.manual_seed(stock.seed)
        donor = stock.train(stock.build(), stock.foreign()).state_dict()
    encoder = {name for name in before if is_encoder(name)}
    assert not any(different({n: donor[n] for n in encoder}, {n: network.state_dict()[n] for n in encoder}))
    assert different(before, network.state_dict()) <= encoder
    assert ("conv_0.conv_0.adn.N.running_mean" in different(before, network.state_dict())) == (norm == "batch")
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_seed_decides_the_encoder_and_the_random_stream_goes_on_undisturbed() -> None:
    def started(seed: int) -> dict[str, torch.Tensor]:
        network = seeded()
        state = torch.get_rng_state()
        PretrainedEncoder().start(network, materials(seed=seed))
        assert torch.equal(state, torch.get_rng_state())
        return weights(network)

    assert not different(started(0), started(0))
    assert different(started(0), started(1))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_frozen_encoder_keeps_weights_and_statistics_while_the_decoder_learns(num_classes: int, norm: str) -> None:
    network, stock = seeded(num_classes, norm), materials(num_classes, norm)
    defense = PretrainedEncoder(frozen=True)
    defense.start(network, stock)
    assert {name for name, p in network.named_parameters() if not p.requires_grad} == {
        name for name, p in network.named_parameters() if is_encoder(name)
    }
    before = weights(network)
    trainer = trainer_of(network, items(8, num_classes), num_classes)
    defense.attach(trainer, network, stock)
    trainer.run()
    moved = different(before, network.state_dict())
    assert moved and not any(is_encoder(name) for name in moved)
    assert any("running_mean" in name for name in moved) == (norm == "batch")


def test_a_frozen_encoder_computes_in_training_what_it_computes_in_testing() -> None:
    network, stock = seeded(), materials()
    defense = PretrainedEncoder(frozen=True)
    defense.start(network, stock)
    trainer = trainer_of(network, items(8), 2)
    features: dict[bool, torch.Tensor] = {}

    def record(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        features[network.training] = output.detach()

    defense.attach(trainer, network, stock)
    handle = network.down_4.register_forward_hook(record)
    image = torch.stack([item["image"] for item in items(4)])
    network.train()(image)
    network.eval()(image)
    handle.remove()
    assert torch.equal(features[True], features[False])


def test_after_training_the_frozen_layers_follow_the_network_again() -> None:
    network, stock = seeded(), materials()
    defense = PretrainedEncoder(frozen=True)
    defense.start(network, stock)
    trainer = trainer_of(network, items(4), 2)
    defense.attach(trainer, network, stock)
    assert any(module._forward_pre_hooks for module in network.modules())
    trainer.run()
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_without_freezing_the_encoder_learns_on() -> None:
    network, stock = seeded(), materials()
    defense = PretrainedEncoder()
    defense.start(network, stock)
    before = weights(network)
    trainer = trainer_of(network, items(8), 2)
    defense.attach(trainer, network, stock)
    trainer.run()
    names = different(before, network.state_dict())
    assert {"conv_0.conv_0.conv.weight", "conv_0.conv_0.adn.N.running_mean"} <= names


def test_no_foreign_images_are_an_error_that_names_the_cure() -> None:
    assert PretrainedEncoder().needs == {"foreign"}
    with pytest.raises(ValueError, match=r"no foreign images .*give clean images and masks of another dataset"):
        PretrainedEncoder().start(seeded(), materials(count=0))


def test_an_architecture_without_a_known_encoder_is_an_error_that_names_the_cure() -> None:
    stock = Materials(build, lambda network, data: network, lambda name: False, foreign=lambda: items(2))
    with pytest.raises(ValueError, match=r"None of the .* weights of BasicUNet \('conv_0.*give a Materials.is_encoder"):
        PretrainedEncoder().start(seeded(), stock)
