"""Pictures for the report: files before and after, and predictions for clean test images."""

from __future__ import annotations

from ...data.codec import read_image
from ...io.display import gray_levels
from ..folders import Folders, pair_cases
from ..predictions import flat, read_prediction, shown_slice
from ..results import Comparison
from .report_pictures import BeforeAfter, Pictures, Prediction

COUNT = 4


def _evenly(ids: tuple[str, ...]) -> list[str]:
    """Return a few ids, evenly spaced over the whole list, so that nobody chooses them."""
    return [ids[k * len(ids) // COUNT] for k in range(COUNT)] if len(ids) > COUNT else list(ids)


def before_and_after(comparison: Comparison) -> list[BeforeAfter]:
    """Return originals and their protected copies at native size."""
    cases = pair_cases(comparison.files)
    pairs = []
    for id in _evenly(comparison.facts.ids):
        before = read_image(cases[id][0].image, comparison.files.intensity_window)
        after = read_image(cases[id][1].image)
        middle = before.color.shape[-1] // 2
        seen = (image.in_window(before.intensity_window).scaled() for image in (before, after))
        shown = (gray_levels(image, (0.0, 1.0), middle) for image in seen)
        pairs.append(BeforeAfter(id, *shown))
    return pairs


def predictions(comparison: Comparison) -> list[Prediction]:
    """Return predictions of the first exploiter for a few clean test images, trained on either kind of files."""
    exploiter = comparison.matrix.exploiters[0]
    results = [comparison.first_result(exploiter, data) for data in ("clean", "protected")]
    dice = [result.case_dice or {} for result in results if result is not None]
    if len(dice) < 2:
        return []
    tests = Folders(comparison.files, comparison.facts, grid=comparison.files.grid).test()
    items = {item["id"]: item for item in tests}
    folder = comparison.output_dir / "predictions" / exploiter
    found = []
    for id in _evenly(tuple(id for id in comparison.facts.test_ids if id in items)):
        item = items[id]
        image = flat(item["image"], item["label"]).numpy()
        truth = flat(item["label"], item["label"])[0].numpy() > 0.5
        clean, protected = (read_prediction(folder / data, id) > 0 for data in ("clean", "protected"))
        shown = gray_levels(image, (0.0, 1.0), shown_slice(item["label"]) if image.ndim == 4 else 0)
        found.append(Prediction(id, shown, truth, clean, protected, dice[0][id], dice[1][id]))
    return found


def collect_pictures(comparison: Comparison) -> Pictures:
    """Return all pictures of an audit."""
    return Pictures(before_after=before_and_after(comparison), predictions=predictions(comparison))
