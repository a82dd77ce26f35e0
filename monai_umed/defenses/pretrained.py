"""Transfer learning: an encoder that was trained on other images before it sees the protected ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from ignite.engine import Engine, Events
from torch.nn.modules.batchnorm import _NormBase

from .base import Defense, Materials


def keep_statistics(network: torch.nn.Module, is_frozen: Callable[[str], bool], trainer: Engine) -> None:
    """Let frozen normalization layers use their running statistics without updating them while a trainer runs.

    MONAI's trainer sets the whole network to training mode before every step, so each layer resets itself.

    Args:
        network: network that is trained.
        is_frozen: tells from the name of a parameter or buffer whether its module is frozen.
        trainer: the trainer, after which the layers no longer reset themselves.
    """

    def use_running_statistics(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        module.eval()

    handles = [
        module.register_forward_pre_hook(use_running_statistics)
        for name, module in network.named_modules()
        if isinstance(module, _NormBase) and is_frozen(f"{name}.running_mean")
    ]

    @trainer.on(Events.COMPLETED)
    def release() -> None:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class PretrainedEncoder(Defense):
    """Training from an encoder that was trained on clean images of another dataset.

    Weights and running statistics of the encoder are copied; the decoder starts from random weights. Neither the
    weights nor the running statistics of a frozen encoder change.

    Args:
        frozen: train the decoder only.

    Raises:
        ValueError: If there are no foreign images, or no parameter belongs to the encoder, when training starts.
    """

    needs = frozenset({"foreign"})
    frozen: bool = False

    def start(self, network: torch.nn.Module, materials: Materials) -> None:
        foreign = materials.foreign()
        if not foreign:
            raise ValueError(
                "There are no foreign images (Materials.foreign is empty); give clean images and masks of another "
                "dataset to pretrain on."
            )
        weights = network.state_dict()
        encoder = [name for name in weights if materials.is_encoder(name)]
        if not encoder:
            raise ValueError(
                f"None of the {len(weights)} weights of {type(network).__name__} ({next(iter(weights))!r}, ...) counts "
                "as one of the encoder; give a Materials.is_encoder for this architecture."
            )
        with torch.random.fork_rng():
            torch.manual_seed(materials.seed)
            pretrained = materials.train(materials.build(), foreign).state_dict()
        network.load_state_dict(weights | {name: pretrained[name] for name in encoder})
        if self.frozen:
            for name, parameter in network.named_parameters():
                if materials.is_encoder(name):
                    parameter.requires_grad_(False)

    def attach(self, trainer: Engine, network: torch.nn.Module, materials: Materials) -> None:
        if self.frozen:
            keep_statistics(network, materials.is_encoder, trainer)
