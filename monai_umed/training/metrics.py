"""How well a network segments clean images: class maps, pixel counts, Dice and Jaccard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.inferers import SliceInferer, SlidingWindowInferer
from monai.utils.enums import CommonKeys as Keys

OVERLAP = 0.25
"""Of windows that slide over volumes, as a share of their sides."""


@dataclass(frozen=True)
class Scores:
    """Overlap of predicted and true foreground on a test set, averaged over the foreground classes.

    Attributes:
        dice, jaccard: over the pixels of all images together.
        dice_per_image, jaccard_per_image: mean over images; an image without foreground in both counts as 1.
        cases: number of test images.
    """

    dice: float
    jaccard: float
    dice_per_image: float
    jaccard_per_image: float
    cases: int


def _dice(both: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    return torch.where(total > 0, 2 * both / total.clamp(min=1), torch.ones_like(total))


def case_dice(intersection: torch.Tensor, predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Compute the mean Dice over classes of every case, ``(cases,)``, from pixel counts ``(cases, classes)``."""
    return _dice(intersection.double(), (predicted + true).double()).mean(1)


def score(intersection: torch.Tensor, predicted: torch.Tensor, true: torch.Tensor) -> Scores:
    """Compute scores from pixel counts of shape ``(cases, classes)``."""

    def dice_and_jaccard(both: torch.Tensor, total: torch.Tensor) -> tuple[float, float]:
        dice = _dice(both, total)
        return dice.mean().item(), (dice / (2 - dice)).mean().item()

    both, total = intersection.double(), (predicted + true).double()
    dice, jaccard = dice_and_jaccard(both.sum(0), total.sum(0))
    dice_per_image, jaccard_per_image = dice_and_jaccard(both, total)
    return Scores(dice, jaccard, dice_per_image, jaccard_per_image, len(both))


def class_map(logits: torch.Tensor) -> torch.Tensor:
    """Return the predicted class of every pixel, uint8 ``(B, 1, *spatial)``.

    Args:
        logits: ``(B, 1, *spatial)`` for two classes (positive is foreground), ``(B, num_classes, *spatial)`` for more.
    """
    if logits.shape[1] == 1:
        return (logits > 0).to(torch.uint8)
    return logits.argmax(dim=1, keepdim=True).to(torch.uint8)


def count_overlap(predicted: torch.Tensor, label: torch.Tensor, num_classes: int = 2) -> torch.Tensor:
    """Count the pixels of intersection, prediction and truth of every case and foreground class.

    Args:
        predicted: class numbers, ``(B, 1, *spatial)``.
        label: true class numbers, the same shape.
        num_classes: classes, background included.

    Returns:
        Counts of shape ``(3, B, num_classes - 1)``.
    """
    classes = torch.arange(1, num_classes, device=label.device).reshape(1, -1, *[1] * (label.ndim - 2))
    found, true = predicted == classes, label.round() == classes
    axes = tuple(range(2, label.ndim))
    return torch.stack([(found & true).sum(axes), found.sum(axes), true.sum(axes)])


def predict(
    network: torch.nn.Module,
    items: Sequence[dict],
    *,
    batch_size: int = 16,
    device: str | torch.device = "cpu",
    roi_size: Sequence[int] | None = None,
    slice_axis: int | None = None,
) -> list[torch.Tensor]:
    """Predict class maps of all items, uint8 ``(1, *spatial)`` on the CPU, computed in float32.

    Args:
        network: trained network.
        items: dictionaries with ``image`` and ``label``, all of one size unless there is a window.
        batch_size: images, or windows, per forward pass.
        device: where to compute.
        roi_size: size of a sliding window in pixels, that of the training, for images of any size. Windows overlap by a
            quarter and their logits are blended.
        slice_axis: with a window, axis along which a 2D network sees volumes slice by slice.
    """
    maps: list[torch.Tensor] = []
    sliding = None
    if roi_size is not None:
        slide = SlidingWindowInferer if slice_axis is None else partial(SliceInferer, slice_axis)
        sliding = slide(tuple(roi_size), batch_size, overlap=OVERLAP, mode="gaussian")
    evaluator = SupervisedEvaluator(
        device=torch.device(device),
        val_data_loader=DataLoader(
            Dataset(list(items)), batch_size=batch_size if roi_size is None else 1, num_workers=0
        ),
        network=network,
        inferer=sliding,
        decollate=False,
    )

    @evaluator.on(Events.ITERATION_COMPLETED)
    def collect(engine: Engine) -> None:
        output = cast(dict, engine.state.output)  # ignite's annotation only allows numbers
        maps.extend(class_map(output[Keys.PRED]).cpu())

    evaluator.run()
    return maps


def count_items(predicted: Sequence[torch.Tensor], items: Sequence[dict], num_classes: int = 2) -> torch.Tensor:
    """Apply :func:`count_overlap` to the class maps of :func:`predict`."""
    counts = [
        count_overlap(found[None], item["label"][None], num_classes)
        for found, item in zip(predicted, items, strict=True)
    ]
    return torch.cat(counts, dim=1)


def evaluate(
    network: torch.nn.Module,
    items: Sequence[dict],
    *,
    num_classes: int = 2,
    batch_size: int = 16,
    device: str | torch.device = "cpu",
    roi_size: Sequence[int] | None = None,
    slice_axis: int | None = None,
) -> Scores:
    """Score a trained network with ``num_classes`` classes, background included; arguments as in :func:`predict`."""
    maps = predict(network, items, batch_size=batch_size, device=device, roi_size=roi_size, slice_axis=slice_axis)
    return score(*count_items(maps, items, num_classes))
