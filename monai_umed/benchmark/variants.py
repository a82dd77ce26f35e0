"""What a benchmark compares: methods with their bounds, and UMed with parts of it switched off."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..method_fit import bounded_class
from ..protectors import PROTECTORS, parse_bound

CLEAN = "clean"
"""Name of the row without any protection."""

DECIDED = ("spatial_dims", "in_channels", "eps", "size", "bound", "num_classes", "slice_axis", "native", "device")
"""Arguments of methods that a benchmark sets itself, alike for all."""


@dataclass(frozen=True)
class Variant:
    """One protector of a benchmark.

    Attributes:
        name: as in tables, ``"em"``, ``"em@roi"`` or ``"em:rounds=20"``; a method's own bound is left out of it.
        bound: where changes are allowed, for the record.
        configs: of the bundle, merged.
        overrides: ids of the configs.
    """

    name: str
    bound: str
    configs: tuple[str, ...] = ("train.json",)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The name as part of a path on every system."""
        return self.name.replace("*", "-").replace(":", ",")


_CONTOUR_ONLY, _TEXTURE_ONLY = {"protector#texture_share": 0}, {"protector#contour_share": 0}
_VANILLA = {"network_def#central_difference": False}
_UMED = ("train.json", "contour.json")

UMED_VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("umed", "contour, texture", _UMED),  # A
        Variant("umed-contour", "contour", _UMED, _CONTOUR_ONLY),  # B
        Variant("umed-contour-vanilla", "contour", _UMED, {**_CONTOUR_ONLY, **_VANILLA}),  # C
        Variant("umed-texture", "texture", _UMED, _TEXTURE_ONLY),  # E
        Variant("umed-texture-flat", "inside", _UMED, {**_TEXTURE_ONLY, "texture": "flat"}),  # F
        Variant("umed-region", "region"),
        Variant("umed-paper", "contour, texture", ("train.json", "paper.json")),
    )
}
"""UMed with the regions of the paper, as in rows A to F of its Table 5 (D and G are ``em@band`` and ``em@roi``); with
those of the default preset; and with all settings of the paper."""


def _nearest(name: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def _argument(text: str, method: str) -> tuple[str, Any]:
    """Name and value of ``name=value``, which the constructor of a method takes besides what a benchmark decides."""
    name, sign, value = text.partition("=")
    known = [known for known in bounded_class(method).argument_names() if known not in DECIDED]
    if not sign or name not in known:
        raise ValueError(
            f"{text!r} is no argument of {method}; give name=value with one of {', '.join(known)}."
            f"{_nearest(name, known)}"
        )
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def read_variant(text: str, bound: str | None = None) -> Variant:
    """Find out what a name stands for.

    Args:
        text: one of :data:`UMED_VARIANTS`, or a method. To a method, arguments and a bound may be added:
            ``"constant-stamp:period=2@band"``.
        bound: of methods that name none; UMed has its own in any case.

    Raises:
        ValueError: there is no such method, argument (the nearest name is offered) or bound, or UMed is given any.
    """
    full, at, own = text.partition("@")
    method, *arguments = full.split(":")
    if method in UMED_VARIANTS:
        if text != method:
            raise ValueError(f"{text!r}: {method} has settings and bounds of its own; leave {text[len(method) :]} out.")
        return UMED_VARIANTS[method]
    known = (*UMED_VARIANTS, *PROTECTORS)
    if method not in known:
        raise ValueError(
            f"There is no protector {method!r}.{_nearest(method, known)} Known: {', '.join(dict.fromkeys(known))}."
        )
    overrides = {f"protector#{name}": value for name, value in (_argument(text, method) for text in arguments)}
    usual = bounded_class(method).default_bound
    chosen = parse_bound((own if at else bound) or usual).text
    name = full if chosen == usual else f"{full}@{chosen}"
    return Variant(name, chosen, ("train.json", "method.json"), {"method": method, "bound": chosen, **overrides})
