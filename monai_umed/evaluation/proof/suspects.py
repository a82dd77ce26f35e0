"""Suspects to try the proof on: networks that are trained on a release, or on anything else, and then asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.networks.utils import one_hot

from ...data.codec import read_image
from ...defenses import Defense, Materials
from ...defenses.registry import defense_entry
from ...exploiters.registry import build_exploiter, encoder_of, wants_precise_batch_norm
from ...exploiters.train import train_exploiter
from ...functional.resampling import resize
from ..folders import match_channels
from .answers import Scores, dice_of, responses_of
from .plan import IMAGES, Plan

_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A network and how it is trained.

    Attributes:
        network: name as in `monai-umed list`.
        defense: what its owner does against the protection, with clean originals at most.
        seed: of weights, order and augmentation.
        size: grid.
        batch_size: cases in a step.
    """

    network: str = "unet-batch"
    defense: str = "none"
    seed: int = 0
    size: tuple[int, ...] = (128, 128)
    batch_size: int = 16

    def build(self, channels: int, num_classes: int) -> torch.nn.Module:
        """The network, untrained."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return build_exploiter(
                self.network,
                channels,
                num_classes=num_classes,
                spatial_dims=len(self.size),
                image_size=self.size,
            )

    def train(
        self,
        items: Sequence[dict],
        epochs: Sequence[int],
        see: Callable[[int, torch.nn.Module], None],
        *,
        clean: Sequence[dict] = (),
        pretrained_on: Sequence[dict] = (),
        foreign: Sequence[dict] = (),
        foreign_protected: Sequence[dict] = (),
        num_classes: int = 2,
        eps: float = 4 / 255,
        progress: bool = True,
    ) -> None:
        """Train, and show the network, behind its owner's filter, whenever it has seen the items so many times.

        Args:
            items: cases on the grid.
            epochs: when; the last one ends the training.
            see: takes the epoch and the network in evaluation mode.
            clean: originals that its owner has, for defenses that need some.
            pretrained_on: other cases that it is trained on before, as long.
            foreign, foreign_protected: cases of another dataset and the same ones protected, for those that need pairs.
            num_classes: classes, background included.
            eps: of the release.
            progress: whether to show a progress bar.
        """
        defense, channels = defense_entry(self.defense).make(eps), len(items[0]["image"])
        network = self.build(channels, num_classes)
        plain = partial(
            train_exploiter,
            num_classes=num_classes,
            seed=self.seed,
            batch_size=self.batch_size,
            epochs=max(epochs),
            progress=progress,
            precise_batch_norm=wants_precise_batch_norm(self.network),
        )

        def show(epoch: int) -> None:
            see(epoch, _Filtered(defense, network).eval())

        def filtered(cases: Sequence[dict]) -> list[dict]:
            images = (match_channels(item["image"], channels) for item in cases)
            return [{**item, "image": defense.preprocess(image)} for item, image in zip(cases, images, strict=True)]

        materials = Materials(
            build=partial(self.build, channels, num_classes),
            train=plain,
            is_encoder=encoder_of(self.network),
            eps=eps,
            seed=self.seed,
            num_classes=num_classes,
            clean=lambda: filtered(clean),
            foreign=lambda: filtered(foreign),
            foreign_protected=lambda: filtered(foreign_protected),
        )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            if pretrained_on:
                plain(network, filtered(pretrained_on))
            defense.start(network, materials)
            plain(
                network,
                defense.prepare(filtered(items), materials),
                defense=defense,
                materials=materials,
                handlers=[_AtEpochs(set(epochs) - {max(epochs)}, show)],
            )
        show(max(epochs))

    def distill(
        self,
        teacher: torch.nn.Module,
        items: Sequence[dict],
        *,
        epochs: int,
        num_classes: int = 2,
        progress: bool = True,
    ) -> torch.nn.Module:
        """A network that has seen cases with the masks of another network alone, never with those of their owner.

        Args:
            teacher: a trained network in evaluation mode.
            items: cases on the grid; their labels are not looked at.
            epochs: how long.
            num_classes: classes, background included.
            progress: whether to show a progress bar.
        """
        with torch.no_grad():
            masks = [classes_of(teacher(item["image"][None])[0]) for item in items]
        student = self.build(len(items[0]["image"]), num_classes)
        train_exploiter(
            student,
            [{**item, "label": mask} for item, mask in zip(items, masks, strict=True)],
            num_classes=num_classes,
            seed=self.seed,
            batch_size=self.batch_size,
            epochs=epochs,
            progress=progress,
            precise_batch_norm=wants_precise_batch_norm(self.network),
        )
        return student.eval()


def classes_of(logits: torch.Tensor) -> torch.Tensor:
    """Class of every pixel, float32 ``(1, *spatial)``, of logits ``(1 or classes, *spatial)``."""
    return (logits > 0).float() if len(logits) == 1 else logits.argmax(0, keepdim=True).float()


class _Filtered(torch.nn.Module):
    """A network whose owner filters every image before it, as those that it was trained on."""

    def __init__(self, defense: Defense, network: torch.nn.Module) -> None:
        super().__init__()
        self._defense, self._network = defense, network

    def forward(self, images: torch.Tensor) -> Any:
        return self._network(torch.stack([self._defense.preprocess(image) for image in images]))


class _AtEpochs:
    """A handler that shows the network after some epochs."""

    def __init__(self, epochs: set[int], show: Callable[[int], None]) -> None:
        self._epochs, self._show = epochs, show

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._look)

    def _look(self, engine: Engine) -> None:
        if engine.state.epoch in self._epochs:
            self._show(engine.state.epoch)  # the trainer switches back to training before its next step


class Questions:
    """The queries of a plan as a network sees them, read once.

    Args:
        plan: what they are.
        folder: where they lie.
        size: grid of the network.
    """

    def __init__(self, plan: Plan, folder: Path, size: Sequence[int]) -> None:
        self.plan = plan
        self._images = torch.stack(
            [
                resize(torch.from_numpy(read_image(folder / IMAGES / query.name).scaled())[None], size)[0]
                for query in plan.queries
            ]
        )

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self._images.shape[1]

    def match(self, items: Sequence[dict]) -> list[dict]:
        """Cases of other data with as many channels as the queries have."""
        return [{**item, "image": match_channels(item["image"], self.channels)} for item in items]

    @torch.inference_mode()
    def ask(self, network: torch.nn.Module, *, soft: bool = True) -> Scores:
        """Scores of what a network answers, as probabilities or as masks."""
        dice: dict[str, float] = {}
        responses: dict[str, tuple[float, ...]] = {}
        for first in range(0, len(self._images), _AT_ONCE):
            logits = network(self._images[first : first + _AT_ONCE])
            for own, query in zip(logits, self.plan.queries[first : first + _AT_ONCE], strict=True):
                case = self.plan.cases[query.case]
                values = answer_of(own, case.shape, soft)
                if query.kind == "tiles":
                    responses[query.name] = responses_of(values, query, self.plan)
                else:
                    dice[query.name] = dice_of(values, case.label)
        return Scores(dice, responses, (), "0" * 64)


def answer_of(logits: torch.Tensor, shape: Sequence[int], soft: bool) -> np.ndarray:
    """Probability of each foreground class, or 0 and 1, ``(classes - 1, *shape)``."""
    likely = resize((logits.sigmoid() if len(logits) == 1 else logits.softmax(0))[None], shape)[0]
    if len(logits) == 1:
        return (likely if soft else (likely > 0.5).float()).numpy()
    return (likely if soft else one_hot(likely.argmax(0, keepdim=True), len(likely), dim=0))[1:].numpy()
