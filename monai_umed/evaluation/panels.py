"""Lay out and compress the figure of files and predictions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..io.display import GAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, DPI, GRAYS = 9.0, 130, 31  # inch, dots per inch, gray levels (odd, for a middle): crisp at 900 px, < 300 kB
TRUE, PREDICTED, OPACITY = "#ffd400", "#00a0ff", 0.5


@dataclass(frozen=True, eq=False)
class Panels:
    """One row of the figure: ``(H, W)`` or ``(H, W, 3)`` images in [0, 1] and ``(H, W)`` masks, all squares."""

    original: np.ndarray
    mask: np.ndarray
    protected: np.ndarray
    difference: np.ndarray
    test: np.ndarray
    test_mask: np.ndarray
    predictions: tuple[np.ndarray, ...]


def show(axes: Axes, image: np.ndarray, *, mask: np.ndarray | None = None, predicted: np.ndarray | None = None) -> None:
    """Draw an image in [0, 1], the true outline and the predicted region, where they are given, onto axes."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    if predicted is not None and predicted.any():
        axes.contourf(predicted, levels=[0.5, 1.5], colors=[PREDICTED], alpha=OPACITY)
    if mask is not None:
        axes.contour(mask, levels=[0.5], colors=[TRUE], linewidths=1.2)


def draw(rows: Sequence[Panels], dice: Sequence[float]) -> bytes:
    """The figure as PNG: training files on the left, what networks make of clean test images on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    gap, head = 0.12, 0.56  # between both blocks, in panels; above the panels, in inch
    panels_wide = 5 + gap
    height = head + WIDTH / panels_wide * len(rows)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(rows), 6, width_ratios=(1, 1, 1, gap, 1, 1), wspace=0.02, hspace=0.02)
    grid.update(left=0, right=1, bottom=0, top=1 - head / height)
    titles = {
        0: ("original", "yellow: true outline"),
        1: ("protected", "what is published"),
        2: (f"difference x{GAIN}", "gray: unchanged"),
        4: ("clean files", f"Dice {dice[0]:.2f}"),
        5: ("protected files", f"Dice {dice[1]:.2f}"),
    }
    for index, row in enumerate(rows):
        left: list[dict[str, Any]] = [
            {"image": row.original, "mask": row.mask},
            {"image": row.protected},
            {"image": row.difference},
        ]
        right = [{"image": row.test, "mask": row.test_mask, "predicted": found} for found in row.predictions]
        for column, panel in zip(titles, [*left, *right], strict=True):
            axes = figure.add_subplot(grid[index, column])
            axes.set_axis_off()
            show(axes, **panel)
            for line, text in enumerate(titles[column][::-1] if index == 0 else ()):
                style: dict[str, Any] = {"fontsize": 9} if line else {"fontsize": 8, "color": "0.35"}
                axes.annotate(
                    text, (0.5, 1), (0, 4 + 11 * line), "axes fraction", "offset points", ha="center", **style
                )
    for first, last, text in (
        (0, 3, "training images"),
        (3 + gap, panels_wide, "blue: prediction on test images after training on"),
    ):
        ends = first / panels_wide, last / panels_wide
        figure.text(sum(ends) / 2, 1 - 0.13 / height, text, ha="center", va="baseline", fontsize=10)
        figure.add_artist(Line2D(ends, (1 - 0.19 / height,) * 2, color="0.6", linewidth=0.8))
    return _compress(figure)


def _palette() -> Image.Image:
    """Grays and their mixtures with both colors: a palette found by statistics drops the rare bright grays."""
    gray = np.linspace(0, 255, GRAYS)[:, None].repeat(3, axis=1)
    colors = [np.array([int(name[k : k + 2], 16) for k in (1, 3, 5)]) for name in (TRUE, PREDICTED)]
    mixtures = [gray[::2] * (1 - share) + color * share for color in colors for share in (0.3, OPACITY, 0.8, 1)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([gray, *mixtures]).round().astype(np.uint8).tobytes())
    return palette


def _compress(figure: Any) -> bytes:
    """PNG with a palette: speckle hardly compresses, and a README is no place for a megabyte."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    image = Image.open(buffer).convert("RGB").quantize(palette=_palette(), dither=Image.Dither.NONE)
    small = io.BytesIO()
    image.save(small, format="png", optimize=True)
    return small.getvalue()
