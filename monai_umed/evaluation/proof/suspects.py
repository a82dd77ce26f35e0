"""Suspects to try the proof on: networks that are trained on a release, or on anything else, and then asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from ignite.engine import Engine, Events

from ...data.codec import read_image
from ...defenses import Materials
from ...defenses.registry import defense_entry
from ...exploiters.registry import build_exploiter, encoder_of, wants_precise_batch_norm
from ...exploiters.train import train_exploiter
from ...functional.resampling import resize
from .answers import Scores, dice_of, responses_of
from .plan import IMAGES, Plan

_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A network and how it is trained.

    Attributes:
        network: name as in `monai-umed list`.
        defense: what its owner does against the protection; those that need images beside the files do not work here.
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
        num_classes: int = 2,
        eps: float = 4 / 255,
        progress: bool = True,
    ) -> None:
        """Train, and show the network whenever it has seen the items so many times.

        Args:
            items: cases on the grid.
            epochs: when; the last one ends the training.
            see: takes the epoch and the network in evaluation mode.
            num_classes: classes, background included.
            eps: of the release.
            progress: whether to show a progress bar.
        """
        defense = defense_entry(self.defense).make(eps)
        network = self.build(len(items[0]["image"]), num_classes)
        plain = partial(
            train_exploiter,
            num_classes=num_classes,
            seed=self.seed,
            batch_size=self.batch_size,
            progress=progress,
            precise_batch_norm=wants_precise_batch_norm(self.network),
        )
        build = partial(self.build, len(items[0]["image"]), num_classes)
        materials = Materials(build, plain, encoder_of(self.network), eps, self.seed, num_classes)
        filtered = [{**item, "image": defense.preprocess(item["image"])} for item in items]
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            plain(
                network,
                defense.prepare(filtered, materials),
                epochs=max(epochs),
                defense=defense,
                materials=materials,
                handlers=[_AtEpochs(network, set(epochs) - {max(epochs)}, see)],
            )
        see(max(epochs), network.eval())


class _AtEpochs:
    """A handler that shows a network after some epochs."""

    def __init__(self, network: torch.nn.Module, epochs: set[int], see: Callable[[int, torch.nn.Module], None]) -> None:
        self._network, self._epochs, self._see = network, epochs, see

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._look)

    def _look(self, engine: Engine) -> None:
        if engine.state.epoch in self._epochs:
            self._see(engine.state.epoch, self._network.eval())  # the trainer switches back before its next step


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

    @torch.inference_mode()
    def ask(self, network: torch.nn.Module, *, soft: bool = True) -> Scores:
        """Scores of what a network with one output channel answers, as probabilities or as masks."""
        dice: dict[str, float] = {}
        responses: dict[str, tuple[float, ...]] = {}
        for first in range(0, len(self._images), _AT_ONCE):
            logits = network(self._images[first : first + _AT_ONCE])
            for own, query in zip(logits, self.plan.queries[first : first + _AT_ONCE], strict=True):
                case = self.plan.cases[query.case]
                values = resize(own[None].sigmoid(), case.shape)[0].numpy()
                values = values if soft else (values > 0.5).astype("float32")
                if query.kind == "tiles":
                    responses[query.name] = responses_of(values, query, self.plan)
                else:
                    dice[query.name] = dice_of(values, case.label)
        return Scores(dice, responses, (), "0" * 64)
