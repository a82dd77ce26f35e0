"""How far a matrix of trainings has come: a bar over trainings and their steps, and how long all of them take."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from time import monotonic

from ignite.engine import Engine, Events
from tqdm import tqdm


def duration(seconds: float) -> str:
    """Seconds in the unit that people would use: ``"40 s"``, ``"25 min"``, ``"3.5 h"``, ``"2.1 days"``."""
    for limit, size, unit, digits in ((120, 1, "s", 0), (7200, 60, "min", 0), (172_800, 3600, "h", 1)):
        if seconds < limit:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds / 86_400:.1f} days"


@dataclass
class Estimate:
    """Says at its start how many trainings a run is and, after the first one, how long all of them take.

    Attributes:
        trainings: how many are still to be done.
        at_once: how many run at the same time.
        more: what else the run does, for the first line.
        at_most: whether some of them may turn out not to be needed.
        lines: how many of both lines were printed.
    """

    trainings: int
    at_once: int
    more: str = ""
    at_most: bool = False
    lines: int = 0

    def begin(self) -> None:
        """Print the first line, once."""
        if self.lines == 0:
            number = f"at most {self.trainings}" if self.at_most else f"{self.trainings}"
            print(f"Trainings to run: {number}, {self.at_once} at a time{self.more}.", flush=True)
            self.lines = 1

    def end_one(self, seconds: float) -> None:
        """Print the second line, once: how long all trainings take if the others take as long as this one."""
        if self.lines == 1:
            whole = seconds * -(-self.trainings // self.at_once)
            # A bar is moved out of the way.
            all_of_them = "all of them would" if self.at_most else "all of them"
            tqdm.write(f"The first training took {duration(seconds)}; {all_of_them} take about {duration(whole)}.")
            self.lines = 2


class StepCounter:
    """A MONAI handler that notes the step of a training and the number of its steps where another process reads them.

    Args:
        steps: two numbers per training: steps done, and steps in all.
        index: number of the training.
        seen: called after every step.
    """

    def __init__(self, steps: MutableSequence[int], index: int, seen: Callable[[], None] | None = None) -> None:
        self.steps = steps
        self.index = index
        self.seen = seen

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)

    def _start(self, engine: Engine) -> None:
        self.steps[2 * self.index + 1] = (engine.state.epoch_length or 0) * (engine.state.max_epochs or 0)

    def _advance(self, engine: Engine) -> None:
        self.steps[2 * self.index] = engine.state.iteration
        if self.seen is not None:
            self.seen()


class MatrixBar:
    """One bar over all trainings of a matrix, in which those that run count by their steps.

    Args:
        title: of the bar.
        steps: as in :class:`StepCounter`, of all trainings of the matrix.
        estimate: of the run that the matrix belongs to.
        hidden: whether to show no bar.
    """

    def __init__(self, title: str, steps: MutableSequence[int], estimate: Estimate, *, hidden: bool) -> None:
        estimate.begin()
        self.title = title
        self.steps = steps
        self.estimate = estimate
        self._ended: set[int] = set()
        self._begin = monotonic()
        look = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
        # Without smoothing, the time left follows from the mean, as trainings differ.
        self._bar = tqdm(total=len(steps) // 2, mininterval=1, miniters=0, smoothing=0, bar_format=look, disable=hidden)
        self.show()

    def show(self) -> None:
        """Bring the bar up to date."""
        pairs = enumerate(zip(self.steps[::2], self.steps[1::2], strict=True))
        running = [pair for index, pair in pairs if index not in self._ended and pair[1]]
        text = f"{self.title}, {len(self._ended)} of {len(self.steps) // 2} trainings"
        if running:
            step, steps = (sum(numbers) for numbers in zip(*running, strict=True))
            text += f", step {step} of {steps}" + (f" in {len(running)}" if len(running) > 1 else "")
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(len(self._ended) + sum(step / steps for step, steps in running) - self._bar.n)

    def end(self, index: int) -> None:
        """Count a training as ended."""
        self._ended.add(index)
        if self.steps[2 * index + 1]:  # networks that are not trained take no time
            self.estimate.end_one(monotonic() - self._begin)
        self.show()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.refresh()
        self._bar.close()
