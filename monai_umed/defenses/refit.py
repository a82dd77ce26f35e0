"""Fit a network that was trained on protected files anew on a few clean cases: its last layer, or all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from torch.nn.modules.conv import _ConvNd

from ..training.losses import segmentation_loss
from .base import Items, Materials
from .clean_data import CleanFraction, owned_cases

REFIT_ROUNDS, REFIT_LEARNING_RATE = 15, 0.5


def output_layer(network: torch.nn.Module, image: torch.Tensor) -> _ConvNd:
    """The convolution whose output is the network's output.

    It is found by running the network, since the order in which modules were registered says little: U-Nets nest
    their levels, and U-Net++ has a head for every depth.

    Args:
        network: in evaluation mode.
        image: any batch that it takes, ``(B, C, *spatial)``.

    Raises:
        ValueError: If something other than a convolution comes last.
    """
    outputs: list[tuple[_ConvNd, torch.Tensor]] = []

    def record(module: _ConvNd, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        outputs.append((module, output))

    handles = [module.register_forward_hook(record) for module in network.modules() if isinstance(module, _ConvNd)]
    try:
        with torch.no_grad():
            logits = network(image)
    finally:
        for handle in handles:
            handle.remove()
    for module, output in reversed(outputs):
        if torch.equal(output, logits):
            return module
    raise ValueError(
        f"None of the {len(outputs)} convolutions of {type(network).__name__} gives the network's output, so there is "
        "no last layer to refit; use a network that ends in a convolution (MONAI's UNet with num_res_units=0)."
    )


def layer_inputs(
    network: torch.nn.Module, layer: torch.nn.Module, items: Items, device: str | torch.device
) -> torch.Tensor:
    """What reaches a layer when the network, in evaluation mode, sees the items: ``(cases, channels, *spatial)``."""
    features: list[torch.Tensor] = []

    def record(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        features.append(inputs[0])

    evaluator = SupervisedEvaluator(
        device=torch.device(device),
        val_data_loader=DataLoader(Dataset(items), batch_size=16, num_workers=0),
        network=network,
        decollate=False,
    )
    handle = layer.register_forward_pre_hook(record)
    try:
        evaluator.run()
    finally:
        handle.remove()
    return torch.cat(features)


@dataclass(frozen=True)
class LastLayerRefit(CleanFraction):
    """Fit the last convolution anew on a few clean cases, all other weights frozen.

    Deep feature reweighting (Kirichenko et al. 2023) for segmentation: features learned next to a shortcut are often
    good, only the last layer relies on the shortcut. The features of the clean cases are computed once. 15 rounds of
    LBFGS with a first step of 0.5 and a line search, on the training loss without augmentation, start from the trained
    weights.

    Args:
        fraction: of the training cases that the exploiter owns in clean form, between 0 and 1, both excluded; at least
            one case is used.

    Raises:
        ValueError: If ``fraction`` is out of range; when used, if there are no clean originals or the network does not
            end in a convolution.
    """

    def finish(self, network: torch.nn.Module, materials: Materials) -> None:
        network.eval()
        cases = owned_cases(materials, self.fraction)
        layer = output_layer(network, cases[0]["image"][None].to(materials.device))
        features = layer_inputs(network, layer, cases, materials.device)
        label = torch.stack([item["label"] for item in cases]).to(materials.device)
        loss_function = segmentation_loss(materials.num_classes)
        trainable = [parameter.requires_grad for parameter in layer.parameters()]
        layer.requires_grad_(True)
        # LBFGS flattens gradients, which it cannot do in the order of channels-last networks.
        layer.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        # Without a line search 1 of 24 refits of small networks diverged to a Dice of 0.
        optimizer = torch.optim.LBFGS(layer.parameters(), REFIT_LEARNING_RATE, line_search_fn="strong_wolfe")

        def loss_and_gradient() -> torch.Tensor:
            optimizer.zero_grad()
            loss = loss_function(layer(features), label)
            loss.backward()
            return loss

        for _ in range(REFIT_ROUNDS):
            optimizer.step(loss_and_gradient)
        optimizer.zero_grad()
        for parameter, before in zip(layer.parameters(), trainable, strict=True):
            parameter.requires_grad_(before)


@dataclass(frozen=True)
class FullRefit(CleanFraction):
    """Train all layers on, on a few clean cases, for as many steps as clean files would have taken.

    The few cases are repeated until there are as many as training cases; the recipe is that of the training before.

    Args:
        fraction: of the training cases that the exploiter owns in clean form, between 0 and 1, both excluded; at least
            one case is used.

    Raises:
        ValueError: If ``fraction`` is out of range; when used, if there are no clean originals.
    """

    def finish(self, network: torch.nn.Module, materials: Materials) -> None:
        cases, count = owned_cases(materials, self.fraction), len(materials.clean())
        materials.train(network, (cases * -(-count // len(cases)))[:count])
