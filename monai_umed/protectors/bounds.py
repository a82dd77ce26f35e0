"""Bound maps, named by text: where a method may change an image, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import reduce
from typing import Any

import torch

from ..functional.comparison import above
from ..functional.contour_band import SIDES, contour_band, half_widths
from ..functional.local_binary_pattern import MODES, lbp_bound
from ..io.suggest import did_you_mean


def band_widths(
    radius: float,
    unit: str,
    size: Sequence[int],
    *,
    working_size: Sequence[int] | None,
    spacing: Sequence[float] | None = None,
) -> tuple[int, ...]:
    """Return the half-width of a contour band along each axis, in pixels of the image.

    Args:
        radius: half-width in ``unit``.
        unit: ``"mm"``, or ``"pixel"`` for pixels of the working grid, so that the band scales with the image.
        size: spatial size of the image.
        working_size: the working grid; None for pixels of the image along the axis with the finest spacing, and the
            same length in mm along the others.
        spacing: size of a pixel along each axis in mm.

    Raises:
        ValueError: For the reasons of `half_widths`.
    """
    if unit == "mm":
        return half_widths(radius, len(size), "mm", spacing)
    if working_size is None:
        return half_widths(radius * min(spacing or (1,)), len(size), "mm", spacing or (1,) * len(size))
    scales = (native / working for native, working in zip(size, working_size, strict=True))
    return tuple(max(1, round(radius * scale)) for scale in scales)


def _full(bound: Bound, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None) -> torch.Tensor:
    return torch.ones_like(label, dtype=torch.float32)


def _roi(bound: Bound, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None) -> torch.Tensor:
    return above(label, 0).to(torch.float32)


def _band(bound: Bound, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None) -> torch.Tensor:
    widths = band_widths(
        bound.band_radius, bound.band_unit, label.shape[1:], working_size=bound.working_size, spacing=spacing
    )
    return contour_band(label, widths, bound.band_side).to(torch.float32)


def _lbp(bound: Bound, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None) -> torch.Tensor:
    return lbp_bound(image, bound.texture, bound.texture_threshold)


_Factor = Callable[["Bound", torch.Tensor, torch.Tensor, "Sequence[float] | None"], torch.Tensor]
FACTORS: dict[str, _Factor] = {"full": _full, "roi": _roi, "band": _band, "lbp": _lbp}
"""Strength maps by name: everywhere, all foreground classes, the contour band, texture."""


@dataclass(frozen=True)
class Bound:
    """A product of strength maps.

    Attributes:
        text: names of :data:`FACTORS` joined by ``*``.
        band_radius, band_unit, working_size: see :func:`band_widths`.
        band_side: see `contour_band`.
        texture, texture_threshold: ``mode`` and ``threshold`` of `lbp_bound`.

    Raises:
        ValueError: If a name is unknown, a value is out of range, or the product is zero for every image.
    """

    text: str = "full"
    band_radius: float = 2
    band_unit: str = "pixel"
    band_side: str = "both"
    texture: str = "activity"
    texture_threshold: float = 1.5 / 255
    working_size: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in self.factors:
            if name not in FACTORS:
                hint = did_you_mean(name, FACTORS)
                raise ValueError(
                    f"bound is {self.text!r}; {name!r} is not one of {', '.join(FACTORS)} or a product of them such as "
                    f"'roi*lbp'.{hint}"
                )
        half_widths(self.band_radius, 2, self.band_unit, (float(self.band_radius),) * 2)
        for argument, value, known in (("band_side", self.band_side, SIDES), ("texture", self.texture, MODES)):
            if value not in known:
                raise ValueError(f"{argument} is {value!r}; use one of {', '.join(known)}.")
        if self.band_side == "outer" and {"band", "roi"} <= set(self.factors):
            raise ValueError(
                f"bound is {self.text!r} with band_side 'outer': a band outside of the foreground and the foreground "
                "share no pixel, so nothing could change; use band_side 'both' or 'inner'."
            )

    @property
    def factors(self) -> tuple[str, ...]:
        """The names in the product."""
        return tuple(name.strip() for name in self.text.split("*"))

    def strength(
        self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None
    ) -> torch.Tensor:
        """Return the fraction of eps by which every pixel may change, float32 ``(1, *spatial)`` in [0, 1].

        Args:
            image: intensities in [0, 1], shape ``(C, *spatial)``.
            label: class numbers, 0 is background, shape ``(1, *spatial)``.
            spacing: size of a pixel along each axis in mm, for bands measured in mm.
        """
        return reduce(torch.mul, (FACTORS[name](self, image, label, spacing) for name in self.factors))

    def settings(self) -> str | dict[str, Any]:
        """Return the argument of :func:`parse_bound` for the same bound on the same working grid, text if possible."""
        options = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "working_size"}
        given = {name: value for name, value in options.items() if value != _DEFAULTS[name]}
        return self.text if given.keys() <= {"text"} else {"text": self.text, **given}


_DEFAULTS = asdict(Bound())


def parse_bound(
    bound: str | Mapping[str, Any] | Bound, working_size: Sequence[int] | None = None, **options: Any
) -> Bound:
    """Build a bound from its name, such as ``"full"``, ``"roi"``, ``"band"``, ``"lbp"`` or ``"roi*lbp"``.

    Args:
        bound: names joined by ``*``, or a mapping of :class:`Bound`'s arguments.
        working_size, options: arguments of :class:`Bound`, which take precedence over those in ``bound``.

    Raises:
        ValueError: If a name or a value is unknown; the nearest name is offered.
    """
    if isinstance(bound, Bound):
        bound = asdict(bound)
    arguments = {**({"text": bound} if isinstance(bound, str) else bound), **options}
    unknown = arguments.keys() - _DEFAULTS.keys()
    if unknown:
        raise ValueError(f"bound has no setting {', '.join(sorted(unknown))}; use {', '.join(_DEFAULTS)}.")
    own = arguments.pop("working_size", None)
    grid = own if working_size is None else working_size
    return Bound(**arguments, working_size=None if grid is None else tuple(int(side) for side in grid))
