"""Fitted protectors on disk: one file that holds weights and settings, and loads without unpickling code."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from .networks import UMedPerturbator
from .protectors import UMed

FORMAT_VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says why and what to do."""


def save_protector(path: str | Path, protector: UMed, record: dict[str, Any] | None = None) -> Path:
    """Write a fitted protector, all at once or not at all.

    The generators' weights lie under ``model``, where MONAI's bundle commands look for them (``--key_in_ckpt model``).

    Args:
        path: target file; its folder is made if needed.
        protector: the fitted protector.
        record: where it comes from (seed, dataset, epochs): text, numbers, lists and dictionaries of them.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT_VERSION,
        "model": {name: value.detach().cpu() for name, value in protector.perturbator.state_dict().items()},
        "network": protector.perturbator.settings(),
        "protector": protector.settings(),
        "record": record or {},
    }
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def load_protector(path: str | Path, device: str | torch.device = "cpu", slice_axis: int | None = None) -> UMed:
    """Read a fitted protector, ready to use (evaluation mode, no gradients).

    Args:
        path: file that :func:`save_protector` wrote.
        device: where the generators run.
        slice_axis: axis along which a protector for images takes volumes apart; None for what it was fitted with.

    Raises:
        CheckpointError: if the file is missing, damaged, of a newer format, not a protector, or not one for slices
            although ``slice_axis`` is given.
    """
    path = Path(path)
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"No checkpoint at {path}; fit one with the bundle's train.json first.") from error
    except Exception as error:
        raise CheckpointError(
            f"{path.name} cannot be read as a checkpoint ({type(error).__name__}); it is damaged or holds more than "
            "weights and plain settings. Fit again or fetch the file again."
        ) from error
    if not isinstance(content, dict) or not {"format", "model", "network", "protector"} <= content.keys():
        raise CheckpointError(
            f"{path.name} is no fitted protector: it lacks the settings beside the weights. Use the perturbator.pt "
            "that train.json wrote."
        )
    if not isinstance(content["format"], int) or content["format"] > FORMAT_VERSION:
        raise CheckpointError(
            f"{path.name} has format {content['format']}, this version reads up to {FORMAT_VERSION}; update monai_umed."
        )
    try:
        perturbator = UMedPerturbator(**content["network"])
        settings = content["protector"] if slice_axis is None else {**content["protector"], "slice_axis": slice_axis}
        protector = UMed(perturbator, **settings)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} holds settings that are none ({error}); update monai_umed or fit again."
        ) from error
    try:
        perturbator.load_state_dict(content["model"])
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path.name} holds weights that do not fit its own settings; fit again.") from error
    perturbator.to(device).eval().requires_grad_(False)
    return protector
