"""The figure of a training as the mean of its last epochs, because a single one may be off by a tenth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from statistics import mean

import torch
from ignite.engine import Engine, Events

from ..training.metrics import Scores

EPOCHS = 3


class LastEpochs:
    """A handler that scores a network at the end of each of the last epochs of its training.

    Args:
        test: scores a network that is in evaluation mode.

    Attributes:
        scores: of those epochs, the last one last; fewer than :data:`EPOCHS` if the training is shorter.
    """

    def __init__(self, test: Callable[[torch.nn.Module], Scores]) -> None:
        self.test = test
        self.scores: list[Scores] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._score)

    def _score(self, engine: Engine) -> None:
        if engine.state.epoch > (engine.state.max_epochs or 0) - EPOCHS:
            with torch.random.fork_rng():  # data loaders draw a seed each time that they are gone through
                self.scores.append(self.test(engine.network.eval()))  # type: ignore[attr-defined]

    def mean(self) -> Scores:
        """The mean of every measure."""
        names = [field.name for field in fields(Scores) if field.name != "cases"]
        means = {name: mean(getattr(scores, name) for scores in self.scores) for name in names}
        return replace(self.scores[-1], **means)
