"""What a server is started with (`--conf NAME VALUE`) and what a request may ask for, read from text and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.two_folders import check_ignore_label
from ..data.windows import as_window
from ..io.stored import IntensityWindow
from ..io.suggest import did_you_mean
from ..workflows.bundle import renamed
from ..workflows.presets import PRESETS, read_eps

FOLDER, DATASTORE = "folder", "datastore"
"""Where protected images go: files of a folder only, or also images of the datastore."""

PRESET_EPS = {
    name: preset.eps for name, preset in PRESETS.items() if name == "default" or preset.eps != PRESETS["default"].eps
}
"""What presets mean for generators that are fitted already: how far pixels may move, never where."""


@dataclass(frozen=True)
class Parameters:
    """What a request may ask for.

    Attributes:
        eps: largest change of any pixel, a share of the window; None for that of the fit.
        band_mm: half-width of the contour band in mm; None for that of the fit.
        into: `FOLDER` or `DATASTORE`.
    """

    eps: float | None = None
    band_mm: float | None = None
    into: str = FOLDER


@dataclass(frozen=True)
class Settings:
    """What a server is started with.

    Attributes:
        output: folder for fits and protected files.
        checkpoint: fitted protector; None for that of the newest fit in ``output``.
        parameters: what holds for requests that ask for nothing else.
        num_classes: classes of the labels, background included; None for those of the fit.
        intensity_window: displayed values that map to 0 and 1; None for those of the fit.
        ignore_label: value of the labels that is no class; None for that of the fit.
        protect_on_save: whether to protect an image as soon as its final label is saved.
    """

    output: Path
    checkpoint: Path | None = None
    parameters: Parameters = Parameters()
    num_classes: int | None = None
    intensity_window: IntensityWindow | None = None
    ignore_label: int | None = None
    protect_on_save: bool = False


def _flag(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _millimeters(value: Any) -> float:
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError("must be a positive number of mm")
    return number


def _place(value: Any) -> str:
    if value not in (FOLDER, DATASTORE):
        raise ValueError(f"must be {FOLDER} or {DATASTORE}")
    return str(value)


def _classes(value: Any) -> int:
    if not 2 <= (number := int(value)) <= 256:
        raise ValueError("must be a whole number from 2 to 256")
    return number


def _checkpoint(value: Any) -> Path:
    path = Path(str(value)).expanduser()
    if not path.is_file():
        raise ValueError("no such file; name the protector.pt of a fit")
    return path.resolve()


def _eps_of_preset(value: Any) -> float:
    if value not in PRESET_EPS:
        raise ValueError(f"must be {' or '.join(PRESET_EPS)}; others are for umed_fit, which settles them")
    return PRESET_EPS[value]


_PARAMETERS: dict[str, Callable[[Any], Any]] = {
    "preset": _eps_of_preset,
    "eps": read_eps,
    "band_mm": _millimeters,
    "into": _place,
}
_SETTINGS: dict[str, Callable[[Any], Any]] = {
    **_PARAMETERS,
    "output": lambda value: Path(str(value)).expanduser().resolve(),
    "checkpoint": _checkpoint,
    "num_classes": _classes,
    "intensity_window": as_window,
    "ignore_label": lambda value: check_ignore_label(int(value)),
    "protect_on_save": _flag,
}
_OF_THE_SERVER = {"server_mode"}  # MONAI Label's own


def _read(table: Mapping[str, Callable[[Any], Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the names in ``table`` that were given; empty text is none, because clients send all their fields."""
    values = {}
    for name, read in table.items():
        if given.get(name) in (None, ""):
            continue
        try:
            values[name] = read(given[name])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} is {given[name]!r}: {error}") from error
    return values


def _parameters(values: dict[str, Any], defaults: Parameters) -> Parameters:
    """A preset is another name of its eps, and an eps that is given beside it wins."""
    preset = values.get("preset")
    chosen = {**({} if preset is None else {"eps": preset}), **values}
    return Parameters(**{**vars(defaults), **{name: value for name, value in chosen.items() if name != "preset"}})


def read_parameters(request: Mapping[str, Any], defaults: Parameters) -> Parameters:
    """What a request asks for.

    Args:
        request: values by name; names of other tasks are ignored, because clients send theirs along.
        defaults: for what is not given, or empty.

    Raises:
        ValueError: If a value is out of range; names it and what it must be.
    """
    return _parameters(_read(_PARAMETERS, request), defaults)


def read_settings(conf: Mapping[str, Any], studies: str | Path) -> Settings:
    """What a server was started with.

    Args:
        conf: values by name, text as it comes from the command line.
        studies: folder of the images. Unless ``output`` is given, ``STUDIES_umed`` beside it is written to.

    Raises:
        ValueError: an unknown name (the nearest is offered), a value out of range, or an output folder that is or lies
            below ``studies``, where protected files could be taken for labels.
    """
    if "window" in conf:
        window = renamed(old="conf window", new="conf intensity_window", value=conf["window"])
        conf = {"intensity_window": window, **{name: value for name, value in conf.items() if name != "window"}}
    for name in conf.keys() - _SETTINGS.keys() - _OF_THE_SERVER:
        hint = did_you_mean(name, _SETTINGS)
        raise ValueError(f"--conf {name}: there is no such setting.{hint} There are {', '.join(_SETTINGS)}.")
    values = _read(_SETTINGS, conf)
    given = {name: values.pop(name) for name in _PARAMETERS if name in values}
    parameters = _parameters(given, Parameters())
    root = Path(studies).resolve()
    settings = Settings(**{"output": root.with_name(f"{root.name}_umed"), **values}, parameters=parameters)
    if settings.output == root or root in settings.output.parents:
        raise ValueError(f"output is {settings.output}, below the studies; choose a folder outside of {root}")
    return settings
