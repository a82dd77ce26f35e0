"""What a benchmark compares: methods with their bounds, and UMed with parts of it switched off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...fitting.fit import bounded_class, parse_method
from ...io.suggest import did_you_mean
from ...protectors import PROTECTORS, parse_bound

CLEAN = "clean"
"""Name of the row without any protection."""


@dataclass(frozen=True)
class ProtectorSpec:
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

UMED_VARIANTS: dict[str, ProtectorSpec] = {
    spec.name: spec
    for spec in (
        ProtectorSpec("umed", "contour, texture", _UMED),  # A
        ProtectorSpec("umed-contour", "contour", _UMED, _CONTOUR_ONLY),  # B
        ProtectorSpec("umed-contour-vanilla", "contour", _UMED, {**_CONTOUR_ONLY, **_VANILLA}),  # C
        ProtectorSpec("umed-texture", "texture", _UMED, _TEXTURE_ONLY),  # E
        ProtectorSpec("umed-texture-flat", "inside", _UMED, {**_TEXTURE_ONLY, "texture": "flat"}),  # F
        ProtectorSpec("umed-region", "region"),
        ProtectorSpec("umed-paper", "contour, texture", ("train.json", "paper.json")),
    )
}
"""UMed with the regions of the paper, as in rows A to F of its Table 5 (D and G are ``em@band`` and ``em@roi``); with
those of the default preset; and with all settings of the paper."""


def read_protector(text: str, bound: str | None = None) -> ProtectorSpec:
    """Find out what a name stands for.

    Args:
        text: one of :data:`UMED_VARIANTS`, or a method. To a method, arguments and a bound may be added:
            ``"constant-stamp:period=2@band"``.
        bound: of methods that name none; UMed has its own in any case.

    Raises:
        ValueError: If there is no such method, argument (the nearest name is offered) or bound, or UMed is given any.
    """
    full, at, own = text.partition("@")
    method = full.partition(":")[0]
    if method in UMED_VARIANTS:
        if text != method:
            raise ValueError(f"{text!r}: {method} has settings and bounds of its own; leave {text[len(method) :]} out.")
        return UMED_VARIANTS[method]
    known = (*UMED_VARIANTS, *PROTECTORS)
    if method not in known:
        raise ValueError(
            f"There is no protector {method!r}.{did_you_mean(method, known)} Known: {', '.join(dict.fromkeys(known))}."
        )
    settings = parse_method(full)
    usual = bounded_class(method).default_bound
    chosen = parse_bound((own if at else bound) or usual).text
    name = full if chosen == usual else f"{full}@{chosen}"
    return ProtectorSpec(name, chosen, ("train.json", "method.json"), {**settings, "bound": chosen})
