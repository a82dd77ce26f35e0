"""The base of all defenses: hooks to change the data or the training, all of which do nothing by default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ignite.engine import Engine
from monai.transforms import Transform

Items = list[dict[str, Any]]
Objective = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def no_items() -> Items:
    """Return no items: by default, the exploiter has nothing besides the files under test."""
    return []


@dataclass(frozen=True)
class Materials:
    """What an exploiter has besides the files under test.

    Items are dictionaries with ``id``, ``image`` ``(C, *spatial)`` in [0, 1] and ``label`` ``(1, *spatial)``, all on
    the exploiter's grid and with its number of channels. They are read on demand.

    Attributes:
        build: builds an untrained network of the exploiter's architecture.
        train: trains a network on items in the ordinary way, in place, and returns it in evaluation mode.
        is_encoder: tells from a parameter's name whether it belongs to the encoder of that architecture.
        eps: largest change of the files under test, as a fraction of the intensity window.
        seed: seed of all random numbers of a defense.
        num_classes: classes, background included.
        device: device of the networks.
        clean: the clean originals of the training cases, under the same ids.
        foreign: clean images of another dataset.
        foreign_protected: the same images under the same ids, which the exploiter has protected with this tool.
    """

    build: Callable[[], torch.nn.Module]
    train: Callable[[torch.nn.Module, Items], torch.nn.Module]
    is_encoder: Callable[[str], bool]
    eps: float = 4 / 255
    seed: int = 0
    num_classes: int = 2
    device: str | torch.device = "cpu"
    clean: Callable[[], Items] = no_items
    foreign: Callable[[], Items] = no_items
    foreign_protected: Callable[[], Items] = no_items


class Defense:
    """Ordinary training. A subclass overrides the hooks where it differs.

    Attributes:
        needs: names of the required :class:`Materials`: ``"clean"``, ``"foreign"``, ``"foreign_protected"``; and
            ``"eps"``, on which trainings on clean files depend then, too.

    Raises:
        ValueError: If a subclass is created with an argument that is out of range.
    """

    needs: frozenset[str] = frozenset()

    @property
    def finishes(self) -> bool:
        """Whether the exploiter uses another network than that of the last epoch, so earlier ones say nothing."""
        return type(self).finish is not Defense.finish

    def grid(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the grid to train and test on instead of ``size``."""
        return tuple(size)

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        """Filter an image ``(C, *spatial)`` in [0, 1], for training and testing."""
        return image

    def prepare(self, items: Items, materials: Materials) -> Items:
        """Return changed training items, once before training; the input must not be changed."""
        return items

    def augmentation(self, materials: Materials) -> list[Transform]:
        """Return MONAI dictionary transforms of ``image`` and ``label``, applied to every item in every epoch."""
        return []

    def start(self, network: torch.nn.Module, materials: Materials) -> None:
        """Set or freeze weights of the network before training."""

    def epochs(self, epochs: int) -> int:
        """How long to train instead of the recipe's epochs."""
        return epochs

    def batch(
        self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Change a training batch.

        Args:
            image: ``(B, C, *spatial)`` in [0, 1].
            label: float, ``(B, 1, *spatial)`` for two classes, ``(B, classes, *spatial)`` for more. Values between 0
                and 1 are soft labels.
            objective: loss of every case, ``(B,)``, of the current network in evaluation mode, differentiable in the
                image.
            generator: random generator on the CPU.
        """
        return image, label

    def prediction(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Change the logits that the training loss gets, which have the shape of ``label`` in :meth:`batch`."""
        return logits

    def attach(self, trainer: Engine, network: torch.nn.Module, materials: Materials) -> None:
        """Add handlers to the training engine."""

    def finish(self, network: torch.nn.Module, materials: Materials) -> None:
        """Change the trained network in place."""


@dataclass(frozen=True)
class Longer(Defense):
    """Ordinary training of several times the recipe's epochs.

    Args:
        factor: how many times, at least 1.

    Raises:
        ValueError: If ``factor`` is out of range.
    """

    factor: int = 4

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise ValueError(f"factor is {self.factor}; it must be at least 1.")

    def epochs(self, epochs: int) -> int:
        return self.factor * epochs


class Composed(Defense):
    """Several defenses, applied in their order at every hook."""

    def __init__(self, defenses: Sequence[Defense]) -> None:
        self.defenses = list(defenses)
        self.needs = frozenset().union(*(defense.needs for defense in defenses))

    @property
    def finishes(self) -> bool:
        return any(defense.finishes for defense in self.defenses)

    def grid(self, size: Sequence[int]) -> tuple[int, ...]:
        for defense in self.defenses:
            size = defense.grid(size)
        return tuple(size)

    def preprocess(self, image: torch.Tensor) -> torch.Tensor:
        for defense in self.defenses:
            image = defense.preprocess(image)
        return image

    def prepare(self, items: Items, materials: Materials) -> Items:
        for defense in self.defenses:
            items = defense.prepare(items, materials)
        return items

    def augmentation(self, materials: Materials) -> list[Transform]:
        return [transform for defense in self.defenses for transform in defense.augmentation(materials)]

    def start(self, network: torch.nn.Module, materials: Materials) -> None:
        for defense in self.defenses:
            defense.start(network, materials)

    def epochs(self, epochs: int) -> int:
        for defense in self.defenses:
            epochs = defense.epochs(epochs)
        return epochs

    def batch(
        self, image: torch.Tensor, label: torch.Tensor, objective: Objective, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        for defense in self.defenses:
            image, label = defense.batch(image, label, objective, generator)
        return image, label

    def prediction(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        for defense in self.defenses:
            logits = defense.prediction(logits, label)
        return logits

    def attach(self, trainer: Engine, network: torch.nn.Module, materials: Materials) -> None:
        for defense in self.defenses:
            defense.attach(trainer, network, materials)

    def finish(self, network: torch.nn.Module, materials: Materials) -> None:
        for defense in self.defenses:
            defense.finish(network, materials)
