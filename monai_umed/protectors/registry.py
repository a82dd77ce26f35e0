"""All protectors by name; the module of a method is imported on first use."""

from __future__ import annotations

from importlib import import_module

from ..io.suggest import did_you_mean
from .base import Protector

PROTECTORS: dict[str, str] = {
    "umed": "umed.UMed",
    "em": "em.EM",
    "em-class": "em.ClassWiseEM",
    "salm": "salm.SALM",
    "ye-sample": "ye.YeSampleWise",
    "ye-class": "ye.YeClassWise",
    "ye-synthetic": "ye.YeSynthetic",
    "tap": "tap.TAP",
    "sep": "sep.SEP",
    "sep-fa": "sep.SEPFA",
    "lsp": "lsp.LSP",
    "ar": "ar.AR",
    "rem": "rem.REM",
    "sem": "rem.SEM",
    "unseg": "unseg.UnSeg",
    "voxshield": "voxshield.VoxShield",
    "constant-stamp": "stamps.ConstantStamp",
    "random-stamp": "stamps.RandomStamp",
    "tint": "tint.Tint",
    "uniform": "controls.Uniform",
    "identity": "controls.Identity",
}
"""``module.Class`` in this folder, by the name in checkpoints and on the command line."""


def protector_class(name: str) -> type[Protector]:
    """Return the class of a method.

    Raises:
        ValueError: If there is no such method; the nearest name is offered.
    """
    if name not in PROTECTORS:
        hint = did_you_mean(name, PROTECTORS)
        raise ValueError(f"There is no protector {name!r}.{hint} Known: {', '.join(PROTECTORS)}.")
    module, cls = PROTECTORS[name].split(".")
    return getattr(import_module(f".{module}", __package__), cls)


def method_name(cls: type[Protector]) -> str:
    """Return the name of a class in :data:`PROTECTORS`.

    Raises:
        ValueError: If the class is not in the table, so that no checkpoint of it could be read.
    """
    target = f"{cls.__module__.removeprefix(f'{__package__}.')}.{cls.__qualname__}"
    for name, known in PROTECTORS.items():
        if known == target:
            return name
    raise ValueError(f"{cls.__qualname__} is not in monai_umed.protectors.registry; add it to the table.")
