"""The table of presets, which the bundle's configs, the command line, MONAI Label and Python share."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ..functional.eps import check_eps
from ..io.suggest import did_you_mean
from .bundle import as_fraction

UMED, STAMP, TINT = "umed", "constant-stamp", "tint"


@dataclass(frozen=True)
class Pattern:
    """Where UMed perturbs and which pattern it starts from; the defaults are those of images.

    Attributes:
        band_side, texture: see :class:`monai_umed.protectors.UMed`.
        period: pixels after which the pattern repeats.
        mirrored: whether the pattern is its own mirror image, so that flips do not change it.
        native_scale: see :func:`monai_umed.fitting.umed_trainer.perturb_batch`.
    """

    band_side: str = "inner"
    texture: str = "flat"
    period: int = 4
    mirrored: bool = False
    native_scale: int = 2


_VOLUMES = Pattern(texture="activity", period=2, native_scale=1)
_COARSER = Pattern(period=6)  # of squares of three pixels more is left by what nnU-Net's augmentation does


@dataclass(frozen=True)
class Preset:
    """A named set of options.

    Attributes:
        summary: its description in ``monai-umed protect --help``.
        eps: largest change of a pixel as a fraction of the intensity window.
        images: pattern in images.
        volumes: pattern in volumes, which are not resampled.
        method: the protector that it fits.
    """

    summary: str
    eps: float = 4 / 255
    images: Pattern = Pattern()
    volumes: Pattern = _VOLUMES
    method: str = UMED


PRESETS = {
    "invisible": Preset("3 of 255 gray levels", eps=3 / 255),
    "default": Preset("the region inside its contour, 4 of 255 gray levels"),
    "medium": Preset("8 of 255 gray levels, for exploiters who augment", eps=8 / 255, images=_COARSER),
    "strong": Preset(
        "12 of 255 gray levels, which may be seen",
        eps=12 / 255,
        images=_COARSER,
        volumes=replace(_VOLUMES, mirrored=True),
    ),
    "stamp": Preset("a fixed pattern, without a fit", method=STAMP),
    "tint": Preset("colors shifted inside and the other way outside, for images with colors", method=TINT),
}
"""From the least to the most visible, then those for special cases."""

BEATEN_BY = {"contour": "invisible"}
"""Presets that another one beats, less visible at equal protection: they go on meaning what they meant."""

_BEATEN = {
    "contour": Preset(
        "both sides of the contour and the texture inside, as in the paper",
        images=Pattern(band_side="both", texture="activity"),
    ),
}


def find_preset(name: str) -> Preset:
    """Look up a preset, also one of :data:`BEATEN_BY`.

    Raises:
        ValueError: If there is no preset of that name; the nearest one is offered.
    """
    if name in _BEATEN:
        return _BEATEN[name]
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}; it must be one of {', '.join(PRESETS)}.{did_you_mean(name, PRESETS)}")
    return PRESETS[name]


def read_eps(value: float | str) -> float:
    """Convert eps, a fraction of the intensity window such as 0.0157 or ``"4/255"``, to float.

    Raises:
        ValueError: If it is not a fraction, or not in (0, 32/255].
    """
    return check_eps(as_fraction(value))


@dataclass(frozen=True)
class Choice(Pattern):
    """The pattern of a preset for one kind of data, with the values that were set instead.

    Attributes:
        eps: largest change of a pixel as a fraction of the intensity window.
        keyed: whether the pattern comes from a key.
    """

    eps: float = 4 / 255
    keyed: bool = False

    @property
    def patch(self) -> int:
        """Side of a patch in pixels: the period, or twice the period with a key, to have a choice of patterns."""
        return self.period * 2 if self.keyed else self.period

    @property
    def checkerboard(self) -> bool:
        """Whether generators start from the public pattern."""
        return not self.keyed


def choose_pattern(
    preset: str,
    *,
    volumes: bool,
    method: str = UMED,
    pattern_key: str | None = None,
    eps: float | str | None = None,
    band_side: str | None = None,
    texture: str | None = None,
    period: int | None = None,
    native_scale: int | None = None,
) -> Choice:
    """Return the values of a preset, replaced by those that are given.

    Args:
        preset: a name from :data:`PRESETS`.
        volumes: whether the data are volumes.
        method: the method to fit.
        pattern_key: file of a key that the pattern comes from; it is not read here.
        eps: see :func:`read_eps`; None for the preset's.
        band_side, texture, period, native_scale: see :class:`Pattern`; None for the preset's.

    Raises:
        ValueError: If there is no such preset, it is for another method, or ``eps`` is invalid.

    Example:
        >>> choose_pattern("strong", volumes=False).period
        6
    """
    chosen = find_preset(preset)
    if chosen.method != UMED and method != chosen.method:
        raise ValueError(
            f"preset {preset!r} is {chosen.method}, which train.json alone does not fit; merge method.json and "
            f"{preset}.json after it, --config_file \"['.../train.json','.../method.json','.../{preset}.json']\"."
        )
    pattern = chosen.volumes if volumes else chosen.images
    given = {
        "band_side": band_side,
        "texture": texture,
        "period": period,
        "native_scale": native_scale,
    }
    values = {field.name: getattr(pattern, field.name) for field in fields(Pattern)}
    values |= {name: value for name, value in given.items() if value is not None}
    return Choice(
        **values,
        eps=read_eps(chosen.eps if eps is None else eps),
        keyed=pattern_key is not None,
    )
