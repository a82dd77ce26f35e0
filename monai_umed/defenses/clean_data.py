"""Defenses of an exploiter who got hold of clean originals of some training cases.

All of them draw from one stock: with the same seed, a larger share contains every smaller one, whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from torch.nn.modules.conv import _ConvNd
from torch.optim.swa_utils import update_bn

from ..training.losses import segmentation_loss
from ..training.metrics import evaluate
from .base import Defense, Items, Materials

REFIT_ROUNDS, REFIT_LEARNING_RATE = 15, 0.5
BATCH_SIZE = 16  # of clean images whose statistics are taken


def owned_cases(materials: Materials, fraction: float) -> Items:
    """The clean originals that an exploiter owns who has a share of them: at least one, sorted by id.

    Args:
        materials: its ``clean`` is drawn from, with its ``seed``.
        fraction: of all clean originals, more than 0, less than 1.

    Raises:
        ValueError: if there are no clean originals.
    """
    clean = sorted(materials.clean(), key=lambda item: item["id"])
    if not clean:
        raise ValueError(
            "There are no clean originals (Materials.clean is empty); give the clean images of the training cases "
            "under the same names."
        )
    order = torch.randperm(len(clean), generator=torch.Generator().manual_seed(materials.seed)).tolist()
    return [clean[index] for index in sorted(order[: max(1, round(fraction * len(clean)))])]


def _clean_of(items: Items, materials: Materials, fraction: float) -> dict[str, dict]:
    """The owned cases that are among the items, by id."""
    ids = {item["id"] for item in items}
    owned = owned_cases(materials, fraction)
    found = {item["id"]: item for item in owned if item["id"] in ids}
    if not found:
        raise ValueError(
            f"None of the {len(owned)} clean originals that the exploiter owns ({owned[0]['id']!r}, ...) is among the "
            f"{len(items)} training cases; give both the same names, or lower fraction ({1 - fraction:g} protected)."
        )
    return found


@dataclass(frozen=True)
class _CleanFraction(Defense):
    """A defense with clean originals whose one argument is a share of the training cases."""

    needs = frozenset({"clean"})
    fraction: float

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise ValueError(f"fraction is {self.fraction}; it must be more than 0 and less than 1.")


@dataclass(frozen=True)
class PartlyProtected(_CleanFraction):
    """A share of the training cases is protected, the exploiter has the rest as clean originals.

    Which ones does not depend on the order of the items. Cases without a clean original stay protected.

    Args:
        fraction: of the cases that stay protected, between 0 and 1, both excluded.

    Raises:
        ValueError: if ``fraction`` is out of range; when used, if no clean original belongs to a training case.
    """

    def prepare(self, items: Items, materials: Materials) -> Items:
        clean = _clean_of(items, materials, 1 - self.fraction)
        return [clean.get(item["id"], item) for item in items]


@dataclass(frozen=True)
class CleanPartAlone(_CleanFraction):
    """The clean cases of :class:`PartlyProtected` without the protected ones: what the latter add, or take away.

    Args:
        fraction: as there: of the cases that are protected, and here left out.

    Raises:
        ValueError: as there.
    """

    def prepare(self, items: Items, materials: Materials) -> Items:
        clean = _clean_of(items, materials, 1 - self.fraction)
        return [clean[item["id"]] for item in items if item["id"] in clean]


@dataclass(frozen=True)
class EarlyStopping(_CleanFraction):
    """Keep the epoch that does best on clean cases, since networks learn what is real before the shortcut.

    The idea that early epochs escape the protection is that of Dang et al. 2023 (arXiv 2306.02064). Training runs to
    its end and takes the very steps that it takes without this defense; the protected twins of the validation cases
    stay in the training set. Epochs are compared by Dice over all pixels, see
    :class:`monai_umed.training.metrics.Scores`; of equal ones the first is kept.

    Args:
        fraction: of the training cases that the exploiter owns in clean form, between 0 and 1, both excluded.

    Raises:
        ValueError: if ``fraction`` is out of range; when used, if there are no clean originals.
    """

    fraction: float = 0.05

    def attach(self, trainer: Engine, network: torch.nn.Module, materials: Materials) -> None:
        cases = owned_cases(materials, self.fraction)
        best = -1.0
        weights: dict[str, torch.Tensor] = {}

        @trainer.on(Events.EPOCH_COMPLETED)
        def keep_if_better() -> None:
            nonlocal best
            with torch.random.fork_rng():  # data loaders draw a seed each time that they are gone through
                dice = evaluate(network, cases, num_classes=materials.num_classes, device=materials.device).dice
            if dice > best:
                best = dice
                weights.update((name, value.detach().clone()) for name, value in network.state_dict().items())

        @trainer.on(Events.COMPLETED)
        def load_best() -> None:
            network.load_state_dict(weights)


def output_layer(network: torch.nn.Module, image: torch.Tensor) -> _ConvNd:
    """The convolution whose output is the network's output.

    It is found by running the network, since the order in which modules were registered says little: U-Nets nest
    their levels, and U-Net++ has a head for every depth.

    Args:
        network: in evaluation mode.
        image: any batch that it takes, ``(B, C, *spatial)``.

    Raises:
        ValueError: if something other than a convolution comes last.
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
class CleanStatistics(_CleanFraction):
    """Take the running statistics of batch normalization from clean images (Li et al. 2016, arXiv 1603.04779).

    Weights that were trained on protected files see clean images in use. No labels are needed, and networks without
    batch normalization stay as they are.

    Args:
        fraction: of the training cases that the exploiter owns in clean form, between 0 and 1, both excluded; at least
            one case is used.

    Raises:
        ValueError: if ``fraction`` is out of range; when used, if there are no clean originals.
    """

    def finish(self, network: torch.nn.Module, materials: Materials) -> None:
        images = [item["image"] for item in owned_cases(materials, self.fraction)]
        update_bn(DataLoader(Dataset(images), batch_size=BATCH_SIZE), network, torch.device(materials.device))


@dataclass(frozen=True)
class LastLayerRefit(_CleanFraction):
    """Fit the last convolution anew on a few clean cases, all other weights frozen.

    Deep feature reweighting (Kirichenko et al. 2023) for segmentation: features learned next to a shortcut are often
    good, only the last layer relies on the shortcut. The features of the clean cases are computed once. 15 rounds of
    LBFGS with a first step of 0.5 and a line search, on the training loss without augmentation, start from the trained
    weights.

    Args:
        fraction: of the training cases that the exploiter owns in clean form, between 0 and 1, both excluded; at least
            one case is used.

    Raises:
        ValueError: if ``fraction`` is out of range; when used, if there are no clean originals or the network does not
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
