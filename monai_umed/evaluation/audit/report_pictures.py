"""What the audit's report shows as images: before and after, predictions, training curves."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ...io.display import difference
from ..panels import show

LONGEST = 400  # px of a cut-out: four cases stay below 3 MB, even of pure gray noise, which nothing compresses
OVERLAY, DPI = 360, 96  # px of the longer side of a prediction; dots per inch
LINES = {"clean": ("#2f7fbf", "-"), "protected": ("#d9772b", "--")}  # differ in dashes, too, for print and color blind
NEUTRAL = "#7d858f"  # legible on white and on black, since the page has both schemes


@dataclass(frozen=True, eq=False)
class BeforeAfter:
    """A training image and what is published of it.

    Attributes:
        id: name of the case.
        original: uint8 gray levels, ``(H, W)`` or ``(H, W, 3)``; of a volume, one slice.
        protected: the same shape, in the window of the original.
    """

    id: str
    original: np.ndarray
    protected: np.ndarray


@dataclass(frozen=True, eq=False)
class Prediction:
    """A clean test image, the truth, and what two networks of one architecture make of it.

    Attributes:
        id: name of the case.
        image: uint8 gray levels, ``(H, W)`` or ``(H, W, 3)``; of a volume, one slice.
        truth: bool ``(H, W)``.
        clean_trained: bool ``(H, W)``, prediction after training on the clean files.
        protected_trained: bool ``(H, W)``, prediction after training on the protected files.
        clean_dice: Dice of ``clean_trained`` on the whole case, in [0, 1].
        protected_dice: Dice of ``protected_trained`` on the whole case, in [0, 1].
        exploiter: name of the architecture, if it should be shown.
    """

    id: str
    image: np.ndarray
    truth: np.ndarray
    clean_trained: np.ndarray
    protected_trained: np.ndarray
    clean_dice: float
    protected_dice: float
    exploiter: str = ""


@dataclass(frozen=True, eq=False)
class Pictures:
    """All images of a report; both lists may be empty."""

    before_after: list[BeforeAfter] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)


def data_uri(content: bytes, media_type: str) -> str:
    """The address that holds a file itself, so that a page needs no second file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _check(case_id: str, images: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]) -> None:
    shape = next(iter(images.values())).shape
    for name, image in images.items():
        if (
            image.dtype != np.uint8
            or image.shape != shape
            or image.ndim not in (2, 3)
            or image.shape[2:] not in ((), (3,))
        ):
            raise ValueError(
                f"{name} of case {case_id!r} is {image.dtype} {image.shape}; it must be uint8 (H, W) or (H, W, 3), "
                "as large as the others. Scale it to gray levels 0..255; of a volume, pass one slice."
            )
    for name, mask in masks.items():
        if mask.dtype != np.bool_ or mask.shape != shape[:2]:
            raise ValueError(
                f"{name} of case {case_id!r} is {mask.dtype} {mask.shape}; it must be bool {shape[:2]} like the image. "
                "Compare a class map with its class."
            )


def cut_out(changed: np.ndarray, longest: int = LONGEST) -> tuple[slice, slice]:
    """Where to cut an image that is too large: native pixels around the middle of what changed.

    Args:
        changed: bool ``(H, W)``.
        longest: sides are cut to this many pixels; shorter ones are kept.
    """
    parts = []
    for axis, size in enumerate(changed.shape):
        touched = np.flatnonzero(changed.any(axis=1 - axis))
        middle = float(touched[[0, -1]].mean()) if touched.size else size / 2
        start = int(np.clip(round(middle - longest / 2), 0, max(0, size - longest)))
        parts.append(slice(start, min(size, start + longest)))
    return parts[0], parts[1]


def _png(image: np.ndarray) -> str:
    # Lossless: JPEG would smooth away exactly what the reader is asked to judge.
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="png", optimize=True)
    return data_uri(buffer.getvalue(), "image/png")


@dataclass(frozen=True)
class BeforeAfterView:
    """A :class:`BeforeAfter` as the page needs it: sizes are ``(height, width)`` in pixels, images are addresses."""

    id: str
    original: str
    protected: str
    difference: str
    size: tuple[int, int]
    shown: tuple[int, int]
    largest: int
    changed: float


def view_before_after(case: BeforeAfter) -> BeforeAfterView:
    """Cut, subtract and encode.

    Raises:
        ValueError: If the arrays are not uint8 of one shape, ``(H, W)`` or ``(H, W, 3)``.
    """
    _check(case.id, {"original": case.original, "protected": case.protected}, {})
    change = np.abs(case.protected.astype(np.int16) - case.original)
    changed = change.reshape(*change.shape[:2], -1).any(axis=2)
    crop = cut_out(changed)
    before, after = case.original[crop], case.protected[crop]
    images = _png(before), _png(after), _png(difference(before, after))
    height, width = before.shape[:2]
    return BeforeAfterView(
        case.id, *images, changed.shape, (height, width), int(change.max(initial=0)), float(changed.mean())
    )


def _overlay(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray | None = None) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = image.shape[:2]
    scale = OVERLAY / max(height, width) / DPI
    figure = Figure(figsize=(width * scale, height * scale), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    has_outline = truth.any() and not truth.all()
    show(axes, image / 255, mask=truth if has_outline else None, predicted=predicted)
    axes.set_aspect("auto")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": 80})
    return data_uri(buffer.getvalue(), "image/jpeg")


@dataclass(frozen=True)
class PredictionView:
    """A :class:`Prediction` as the page needs it: title, address of an image with outlines, and Dice of each panel."""

    id: str
    exploiter: str
    panels: tuple[tuple[str, str, float | None], ...]


def view_prediction(case: Prediction) -> PredictionView:
    """Draw the truth as an outline and both predictions filled, in the colors of :mod:`monai_umed.evaluation.panels`.

    Raises:
        ValueError: If the image is not uint8 ``(H, W)`` or ``(H, W, 3)``, or the masks are not bool ``(H, W)``.
    """
    masks = {name: getattr(case, name) for name in ("truth", "clean_trained", "protected_trained")}
    _check(case.id, {"image": case.image}, masks)
    return PredictionView(
        case.id,
        case.exploiter,
        (
            ("clean test image", _overlay(case.image, case.truth), None),
            ("trained on clean files", _overlay(case.image, case.truth, case.clean_trained), case.clean_dice),
            (
                "trained on protected files",
                _overlay(case.image, case.truth, case.protected_trained),
                case.protected_dice,
            ),
        ),
    )


def draw_curves(curves: Mapping[str, Sequence[float]]) -> str:
    """Loss per epoch as an SVG without background, the same bytes every time.

    Args:
        curves: ``"clean"`` and ``"protected"``, or one of them: losses of the epochs.

    Returns:
        The image's address.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context({"svg.hashsalt": "report", "font.size": 8}):
        figure = Figure(figsize=(3.7, 2.1), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for name, (color, dashes) in LINES.items():
            losses = np.array(curves.get(name) or [], dtype=float)
            axes.plot(range(1, len(losses) + 1), losses, dashes, color=color, marker="o" if len(losses) == 1 else "")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch", color=NEUTRAL)
        axes.set_ylabel("loss", color=NEUTRAL)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(colors=NEUTRAL)
        axes.grid(axis="y", color=NEUTRAL, alpha=0.25, linewidth=0.6)
        for side, spine in axes.spines.items():
            spine.set_color(NEUTRAL)
            spine.set_visible(side in ("left", "bottom"))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return data_uri(buffer.getvalue(), "image/svg+xml")
