"""Handlers of MONAI's engines that report on a training while it runs."""

from __future__ import annotations

from typing import Any, cast

import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys as Keys
from tqdm import tqdm


class TrainingProgress:
    """A MONAI handler that shows one progress bar over all epochs, with the last loss and the time left.

    Args:
        title: what is being trained.
        disable: True for no bar.
    """

    def __init__(self, title: str, disable: bool = False) -> None:
        self.title = title
        self.disable = disable

    def attach(self, engine: Engine) -> None:
        if not self.disable:
            engine.add_event_handler(Events.STARTED, self._start)

    def _start(self, engine: Engine) -> None:
        length = engine.state.epoch_length or 0
        bar = tqdm(
            total=length * (engine.state.max_epochs or 0),
            desc=self.title,
            unit="step",
            mininterval=1,
        )
        update = engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance, bar)

        def close(engine: Engine) -> None:
            update.remove()
            bar.close()

        def close_and_raise(engine: Engine, error: Exception) -> None:
            bar.close()
            raise error  # ignite considers an error handled once a handler was called for it

        engine.add_event_handler(Events.COMPLETED, close)
        engine.add_event_handler(Events.TERMINATE, close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, close_and_raise)

    @staticmethod
    def _advance(engine: Engine, bar: tqdm) -> None:
        if bar.n == 0:  # a resumed training, whose checkpoint may be loaded after this handler starts
            bar.initial = bar.n = engine.state.iteration - 1
        bar.update()
        if engine.state.iteration % 10 == 0:
            output = cast(Any, engine.state.output)  # a dictionary, or a list of them if the engine decollates
            loss = torch.as_tensor((output[0] if isinstance(output, list) else output)[Keys.LOSS])
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
