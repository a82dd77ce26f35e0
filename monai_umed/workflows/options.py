"""The options of a fit, which have the same names in Python and on the command line."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..data.windows import GivenWindow, as_window
from .presets import BEATEN_BY, TINT, UMED, find_preset


class FitOptions(TypedDict, total=False):
    """Options of a fit; those that are left out or None are taken from the preset or from the files.

    Attributes:
        preset: a name from :data:`monai_umed.workflows.presets.PRESETS`, by default ``"default"``.
        method: ``"umed"`` unless the preset names another one, or a method from `monai-umed list` with optional
            arguments: ``"em"``, ``"constant-stamp:period=2"``.
        bound: where methods other than UMed may change pixels: ``"full"``, ``"roi"``, ``"band"``, ``"lbp"``, or a
            product such as ``"roi*lbp"``.
        eps: largest change of a pixel as a fraction of the intensity window: 0.0157 or ``"4/255"``.
        target_psnr: smallest allowed mean PSNR of the files in dB, for which eps is lowered if necessary.
        pattern_key: file of :func:`monai_umed.new_key`, for a pattern that nobody else can reproduce.
        seed: seed of all random numbers.
        spatial_dims: 2 for images, 3 for whole volumes.
        grid: grid of the generators in pixels, one number per axis.
        epochs: epochs of the whole fit.
        batch_size: cases per step of the fit.
        num_classes: classes of the masks, background included.
        ignore_label: value of the masks that is no class, often 255; pixels that have it stay as they are.
        merge_masks: whether several masks of one image (``x_mask.png``, ``x_mask_1.png``) are its mask together.
        intensity_window: displayed intensities of black and white, two numbers or the name of a CT window such as
            ``"ct-soft"``; or a list of these, one per channel.
        slice_axis: axis along which volumes are protected slice by slice.
        device: where networks run, such as ``"cuda"``.
        progress: whether to show progress bars.
    """

    preset: str | None
    method: str | None
    bound: str | None
    eps: float | str | None
    target_psnr: float | None
    pattern_key: str | Path | None
    seed: int | None
    spatial_dims: int | None
    grid: Sequence[int] | None
    epochs: int | None
    batch_size: int | None
    num_classes: int | None
    ignore_label: int | None
    merge_masks: bool | None
    intensity_window: GivenWindow | None
    slice_axis: int | None
    device: str | None
    progress: bool


class OptionError(ValueError):
    """Options contradict each other.

    Attributes:
        options: their names.
        reason: why they contradict each other, and the cure.
    """

    def __init__(self, options: Sequence[str], reason: str) -> None:
        super().__init__(f"{', '.join(options)}: {reason}")
        self.options, self.reason = tuple(options), reason


# Ids of train.json by option, where they differ.
_IDS = {"grid": "working_size", "epochs": "max_epochs"}
SETTLED = ("preset", "method", "bound", "eps", "target_psnr", "pattern_key", "seed", "spatial_dims", "grid", "epochs")
"""Options that are fixed by a fit, besides ``batch_size``; the others determine how files are read."""
_OF_UMED = ("pattern_key", "epochs", "batch_size")


def fits_umed(options: FitOptions) -> bool:
    """Whether a fit with these options is UMed's, whose pattern may come from a key.

    Raises:
        ValueError: If there is no such preset.
    """
    usual = find_preset(str(options.get("preset") or "default")).method
    return usual == UMED == (options.get("method") or UMED)


def config_of(options: FitOptions) -> tuple[list[str], dict[str, Any]]:
    """Return the bundle's configs to merge after ``train.json`` for a fit, and the overrides by id.

    Raises:
        OptionError: If options contradict each other.
        ValueError: If there is no such preset, method or argument; the nearest name is offered.
    """
    given = {name: value for name, value in options.items() if value is not None}
    name = str(given.pop("preset", "default"))
    preset = find_preset(name)
    if better := BEATEN_BY.get(name):
        reason = f"preset {name!r} is beaten by {better!r}, which is less visible and protects as well; take that"
        warnings.warn(reason, stacklevel=3)
    method = str(given.pop("method", preset.method))
    if preset.method != UMED and method == UMED:
        method = preset.method
    bound = given.pop("bound", None)
    ids = {_IDS.get(option, option): value for option, value in given.items()}
    if "intensity_window" in ids:
        ids["intensity_window"] = list(as_window(options.get("intensity_window")) or ())
    if "pattern_key" in ids:
        ids["pattern_key"] = str(ids["pattern_key"])
    if method == UMED:
        if bound is not None:
            raise OptionError(["bound"], f"{bound}: umed has bounds of its own; leave it out or name another method")
        return [f"{name}.json"] if name != "default" else [], ids
    base = method.partition(":")[0]
    if preset.method not in (UMED, base):
        raise OptionError(["method", "preset"], f"{method} and {name}, which is {preset.method}; leave one of them out")
    if name == "contour":
        cure = "leave it out, or give bound=band"
        raise OptionError(["preset"], f"contour is where umed may change pixels, not {method}; {cure}")
    of_umed = [option for option in _OF_UMED if (option, base) != ("pattern_key", TINT)]
    if wrong := [option for option in of_umed if option in given]:
        cure = "leave it out, or set the method's own arguments with the bundle's method.json"
        raise OptionError(wrong, f"means umed's generators, not {method}; {cure}")
    from ..fitting.fit import parse_method  # here, because it imports networks

    try:
        ids |= {**parse_method(method), "bound": bound}
    except ValueError as error:
        raise OptionError(["method"], f"{method}: {error}") from error
    return ["method.json", f"{name}.json"] if name != "default" else ["method.json"], ids
