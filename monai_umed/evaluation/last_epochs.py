"""The figure of a training as the mean of its last epochs, because a single one may be off by a tenth."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from statistics import mean
from typing import Any, Generic, TypeVar

import torch
from ignite.engine import Engine, Events

from ..training.metrics import Scores

EPOCHS = 3

T = TypeVar("T")


class LastEpochs(Generic[T]):
    """A handler that tests a network at the end of each of the last epochs but one; the last is its caller's to test.

    Args:
        test: gets a copy of the network in evaluation mode.
        finish: what is done to the copy before, as to the network at the end of its training.

    Attributes:
        results: of :data:`EPOCHS` - 1 epochs; of fewer if the training is shorter.
    """

    def __init__(
        self, test: Callable[[torch.nn.Module], T], finish: Callable[[torch.nn.Module], Any] | None = None
    ) -> None:
        self.test = test
        self.finish = finish
        self.results: list[T] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._test)

    def _test(self, engine: Engine) -> None:
        last = engine.state.max_epochs or 0
        if last - EPOCHS < engine.state.epoch < last:
            network = copy.deepcopy(engine.network)  # type: ignore[attr-defined]
            with torch.random.fork_rng():  # data loaders draw a seed each time that they are gone through
                if self.finish is not None:
                    self.finish(network)
                self.results.append(self.test(network.eval()))


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean of every measure."""
    names = [field.name for field in fields(Scores) if field.name != "cases"]
    means = {name: mean(getattr(each, name) for each in scores) for name in names}
    return replace(scores[-1], **means)
