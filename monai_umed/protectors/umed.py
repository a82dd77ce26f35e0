"""UMed: contour- and texture-aware perturbations from two fitted generators (Lin et al. 2024, arXiv 2403.14250)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..functional.box import grown, nonzero_box
from ..functional.comparison import above
from ..functional.contour_band import SIDES, contour_band, half_widths
from ..functional.local_binary_pattern import MODES, lbp_bound
from ..functional.resampling import resize, resize_within
from ..networks import UMedPerturbator
from .base import Needs, Protector
from .bounds import band_widths
from .perturbation import Part
from .raw_noise import RawNoise

_GONE = ("background_share", "perceptual_weight")  # both 0 in nearly all checkpoints of version 0.1


def bound_noise(raw: torch.Tensor, bounds: torch.Tensor, eps: float, output: str = "tanh") -> torch.Tensor:
    """Bound raw contour and texture noise in their regions (UMed, Eq. 4 and 5).

    ``"tanh"`` gives ``bound * tanh(raw)``, which has the same limit as the paper's clip, and a gradient everywhere.
    ``"clip"`` gives ``eps * raw`` within each region, which `add_bounded` then clips:
    literally Eq. 4 and 5 except for the factor eps, without which generators would start far outside of their bounds
    and only the sign of their output would count.

    Args:
        raw: contour noise, then texture noise, ``(B, 2 * C, *spatial)``, see :class:`UMedPerturbator`.
        bounds: contour bound and texture bound, ``(B, 2, *spatial)`` in [0, 1] units, at most one above 0 in a pixel.
        eps: unit of ``"clip"``.
        output: ``"tanh"`` or ``"clip"``.

    Returns:
        Noise ``(B, C, *spatial)`` in [0, 1] units.
    """
    contour, texture = raw.chunk(2, dim=1)
    if output == "tanh":
        contour, texture = contour.tanh(), texture.tanh()
        on_contour, on_texture = bounds.split(1, dim=1)
    else:
        on_contour, on_texture = (eps * (bounds > 0)).split(1, dim=1)
    return contour * on_contour + texture * on_texture


class UMed(Protector):
    """Contour-aware and texture-aware perturbation of an image at its native size.

    The generators see the image on the working grid; their noise is resampled to the native grid and multiplied by
    bounds computed there. So the pattern has the scale of the working grid, at which exploiters train, while contour,
    texture, gray levels and eps are those of the file. The paper has a single size, 224 x 224.

    With ``native``, the generators see overlapping windows of native voxels, as large as the working grid, whose noise
    is blended with Gaussian weights, because networks for volumes are trained on such patches.

    Args:
        perturbator: the fitted generators.
        working_size: grid of the generators, one number per spatial axis.
        eps: largest change of any pixel, as a fraction of the [0, 1] window; 4/255 in the paper.
        band_radius, band_unit: half-width of the contour band, which the paper does not give, see
            :func:`monai_umed.protectors.bounds.band_widths`.
        band_side: ``"both"`` as in the paper, ``"inner"`` or ``"outer"``, see
            `contour_band`. A band on both sides marks the structure only up to its width:
            if structures are hardly wider than the band, networks still have to learn the anatomy.
        texture: mode of `lbp_bound`, or ``"flat"`` for the ablation without LBP.
        texture_threshold: threshold of `lbp_bound`.
        texture_share: fraction of eps for the texture inside, see :mod:`monai_umed.fitting.target_psnr`.
        contour_share: fraction of eps for the contour; 0 for the ablation without it.
        native: whether the generators see native pixels in windows.
    """

    needs = Needs.fit
    protects_new_images = True
    paper = "Lin et al. 2024, arXiv 2403.14250"

    def __init__(
        self,
        perturbator: UMedPerturbator,
        working_size: Sequence[int] = (128, 128),
        eps: float = 4 / 255,
        band_radius: float = 2,
        band_unit: str = "pixel",
        band_side: str = "both",
        texture: str = "activity",
        texture_threshold: float = 1.5 / 255,
        texture_share: float = 1.0,
        contour_share: float = 1.0,
        native: bool = False,
        slice_axis: int | None = None,
    ) -> None:
        super().__init__(perturbator.spatial_dims, perturbator.in_channels, eps, slice_axis)
        if len(working_size) != self.spatial_dims:
            raise ValueError(f"working_size {tuple(working_size)} needs one number per axis, {self.spatial_dims}.")
        if min(working_size) < perturbator.contour.stride:
            raise ValueError(
                f"working_size {tuple(working_size)} is smaller than the generators' stride of "
                f"{perturbator.contour.stride} pixels; use at least that many along each axis."
            )
        if native and any(size % perturbator.contour.stride for size in working_size):
            raise ValueError(
                f"working_size {tuple(working_size)}: windows of native pixels must be multiples of the generators' "
                f"stride of {perturbator.contour.stride}, so that their patterns meet."
            )
        half_widths(band_radius, self.spatial_dims, band_unit, (float(band_radius),) * self.spatial_dims)
        if band_side not in SIDES:
            raise ValueError(f"band_side is {band_side!r}; use one of {', '.join(SIDES)}.")
        if texture not in (*MODES, "flat"):
            raise ValueError(f"texture is {texture!r}; use one of {', '.join(MODES)}, flat.")
        shares = {"texture_share": texture_share, "contour_share": contour_share}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}; it must be from 0 to 1.")
        if not any(shares.values()):
            raise ValueError(f"{' and '.join(shares)} are both 0, so nothing could change; raise one of them.")
        self.perturbator = perturbator
        self.working_size = tuple(int(size) for size in working_size)
        self.band_radius = float(band_radius) if band_unit == "mm" else int(band_radius)
        self.band_unit = band_unit
        self.band_side = band_side
        self.texture = texture
        self.texture_threshold = texture_threshold
        self.texture_share = texture_share
        self.contour_share = contour_share
        self.native = native
        self._raw = RawNoise(perturbator)

    @property
    def grid(self) -> tuple[int, ...] | None:
        return None if self.native else self.working_size

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values, the generators as their own settings."""
        return {**super().settings(), "perturbator": self.perturbator.settings()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> UMed:
        """Build a protector with new generators, whose weights :meth:`load_state` replaces.

        Raises:
            ValueError: If the fit used a setting that is gone, so that the protector would not be the one it was.
        """
        kept = {name: value for name, value in settings.items() if name not in _GONE}
        if used := [name for name in _GONE if settings.get(name)]:
            raise ValueError(f"{' and '.join(used)} of version 0.1 are gone; use that version for this protector")
        return cls(**{**kept, "perturbator": UMedPerturbator(**settings["perturbator"])})

    def __repr__(self) -> str:
        settings = self.settings()
        network = ", ".join(f"{name}={value!r}" for name, value in settings.pop("perturbator").items())
        return f"UMed(UMedPerturbator({network}), {', '.join(f'{name}={value!r}' for name, value in settings.items())})"

    def fit(self, items: Sequence[dict], progress: bool = True) -> None:
        """Raise ``ValueError``: the fit needs optimizers and a surrogate, which ``train.json`` defines."""
        raise ValueError("UMed's generators are fitted by `monai-umed fit` (the bundle's train.json); use that.")

    def state(self) -> dict[str, Any]:
        return dict(self.perturbator.state_dict())

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.perturbator.load_state_dict(state)
        self.perturbator.to(next(iter(state.values())).device).eval().requires_grad_(False)

    @property
    def fitted(self) -> bool:
        return True  # without a look at all weights for each image

    def _band_widths(self, size: Sequence[int], spacing: Sequence[float] | None) -> tuple[int, ...]:
        return band_widths(self.band_radius, self.band_unit, size, working_size=self.grid, spacing=spacing)

    def region(self, label: torch.Tensor, spacing: Sequence[float] | None = None) -> tuple[slice, ...]:
        """Return the box around the foreground and its band, for native windows.

        It begins a whole number of patches from the middle of the volume, so that the pattern has the same phase in
        volumes of different sizes that are padded or cropped evenly on both sides, MONAI's default. If the structure
        touches the border of the volume, the pattern begins there instead.
        """
        if not self.native:
            return super().region(label, spacing)
        patch = self.perturbator.patch
        box = []
        widths = self._band_widths(label.shape[1:], spacing)
        inside = nonzero_box(above(label, 0), label.ndim - 1)
        for size, width, part in zip(label.shape[1:], widths, inside, strict=True):
            # The bounds depend on texture up to one voxel beyond the band.
            low, high = max(0, part.start - width - 1), min(size, max(part.stop, 1) + width + 1)
            middle = (size + 1) // 2
            low -= (low - middle) % patch
            box.append(slice(max(0, low), high))
        return tuple(box)

    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        """Return the bounds ``eps * share * y_c`` and ``eps * share * x_t * (1 - y_c) * y``."""
        widths = self._band_widths(image.shape[1:], spacing)
        # Codes depend on where in the image a pixel lies, by the last bit of its position.
        if self.texture == "code":
            return self._bounds(image, label, widths)
        # One pixel beyond the band is the last whose texture counts.
        box = grown(nonzero_box(above(label, 0), label.ndim - 1), [max(1, width) + 1 for width in widths])
        near = (slice(None), *box)
        bounds = torch.zeros((2, *label.shape[1:]), dtype=torch.float32, device=label.device)
        bounds[near] = self._bounds(image[near], label[near], widths)
        return bounds

    def _bounds(self, image: torch.Tensor, label: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
        band = contour_band(label, widths, self.band_side)
        inside = above(label, 0) & ~band
        # Bytes become numbers in a third of the time that booleans take.
        on_contour, on_texture = (pixels.view(torch.uint8).to(torch.float32) for pixels in (band, inside))
        if self.texture != "flat":
            on_texture.mul_(lbp_bound(image, self.texture, self.texture_threshold))
        return torch.cat([on_contour.mul_(self.contour_share), on_texture.mul_(self.texture_share)]).mul_(self.eps)

    def noise(
        self, image: torch.Tensor, label: torch.Tensor, bounds: torch.Tensor, case_id: str | None
    ) -> torch.Tensor:
        return self.noises([Part(image, label, bounds, case_id, nonzero_box(bounds, bounds.ndim - 1))])[0]

    def noises(self, parts: Sequence[Part]) -> list[torch.Tensor]:
        output = self.perturbator.output
        noises = [torch.zeros_like(part.image, dtype=torch.float32) for part in parts]
        if self.native:
            for number, raw in self._raw.in_windows([part.image for part in parts], self.working_size):
                bounds, noise = parts[number].bounds, noises[number]
                # Plane by plane, since copies of a large volume would fill the memory.
                for index in range(noise.shape[1]) if self.spatial_dims == 3 else [slice(None)]:
                    noise[:, index] = bound_noise(raw[None, :, index], bounds[None, :, index], self.eps, output)[0]
            return noises
        for part, noise in zip(parts, noises, strict=True):
            raw = self._raw(resize(part.image[None].to(torch.float32), self.working_size))
            inner = (slice(None), *part.box)
            raw = resize_within(raw, part.image.shape[1:], part.box).contiguous()
            noise[inner] = bound_noise(raw, part.bounds[inner][None], self.eps, output)[0]
        return noises
