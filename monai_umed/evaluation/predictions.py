"""Pictures of what networks make of test images: one PNG of class numbers per case."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..io.atomic import write_atomically


def shown_slice(label: torch.Tensor) -> int:
    """The slice of a volume's label ``(1, H, W, D)`` that shows most foreground."""
    return int((label > 0.5).sum(dim=(0, 1, 2)).argmax())


def flat(array: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """``(C, H, W)`` of an image or a class map: itself, or of a volume the slice with most of its label."""
    return array if array.ndim == 3 else array[..., shown_slice(label)]


def save_predictions(folder: Path, items: Sequence[dict], maps: Sequence[torch.Tensor]) -> None:
    """Write one 8-bit PNG of class numbers per item, ``ID.png``; of volumes the slice with most of the label.

    Args:
        folder: made if needed.
        items: test cases.
        maps: class maps ``(1, *spatial)``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for item, predicted in zip(items, maps, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(flat(predicted, item["label"])[0].numpy()).save(buffer, format="png")
        write_atomically(folder / f"{item['id']}.png", buffer.getvalue())


def read_prediction(folder: Path, id: str) -> np.ndarray:
    """Class numbers ``(H, W)``, as :func:`save_predictions` wrote them."""
    with Image.open(folder / f"{id}.png") as image:
        return np.asarray(image)
