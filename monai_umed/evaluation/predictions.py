"""Pictures of what networks make of test images: one PNG of class numbers per case."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
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


def draw_predictions(items: Sequence[dict], maps: Sequence[torch.Tensor]) -> dict[str, bytes]:
    """An 8-bit PNG of class numbers per item by its id; of volumes the slice with most of the label.

    Args:
        items: test cases.
        maps: class maps ``(1, *spatial)``.
    """
    pictures = {}
    for item, predicted in zip(items, maps, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(flat(predicted, item["label"])[0].numpy()).save(buffer, format="png")
        pictures[item["id"]] = buffer.getvalue()
    return pictures


def save_predictions(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Write pictures as ``ID.png`` to a folder, which is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for id, picture in pictures.items():
        write_atomically(folder / f"{id}.png", picture)


def read_prediction(folder: Path, id: str) -> np.ndarray:
    """Class numbers ``(H, W)``, as :func:`save_predictions` wrote them."""
    with Image.open(folder / f"{id}.png") as image:
        return np.asarray(image)
