"""Error minimization alternates between steps of the surrogate on protected images and turns of the noise."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys as Keys

from ..defenses import Defense
from .base import Needs
from .surrogate import SurrogateProtector, check_counts


def _classes(channels: torch.Tensor, threshold: float) -> torch.Tensor:
    return channels[:, 0] > threshold if channels.shape[1] == 1 else channels.argmax(dim=1)


class Turns:
    """A MONAI handler that gives the noise a turn after every few steps of the surrogate.

    It ends the training after the last turn, or after the first one before which the surrogate had learned the
    protected images, measured by the Dice similarity of the foreground pooled over the steps since the previous turn;
    background would dominate the pixel error.

    Args:
        turn: improves the noise, given the surrogate in evaluation mode.
        rounds: largest number of turns.
        steps: steps of the surrogate before each turn.
        stop: Dice similarity at which the surrogate has learned the images.
    """

    def __init__(self, turn: Callable[[torch.nn.Module], None], rounds: int, steps: int, stop: float) -> None:
        self.turn = turn
        self.rounds = rounds
        self.steps = steps
        self.stop = stop
        self._done = 0
        self._hits = self._sizes = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.steps), self._turn)

    def _count(self, engine: Engine) -> None:
        output = cast(dict, engine.state.output)
        found, true = _classes(output[Keys.PRED].detach(), 0), _classes(output[Keys.LABEL], 0.5)
        self._hits += int(((found == true) & (true > 0)).sum())
        self._sizes += int((found > 0).sum() + (true > 0).sum())

    def _turn(self, engine: Engine) -> None:
        network = cast(Any, engine).network
        network.eval().requires_grad_(False)  # the trainer switches back to training before its own step
        self.turn(network)
        network.requires_grad_(True)
        self._done += 1
        if self._done >= self.rounds or 2 * self._hits >= self.stop * max(1, self._sizes):
            engine.terminate()
        self._hits = self._sizes = 0


class AlternatingProtector(SurrogateProtector, ABC):
    """A method whose noise and whose surrogate are optimized in turn.

    Args:
        rounds: largest number of turns of the noise.
        surrogate_steps: steps of the surrogate before each turn.
        stop: see :class:`Turns`; a number above 1 never stops early.
        options: see :class:`SurrogateProtector`.
    """

    needs: ClassVar[Needs] = Needs.fit
    passes: int = 1
    """Passes of a turn over the training set."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        rounds: int = 12,
        surrogate_steps: int = 10,
        stop: float = 0.99,
        **options: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        check_counts(rounds=rounds, surrogate_steps=surrogate_steps)
        if not stop > 0:
            raise ValueError(f"stop is {stop}; it must be a Dice similarity above 0, or above 1 for never.")
        self.rounds = rounds
        self.surrogate_steps = surrogate_steps
        self.stop = stop

    @abstractmethod
    def begin(self, items: list[dict]) -> None:
        """Initialize the noise for the items of :meth:`on_grid`, in which parts of it may be stored."""

    @abstractmethod
    def turn(self, network: torch.nn.Module, batch: list[dict]) -> None:
        """Improve the noise against the surrogate, which is in evaluation mode, with a batch of the items."""

    @abstractmethod
    def show(self, batch: list[dict]) -> torch.Tensor:
        """Return the batch with the current noise, ``(B, C, *size)``."""

    def finish(self, items: list[dict]) -> None:
        """Keep what :meth:`raw` needs of the noise; called once, after the last turn."""

    def training(self) -> Defense | None:
        """Return what is added to the ordinary training of the surrogate, if anything."""
        return None

    def fit(self, items: Sequence[dict], progress: bool = True) -> None:
        """Optimize the noise; items and errors are those of :meth:`on_grid`."""
        prepared = self.on_grid(items)
        self.begin(prepared)
        shown = self.surrogate_items(prepared)
        self._show(prepared, shown)

        def turn(network: torch.nn.Module) -> None:
            for _ in range(self.passes):
                for batch in self.batches(prepared):
                    self.turn(network, batch)
            self._show(prepared, shown)

        epochs = math.ceil(self.rounds * self.surrogate_steps / math.ceil(len(shown) / self.batch_size))
        turns = Turns(turn, self.rounds, self.surrogate_steps, self.stop)
        self.train_surrogate(shown, epochs, progress, self.training(), [turns])
        self.finish(prepared)

    @torch.no_grad()
    def _show(self, items: list[dict], shown: list[dict]) -> None:
        images = (image for batch in self.batches(items) for image in self.show(batch).cpu())
        for entry, image in zip(shown, images, strict=True):
            entry["image"] = image
