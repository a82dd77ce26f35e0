"""Weights that carry their settings: to MONAI a plain state dictionary, to this package a whole fitted protector.

PyTorch keeps versions of modules beside the tensors of a state dictionary, in its ``_metadata``, and stores them with
it. Settings lie there under a name that no module has, where nothing that loads a state dictionary looks.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch

_METADATA = "_metadata"
_NAME = "monai_umed settings"


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
