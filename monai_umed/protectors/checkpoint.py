"""Save and load fitted protectors: one file with weights and settings, which is loaded without unpickling code.

A bundle's file is a state dictionary that MONAI can load. It has the settings in its ``_metadata``, where PyTorch keeps
versions of modules, under a name that no module has.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

import torch

from ..io.atomic import write_atomically
from . import Protector, method_name, protector_class

FORMAT_VERSION = 2
"""Format 1 is a UMed protector with its network's settings under ``network``; 2 is any, with the name of its method."""


CHECKPOINT = "protector.pt"
"""Name of the fitted protector in the folder of its fit."""
OLD_CHECKPOINT = "perturbator.pt"
"""The name of this file in version 0.1."""
_METADATA = "_metadata"
_NAME = "monai_umed settings"


def find_checkpoint(folder: str | Path) -> Path:
    """Return the path of the protector in the folder of a fit: the present name, unless only the old one exists."""
    old = Path(folder) / OLD_CHECKPOINT
    new = Path(folder) / CHECKPOINT
    return old if old.is_file() and not new.is_file() else new


class CheckpointError(ValueError):
    """A checkpoint cannot be used. The message has the reason and the cure."""


def _on_cpu(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, torch.Tensor) else value


def save_protector(path: str | Path, protector: Protector, record: dict[str, Any] | None = None) -> Path:
    """Write a fitted protector atomically to a file that only its owner can read.

    Its state is under ``model``, where MONAI's bundle commands look for weights (``--key_in_ckpt model``).

    Args:
        path: target file, whose folder is created if needed.
        protector: fitted protector of a method in :data:`monai_umed.protectors.PROTECTORS`.
        record: its provenance (seed, dataset, epochs): text, numbers, lists and dictionaries of them.

    Raises:
        ValueError: If the protector is not fitted, or its method is not in the table.
    """
    if not protector.fitted:
        raise ValueError(f"{protector!r} is not fitted, so there is nothing to save; call fit() first.")
    path, method = Path(path), method_name(type(protector))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT_VERSION,
        "method": method,
        "model": {name: _on_cpu(value) for name, value in protector.state().items()},
        "protector": protector.settings(),
        "record": record or {},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue(), private=True)
    return path


def _upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Convert content of format 1 to format 2."""
    if content["format"] != 1:
        return content
    return {**content, "method": "umed", "protector": {**content["protector"], "perturbator": content["network"]}}


def load_protector(path: str | Path, device: str | torch.device = "cpu", *, slice_axis: int | None = None) -> Protector:
    """Load a fitted protector, ready to use (evaluation mode, no gradients).

    Args:
        path: file that :func:`save_protector` wrote, or a bundle's ``models/model.pt``.
        device: where networks run.
        slice_axis: axis along which a 2D protector protects volumes slice by slice; None for that of its fit.

    Raises:
        CheckpointError: If the file is missing, damaged, of a newer format or not a protector, or if ``slice_axis``
            does not fit the protector.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> done = mu.fit(data, work / "fit", preset="stamp", quick_check=False, progress=False)
        Protected 4 cases ...
        >>> mu.load_protector(done.checkpoint).protects_new_images
        True
    """
    path = Path(path)
    content = _read(path, device)
    try:
        content = _upgrade(content)
        settings = content["protector"] if slice_axis is None else {**content["protector"], "slice_axis": slice_axis}
        protector = protector_class(content["method"]).from_settings(settings)
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} has invalid settings ({error}); update monai_umed or fit again.") from error
    try:
        protector.load_state(content["model"])
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} has weights that do not fit its own settings; fit again.") from error
    return protector


def read_record(path: str | Path) -> dict[str, Any]:
    """Where a fitted protector comes from, as :func:`save_protector` was told; errors as :func:`load_protector`."""
    return dict(_read(Path(path), "cpu").get("record") or {})


def _read(path: Path, device: str | torch.device) -> dict[str, Any]:
    """The content of a checkpoint, whose format is one that this version knows."""
    try:
        content = detach_settings(torch.load(path, map_location=device, weights_only=True))
    except FileNotFoundError as error:
        raise CheckpointError(f"No checkpoint at {path}; fit one with the bundle's train.json first.") from error
    except Exception as error:
        raise CheckpointError(
            f"{path.name} cannot be read as a checkpoint ({type(error).__name__}); it is damaged or contains more than "
            "weights and plain settings. Fit again or fetch the file again."
        ) from error
    known = isinstance(content, dict) and {"format", "model", "protector"} <= content.keys()
    if not known or not {"method", "network"} & content.keys():
        raise CheckpointError(
            f"{path.name} is not a fitted protector: it lacks the settings beside the weights. Use the protector.pt "
            "that train.json wrote."
        )
    if not isinstance(content["format"], int) or content["format"] > FORMAT_VERSION:
        raise CheckpointError(
            f"{path.name} has format {content['format']}, this version reads up to {FORMAT_VERSION}; update monai_umed."
        )
    return cast(dict[str, Any], content)


def attach_settings(content: dict[str, Any]) -> OrderedDict[str, torch.Tensor]:
    """Convert the content of a checkpoint to a state dictionary that any network of that kind can load.

    Args:
        content: weights by name under ``model``; everything else must be plain values.
    """
    weights = OrderedDict(content["model"])
    setattr(weights, _METADATA, {_NAME: {name: value for name, value in content.items() if name != "model"}})
    return weights


def detach_settings(loaded: Any) -> Any:
    """Undo :func:`attach_settings`; return anything else unchanged."""
    settings = getattr(loaded, _METADATA, {}).get(_NAME)
    return loaded if settings is None else {**settings, "model": dict(loaded)}
