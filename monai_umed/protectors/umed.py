"""UMed: contour- and texture-aware perturbations from two fitted generators (Lin et al. 2024, arXiv 2403.14250)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from ..functional import contour_band, half_widths, lbp_bound
from ..functional.local_binary_pattern import MODES
from ..networks import UMedPerturbator
from .base import Protector


def resize(image: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resample ``(B, C, *spatial)``: by area if no axis grows, the default of MONAI's ``Resize``, else linearly."""
    before, size = tuple(image.shape[2:]), tuple(size)
    if before == size:
        return image
    if all(new <= old for new, old in zip(size, before, strict=True)):
        return F.interpolate(image, size=size, mode="area")
    return F.interpolate(image, size=size, mode="bilinear" if len(size) == 2 else "trilinear", align_corners=False)


def bound_noise(raw: torch.Tensor, bounds: torch.Tensor, eps: float, output: str = "tanh") -> torch.Tensor:
    """Bring raw contour and texture noise under the bounds of their regions (UMed, Eq. 4 and 5).

    ``"tanh"`` gives ``bound * tanh(raw)``: the same limit as the paper's clip, with gradients that live. ``"clip"``
    gives ``eps * raw`` within each region, which :func:`monai_umed.functional.add_bounded` then clips: Eq. 4 and 5 to
    the letter but for the factor eps, without which the generators would start far outside their bounds and only the
    sign of their output would count.

    Args:
        raw: ``(B, 2 * C, *spatial)``, contour noise then texture noise, as :class:`UMedPerturbator` gives it.
        bounds: ``(B, 2, *spatial)``, contour bound then texture bound in [0, 1] units.
        eps: unit of clipped noise.
        output: ``"tanh"`` or ``"clip"``.

    Returns:
        ``(B, C, *spatial)`` in [0, 1] units.
    """
    contour, texture = raw.chunk(2, dim=1)
    on_contour, on_texture = bounds.chunk(2, dim=1)
    if output == "tanh":
        return contour.tanh() * on_contour + texture.tanh() * on_texture
    return eps * (contour * (on_contour > 0) + texture * (on_texture > 0))


class UMed(Protector):
    """Contour-aware plus texture-aware perturbation of one image at its native size.

    The generators see the image on the working grid; their noise is resampled to the native grid and multiplied by
    bounds computed there. So the pattern has the scale of the working grid, at which exploiters train, while
    contour, texture, grey levels and the limit are those of the file. The paper knows one size only (224 x 224).

    Args:
        perturbator: the fitted generators.
        working_size: grid of the generators, one number per spatial axis.
        eps: largest change of any pixel as a share of the [0, 1] window; 4/255 in the paper.
        band_radius: half-width of the contour band. The paper gives none.
        band_unit: ``"pixel"``: pixels of the working grid, so that the band scales with the image; ``"mm"``.
        texture: mode of :func:`monai_umed.functional.lbp_bound`, or ``"flat"`` for the ablation without LBP.
        texture_threshold: difference to a neighbor that counts as texture, as a share of the [0, 1] window.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        perturbator: UMedPerturbator,
        working_size: Sequence[int] = (128, 128),
        eps: float = 4 / 255,
        band_radius: float = 2,
        band_unit: str = "pixel",
        texture: str = "activity",
        texture_threshold: float = 1.5 / 255,
    ) -> None:
        super().__init__(perturbator.spatial_dims, perturbator.in_channels, eps)
        if len(working_size) != self.spatial_dims:
            raise ValueError(f"working_size {tuple(working_size)} needs one number per axis, {self.spatial_dims}.")
        if min(working_size) < perturbator.contour.stride:
            raise ValueError(
                f"working_size {tuple(working_size)} is smaller than the generators' stride of "
                f"{perturbator.contour.stride} pixels; use at least that many along each axis."
            )
        half_widths(band_radius, self.spatial_dims, band_unit, (float(band_radius),) * self.spatial_dims)
        if texture not in (*MODES, "flat"):
            raise ValueError(f"texture is {texture!r}; use one of {', '.join(MODES)}, flat.")
        self.perturbator = perturbator
        self.working_size = tuple(int(size) for size in working_size)
        self.band_radius = float(band_radius) if band_unit == "mm" else int(band_radius)
        self.band_unit = band_unit
        self.texture = texture
        self.texture_threshold = texture_threshold

    def settings(self) -> dict[str, Any]:
        """The arguments beside the generators, plain values for a checkpoint and for the record."""
        names = ("working_size", "eps", "band_radius", "band_unit", "texture", "texture_threshold")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        settings = {**self.perturbator.settings(), **self.settings()}
        return f"UMed({', '.join(f'{name}={value!r}' for name, value in settings.items())})"

    def _band_widths(self, size: Sequence[int], spacing: Sequence[float] | None) -> tuple[int, ...]:
        if self.band_unit == "mm":
            return half_widths(self.band_radius, self.spatial_dims, "mm", spacing)
        scales = (native / working for native, working in zip(size, self.working_size, strict=True))
        return tuple(max(1, round(self.band_radius * scale)) for scale in scales)

    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        """Contour bound ``eps * y_c`` and texture bound ``eps * x_t * (1 - y_c) * y``, shape ``(2, *spatial)``."""
        band = contour_band(label, self._band_widths(image.shape[1:], spacing))
        inside = (label > 0) & ~band
        if self.texture == "flat":
            strength = torch.ones_like(inside, dtype=torch.float32)
        else:
            strength = lbp_bound(image, self.texture, self.texture_threshold)
        return self.eps * torch.cat([band.to(torch.float32), strength * inside])

    def noise(self, image: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
        # Evaluation mode: one image must not move the statistics of a batch normalization.
        raw = self.perturbator.eval()(resize(image[None].to(torch.float32), self.working_size))
        return bound_noise(resize(raw, image.shape[1:]), bounds[None], self.eps, self.perturbator.output)[0]
