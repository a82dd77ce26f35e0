"""The progress bar reports; it never changes what an engine does."""

from __future__ import annotations

import pytest
from ignite.engine import Engine, Events
from small_fit import small_trainer

from monai_umed.data.parallel import track
from monai_umed.training import handlers as progress
from monai_umed.training.handlers import TrainingProgress


def test_an_error_inside_a_step_ends_the_run_behind_a_progress_bar_too() -> None:
    trainer = small_trainer(train_handlers=[TrainingProgress("fit")])

    @trainer.on(Events.ITERATION_COMPLETED)
    def fail(engine: Engine) -> None:
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        trainer.run()


@pytest.mark.parametrize("decollate", [False, True])
def test_the_bar_counts_every_step_and_shows_the_loss(decollate: bool, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = small_trainer(train_handlers=[TrainingProgress("fit")], decollate=decollate)
    steps = trainer.state.max_epochs * trainer.state.epoch_length
    trainer.run()
    shown = capsys.readouterr().err
    assert f"{steps}/{steps}" in shown
    assert "loss=" in shown


def test_without_a_bar_tqdm_and_its_lock_stay_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "tqdm", None)
    assert list(track(iter("abc"), 3, title="protect", disable=True)) == ["a", "b", "c"]
    trainer = small_trainer(train_handlers=[TrainingProgress("fit", disable=True)])
    trainer.run()
    assert trainer.state.iteration == trainer.state.max_epochs * trainer.state.epoch_length
