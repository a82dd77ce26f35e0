"""Resume an interrupted fit from a checkpoint that is saved after every epoch."""

from __future__ import annotations

from pathlib import Path

from monai.handlers import CheckpointLoader, CheckpointSaver

from .umed_trainer import UMedTrainer


def make_resumable(trainer: UMedTrainer, folder: str | Path) -> None:
    """Save the whole state of a fit after every epoch, and start from the last state in ``folder``.

    The order of the cases depends on seed and epoch only, so that a resumed fit ends with the weights of one that was
    never interrupted.

    Args:
        trainer: a trainer that has not run yet.
        folder: folder of the checkpoint, of which only the last is kept.
    """
    folder = Path(folder)
    # MONAI writes to a temporary file and renames it, so the newest file is always whole.
    checkpoints = sorted(folder.glob("*.pt"), key=lambda path: path.stat().st_mtime_ns)
    if checkpoints:
        CheckpointLoader(str(checkpoints[-1]), trainer.fit_state(), strict=True).attach(trainer)
    CheckpointSaver(str(folder), trainer.fit_state(), save_interval=1, n_saved=1, epoch_level=True).attach(trainer)
