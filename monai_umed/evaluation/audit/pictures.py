"""Pictures for the report: files before and after, and what networks make of clean test images."""

from __future__ import annotations

import numpy as np

from ...data.cases import find_cases
from ...data.codec import read_image
from ..cell import Bench, read_result
from ..folders import Folders
from ..plan import Cell
from ..predictions import flat, read_prediction, shown_slice
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


def before_and_after(bench: Bench) -> list[BeforeAfter]:
    """Originals and their protected copies at native size."""
    audit = bench.audit
    protected = {case.id: case for case in find_cases(audit.protected_dir)}
    clean = {case.id: case for case in find_cases(audit.clean_dir)}
    pairs = []
    for id in _evenly(bench.facts.ids):
        before = read_image(clean[id].image, audit.window)
        after = read_image(protected[id].image)
        middle = before.color.shape[-1] // 2
        shown = (_gray_or_rgb(image.color, before.window, middle) for image in (before, after))
        pairs.append(BeforeAfter(id, *shown))
    return pairs


def predictions(bench: Bench) -> list[Prediction]:
    """What the first exploiter makes of a few clean test images after training on either kind of files."""
    audit = bench.audit
    exploiter, seed = audit.exploiters[0], audit.seeds[0]
    results = {
        data: read_result(bench.result_file(Cell(exploiter, "none", data, seed))) for data in ("clean", "protected")
    }
    if not all(results.values()):
        return []
    items = {item["id"]: item for item in Folders(audit, bench.facts, audit.size).test()}
    folder = bench.output_dir / "predictions" / exploiter
    found = []
    for id in _evenly(tuple(id for id in bench.facts.test_ids if id in items)):
        item = items[id]
        image = flat(item["image"], item["label"]).numpy()
        truth = flat(item["label"], item["label"])[0].numpy() > 0.5
        masks = {data: read_prediction(folder / data, id) > 0 for data in results}
        dice = {data: result["case_dice"][id] for data, result in results.items() if result}
        shown = _gray_or_rgb(image, (0.0, 1.0), shown_slice(item["label"]) if image.ndim == 4 else 0)
        found.append(Prediction(id, shown, truth, masks["clean"], masks["protected"], dice["clean"], dice["protected"]))
    return found


def collect_pictures(bench: Bench) -> Pictures:
    """All pictures of an audit."""
    return Pictures(before_after=before_and_after(bench), predictions=predictions(bench))
