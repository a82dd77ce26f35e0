"""Write a proof as one HTML page that needs neither network nor other files."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ...data.codec import read_image
from ...functional.resampling import resize
from ...io.atomic import write_atomically
from ...io.display import gray_levels
from ...io.stored import CodecError, windows_of
from ..panels import show
from .answers import find_answers, read_answer, stem
from .hardness import correct
from .plan import Plan, Query
from .proof import Proof
from .results import ALPHA, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 6
_INK, _OBSERVED, _BARS = "#7d858f", "#b5381a", "#2f6ea5"
_SIDE, _DPI = 2.2, 96  # inch of a picture, dots per inch


@dataclass(frozen=True)
class Picture:
    """One query with the owner's outline, or a tile's frame, and what the model took for structure.

    Attributes:
        uri: the image itself.
        text: what it shows.
    """

    uri: str
    text: str


def write_report(path: Path, proof: Proof, plan: Plan, results: Results, images: Path, predictions: Path) -> None:
    """Write the page.

    Args:
        path: HTML to write, whole or not at all.
        proof: what is claimed.
        plan: what was asked.
        results: both tests, with re-drawn statistics and decoys.
        images: the queries.
        predictions: the model's answers.

    Raises:
        OSError: If it cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("monai_umed.evaluation.proof", "templates"),
        autoescape=True,  # names come from other people's files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    reserve, key = results.reserve, results.key
    html = environment.get_template("proof.html.j2").render(
        proof=proof,
        plan=plan,
        results=results,
        alpha=ALPHA,
        permutation=None if reserve is None else _histogram(reserve.redrawn, reserve.observed, "re-drawn statistic"),
        decoys=None if key is None else _histogram(key.decoys, key.strength, "answer to a key"),
        cases=[] if reserve is None else _pictures(_strongest_cases(plan, proof), plan, images, predictions),
        tiles=[] if key is None else _pictures(_strongest_tiles(plan, proof), plan, images, predictions),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html.encode())


def _strongest_cases(plan: Plan, proof: Proof) -> list[tuple[Query, str]]:
    """Published cases that are segmented best for how hard they are."""
    kind = next(kind for kind in ("protected", "clean") if np.isfinite(proof.scores.of_kind(plan, kind)).any())
    above = correct(proof.scores.of_kind(plan, kind), plan.features)
    above[plan.held_back] = np.nan
    order = [index for index in np.argsort(-above) if np.isfinite(above[index])][:SHOWN]
    asked = {query.case: query for query in plan.queries if query.kind == kind and query.name in proof.scores.dice}
    return [
        (asked[index], f"{kind}, Dice {proof.scores.dice[asked[index].name]:.2f}, {above[index]:+.2f} for its hardness")
        for index in order
    ]


def _strongest_tiles(plan: Plan, proof: Proof) -> list[tuple[Query, str]]:
    """Images on which the model answers most to the tile of the true key."""
    found = [
        (value, query)
        for query in plan.queries
        for region, value in zip(query.regions, proof.scores.responses.get(query.name, ()), strict=False)
        if region.key == plan.true_key
    ]
    found.sort(key=lambda item: -item[0])
    return [
        (query, f"the framed tile is the true key's: {value:.0%} taken for structure") for value, query in found[:SHOWN]
    ]


def _pictures(chosen: Sequence[tuple[Query, str]], plan: Plan, images: Path, predictions: Path) -> list[Picture]:
    """Draw queries; those whose files are gone are left out, since the proof does not need them."""
    answers, pictures = find_answers(predictions), list[Picture]()
    for query, text in chosen:
        case = plan.cases[query.case]
        try:
            stored = read_image(images / query.name)
            answer = read_answer(answers[stem(query.name)], case.shape, plan.num_classes).values
        except (CodecError, KeyError, OSError):
            continue
        outline = _frame(query, plan) if query.kind == "tiles" else case.label > 0
        slice_ = int(np.argmax(outline.sum(axis=(0, 1)))) if outline.ndim == 3 else 0
        gray = gray_levels(stored.color, windows_of(stored.intensity_window, 1)[0], slice_)
        found = answer.sum(0) > 0.5
        flat = (outline[..., slice_], found[..., slice_]) if outline.ndim == 3 else (outline, found)
        pictures.append(Picture(_draw(gray, *flat), text))
    return pictures


def _frame(query: Query, plan: Plan) -> np.ndarray:
    """Where the true key's tile lies, bool of the image's shape."""
    from .tiles import grid_of

    assert plan.pattern is not None
    shape = plan.cases[query.case].shape
    on_grid = np.zeros(grid_of(shape, plan.pattern), np.float32)
    for region in query.regions:
        if region.key == plan.true_key:
            on_grid[tuple(slice(*ends) for ends in region.box)] = 1
    return resize(torch.from_numpy(on_grid)[None, None], shape)[0, 0].numpy() > 0.5


def _draw(gray: np.ndarray, outline: np.ndarray, found: np.ndarray) -> str:
    height, width = gray.shape[:2]
    figure = _figure(_SIDE * width / max(height, width), _SIDE * height / max(height, width), layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    show(axes, gray / 255, mask=outline if outline.any() and not outline.all() else None, predicted=found)
    axes.set_aspect("auto")
    return _uri(figure, "jpeg", pil_kwargs={"quality": 80})


def _histogram(values: np.ndarray, observed: float, label: str) -> str:
    figure = _figure(5.2, 2.2)
    axes = figure.add_subplot()
    axes.hist(values[np.isfinite(values)], bins=60, color=_BARS)
    axes.axvline(observed, color=_OBSERVED, linewidth=2)
    axes.set_xlabel(f"{label}; the line is what was observed", color=_INK)
    axes.set_yticks([])
    axes.tick_params(colors=_INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_INK)
    return _uri(figure, "svg", transparent=True, metadata={"Date": None})


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _uri(figure: Figure, kind: str, **options: Any) -> str:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "proof", "font.size": 8}):
        figure.savefig(buffer, format=kind, **options)
    media = "image/svg+xml" if kind == "svg" else f"image/{kind}"
    return f"data:{media};base64,{base64.b64encode(buffer.getvalue()).decode()}"
