"""A fit that was interrupted ends with the very weights of one that was not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from small_fit import STEPS, different, small_trainer, snapshot

from monai_umed.fitting.resume import make_resumable
from monai_umed.fitting.umed_trainer import UMedTrainer
from monai_umed.training.handlers import TrainingProgress

Weights = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]


class StoppedError(Exception):
    """Stands for whatever ends a process in the middle of a fit."""


def weights(trainer: UMedTrainer) -> Weights:
    return snapshot(trainer.network), snapshot(trainer.perturbator)


def assert_equal(found: Weights, expected: Weights) -> None:
    for network, other in zip(found, expected, strict=True):
        assert not different(network, other)


@pytest.fixture(scope="module")
def uninterrupted() -> Weights:
    trainer = small_trainer()
    trainer.run()
    return weights(trainer)


def raise_stopped() -> None:
    raise StoppedError


def run_until(folder: Path, step: int, how: str) -> None:
    """Run a resumable fit and end it after a step, counted from 1 over all epochs."""
    trainer = small_trainer()
    make_resumable(trainer, folder)
    stop: Callable = raise_stopped if how == "exception" else trainer.terminate
    # The end of an epoch comes after the checkpoint handler's turn, the end of a step before it.
    if step % STEPS == 0:
        trainer.add_event_handler(Events.EPOCH_COMPLETED(once=step // STEPS), stop)
    else:
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=step), stop)
    if how == "exception":
        with pytest.raises(StoppedError):
            trainer.run()
    else:
        trainer.run()
    assert trainer.state.iteration == step


def resume(folder: Path) -> tuple[UMedTrainer, list[int]]:
    trainer = small_trainer()
    make_resumable(trainer, folder)
    epochs: list[int] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: epochs.append(engine.state.epoch))
    trainer.run()
    return trainer, epochs


@pytest.mark.parametrize("how", ["terminate", "exception"])
@pytest.mark.parametrize("epoch", [1, 4, 5], ids=["warm-up", "generator", "surrogate"])
def test_a_fit_stopped_between_epochs_ends_bit_identical(
    tmp_path: Path, uninterrupted: Weights, epoch: int, how: str
) -> None:
    run_until(tmp_path, epoch * STEPS, how)
    trainer, epochs = resume(tmp_path)
    assert epochs == list(range(epoch + 1, 7))
    assert_equal(weights(trainer), uninterrupted)


@pytest.mark.parametrize("how", ["terminate", "exception"])
@pytest.mark.parametrize("epoch", [1, 2, 3, 5], ids=["first", "warm-up", "generator", "surrogate"])
def test_a_fit_stopped_within_an_epoch_repeats_that_epoch_and_ends_bit_identical(
    tmp_path: Path, uninterrupted: Weights, epoch: int, how: str
) -> None:
    run_until(tmp_path, (epoch - 1) * STEPS + 2, how)
    trainer, epochs = resume(tmp_path)
    assert epochs == list(range(epoch, 7))
    assert_equal(weights(trainer), uninterrupted)


def test_a_fit_stopped_twice_ends_bit_identical(tmp_path: Path, uninterrupted: Weights) -> None:
    run_until(tmp_path, 2 * STEPS + 1, "exception")
    run_until(tmp_path, 4 * STEPS + 2, "exception")
    trainer, epochs = resume(tmp_path)
    assert epochs == [5, 6]
    assert_equal(weights(trainer), uninterrupted)


def test_a_finished_fit_is_loaded_and_not_trained_again(tmp_path: Path, uninterrupted: Weights) -> None:
    resume(tmp_path)
    [checkpoint] = tmp_path.iterdir()
    content = checkpoint.read_bytes()
    trainer, epochs = resume(tmp_path)
    assert epochs == []
    assert_equal(weights(trainer), uninterrupted)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [content]


def test_the_bar_of_a_resumed_fit_starts_where_the_fit_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_until(tmp_path, 4 * STEPS, "exception")
    trainer = small_trainer(train_handlers=[TrainingProgress("fit")])  # as train.json does, before make_resumable
    make_resumable(trainer, tmp_path)
    trainer.run()
    bar = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert "100%" in bar and f"{6 * STEPS}/{6 * STEPS}" in bar
