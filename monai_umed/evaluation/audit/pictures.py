"""Pictures for the report: files before and after, and what networks make of clean test images."""

from __future__ import annotations

import numpy as np

from ...data.codec import read_image
from ..folders import Folders, pair_cases
from ..predictions import flat, read_prediction, shown_slice
from ..results import Comparison
from .report_pictures import BeforeAfter, Pictures, Prediction

COUNT = 4


def _gray_or_rgb(color: np.ndarray, window: tuple[float, float], index: int) -> np.ndarray:
    """Stored values ``(C, *spatial)`` as 8-bit ``(H, W)`` or ``(H, W, 3)``; of volumes one slice."""
    color = color if color.ndim == 3 else color[..., index]
    scaled = (color.astype(np.float64) - window[0]) / (window[1] - window[0])
    shown = np.clip(255 * scaled, 0, 255).round().astype(np.uint8)
    return shown[0] if len(shown) != 3 else np.moveaxis(shown, 0, -1)


def _evenly(ids: tuple[str, ...]) -> list[str]:
    """A few ids spread over the whole list: neither the first nor the nicest."""
    return [ids[k * len(ids) // COUNT] for k in range(COUNT)] if len(ids) > COUNT else list(ids)


def before_and_after(comparison: Comparison) -> list[BeforeAfter]:
    """Originals and their protected copies at native size."""
    cases = pair_cases(comparison.files)
    pairs = []
    for id in _evenly(comparison.facts.ids):
        before = read_image(cases[id][0].image, comparison.files.window)
        after = read_image(cases[id][1].image)
        middle = before.color.shape[-1] // 2
        shown = (_gray_or_rgb(image.color, before.window, middle) for image in (before, after))
        pairs.append(BeforeAfter(id, *shown))
    return pairs


def predictions(comparison: Comparison) -> list[Prediction]:
    """What the first exploiter makes of a few clean test images after training on either kind of files."""
    exploiter = comparison.matrix.exploiters[0]
    results = [comparison.first_result(exploiter, data) for data in ("clean", "protected")]
    dice = [result.case_dice or {} for result in results if result is not None]
    if len(dice) < 2:
        return []
    tests = Folders(comparison.files, comparison.facts, size=comparison.files.size).test()
    items = {item["id"]: item for item in tests}
    folder = comparison.output_dir / "predictions" / exploiter
    found = []
    for id in _evenly(tuple(id for id in comparison.facts.test_ids if id in items)):
        item = items[id]
        image = flat(item["image"], item["label"]).numpy()
        truth = flat(item["label"], item["label"])[0].numpy() > 0.5
        clean, protected = (read_prediction(folder / data, id) > 0 for data in ("clean", "protected"))
        shown = _gray_or_rgb(image, (0.0, 1.0), shown_slice(item["label"]) if image.ndim == 4 else 0)
        found.append(Prediction(id, shown, truth, clean, protected, dice[0][id], dice[1][id]))
    return found


def collect_pictures(comparison: Comparison) -> Pictures:
    """All pictures of an audit."""
    return Pictures(before_after=before_and_after(comparison), predictions=predictions(comparison))
