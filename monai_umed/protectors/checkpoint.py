"""Fitted protectors on disk: one file that holds weights and settings, and loads without unpickling code.

The file of a bundle, which MONAI loads as a plain state dictionary, carries the settings where nothing that loads one
looks: in the dictionary's ``_metadata``, where PyTorch keeps versions of modules, under a name that no module has.
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
"""1 holds a UMed protector, whose network's settings lie under ``network``; 2 holds any, by the name of its method."""


CHECKPOINT = "protector.pt"
"""Name of the fitted protector in the folder of its fit."""
OLD_CHECKPOINT = "perturbator.pt"
"""What version 0.1 called it, whatever the protector."""
_METADATA = "_metadata"
_NAME = "monai_umed settings"


def find_checkpoint(folder: str | Path) -> Path:
    """The fitted protector in the folder of a fit: under the name that it has now, else under that of version 0.1.

    Where there is neither, it is the path that a fit will write.
    """
    old = Path(folder) / OLD_CHECKPOINT
    new = Path(folder) / CHECKPOINT
    return old if old.is_file() and not new.is_file() else new


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says why and what to do."""


def _on_cpu(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, torch.Tensor) else value


def save_protector(path: str | Path, protector: Protector, record: dict[str, Any] | None = None) -> Path:
    """Write a fitted protector, all at once or not at all; nobody but its owner can read the file.

    What was fitted lies under ``model``, where MONAI's bundle commands look for weights (``--key_in_ckpt model``).

    Args:
        path: target file; its folder is made if needed.
        protector: the fitted protector, of a method in :data:`monai_umed.protectors.PROTECTORS`.
        record: where it comes from (seed, dataset, epochs): text, numbers, lists and dictionaries of them.

    Raises:
        ValueError: if it is not fitted, or its method has no name.
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
    """Content of format 1 as format 2 writes it."""
    if content["format"] != 1:
        return content
    return {**content, "method": "umed", "protector": {**content["protector"], "perturbator": content["network"]}}


def load_protector(path: str | Path, device: str | torch.device = "cpu", *, slice_axis: int | None = None) -> Protector:
    """Read a fitted protector, ready to use (evaluation mode, no gradients).

    Args:
        path: file that :func:`save_protector` wrote, or a bundle's ``models/model.pt``.
        device: where networks run.
        slice_axis: axis along which a protector for images takes volumes apart; None for what it was fitted with.

    Raises:
        CheckpointError: if the file is missing, damaged, of a newer format, not a protector, or not one for slices
            although ``slice_axis`` is given.

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
        raise CheckpointError(
            f"{path.name} holds settings that are none ({error}); update monai_umed or fit again."
        ) from error
    try:
        protector.load_state(content["model"])
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} holds weights that do not fit its own settings; fit again.") from error
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
            f"{path.name} cannot be read as a checkpoint ({type(error).__name__}); it is damaged or holds more than "
            "weights and plain settings. Fit again or fetch the file again."
        ) from error
    known = isinstance(content, dict) and {"format", "model", "protector"} <= content.keys()
    if not known or not {"method", "network"} & content.keys():
        raise CheckpointError(
            f"{path.name} is no fitted protector: it lacks the settings beside the weights. Use the protector.pt "
            "that train.json wrote."
        )
    if not isinstance(content["format"], int) or content["format"] > FORMAT_VERSION:
        raise CheckpointError(
            f"{path.name} has format {content['format']}, this version reads up to {FORMAT_VERSION}; update monai_umed."
        )
    return cast(dict[str, Any], content)


def attach_settings(content: dict[str, Any]) -> OrderedDict[str, torch.Tensor]:
    """A state dictionary from the content of a checkpoint.

    Args:
        content: weights by name under ``model``; everything else must be plain values.

    Returns:
        The weights alone, which any network of that kind loads, with everything else out of sight.
    """
    weights = OrderedDict(content["model"])
    setattr(weights, _METADATA, {_NAME: {name: value for name, value in content.items() if name != "model"}})
    return weights


def detach_settings(loaded: Any) -> Any:
    """The content of a checkpoint from what :func:`attach_settings` made; anything else comes back as it is."""
    settings = getattr(loaded, _METADATA, {}).get(_NAME)
    return loaded if settings is None else {**settings, "model": dict(loaded)}
