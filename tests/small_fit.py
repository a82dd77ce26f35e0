"""A fit of small networks on six random images, wired as in the bundle's train.json."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import DataLoader, Dataset, DistributedSampler
from monai.networks.nets import UNet

from monai_umed.fitting.umed_trainer import UMedTrainer
from monai_umed.networks import UMedPerturbator
from monai_umed.training.losses import segmentation_loss

EPS = 8 / 255
STEPS = 3  # per epoch


def small_items() -> list[dict]:
    """Six cases of 32 x 32 pixels: a square each, a contour band around it and texture within."""
    generator = torch.Generator().manual_seed(1)
    items = []
    for index in range(2 * STEPS):
        image = torch.rand(1, 32, 32, generator=generator)
        label, bounds = torch.zeros(1, 32, 32), torch.zeros(2, 32, 32)
        label[:, 8 + index : 22, 8:22] = 1
        bounds[0, 6 + index : 24, 6:24] = EPS
        bounds[0, 10 + index : 20, 10:20] = 0
        bounds[1, 10 + index : 20, 10:20] = EPS / 2
        items.append({"image": image, "label": label, "bounds": bounds})
    return items


def small_trainer(
    max_epochs: int = 6, generator_epochs: int = 2, warmup_epochs: int = 2, output: str = "tanh", **options: Any
) -> UMedTrainer:
    """A new trainer with new networks and optimizers, always with the same weights; by default S S G G S G."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        perturbator = UMedPerturbator(2, 1, features=(4, 8), norm="batch", output=output)
        surrogate = UNet(2, 1, 1, channels=(4, 8), strides=(2,), norm="batch")
    dataset = Dataset(small_items())
    sampler = DistributedSampler(dataset, num_replicas=1, rank=0, seed=3)
    arguments: dict[str, Any] = {
        "device": torch.device("cpu"),
        "max_epochs": max_epochs,
        "train_data_loader": DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=0),
        "network": surrogate,
        "optimizer": torch.optim.Adam(surrogate.parameters(), 1e-2),
        "loss_function": segmentation_loss(),
        "perturbator": perturbator,
        "perturbator_optimizer": torch.optim.Adam(perturbator.parameters(), 1e-2),
        "eps": EPS,
        "generator_epochs": generator_epochs,
        "warmup_epochs": warmup_epochs,
    }
    return UMedTrainer(**arguments | options)


def snapshot(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all weights and buffers."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def different(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Names of the weights and buffers that are not bit-identical."""
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}
