"""Tint: a flat shift of colors inside and its opposite outside, which no geometry, blur or resizing removes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch.nn import functional as F

from ..functional.local_binary_pattern import luma
from .base import Needs
from .bounded import BoundedProtector

WINDOW = 17
"""Side in pixels of the windows that natural colors are averaged over, about a patch of a lesion."""

NEAR = 0.75
"""Fraction of the best separability that a direction needs for a key to choose it."""

MOST_CHANNELS = 8  # 128 directions of signs
_ROUNDING = 1 / 255**2 / 12  # variance of values that are rounded to 8 bits
_POOL = {2: F.avg_pool2d, 3: F.avg_pool3d}


def directions(channels: int, neutral: bool = False) -> torch.Tensor:
    """Return the candidates for a tint, one of each pair of opposites, with a largest entry of 1.

    Signs make the most of a limit per channel. If luma must not change (``neutral``), all entries but one are signs,
    and the remaining one cancels their effect.

    Args:
        channels: number of channels, at least 2.
        neutral: whether :func:`monai_umed.functional.local_binary_pattern.luma` must not change.

    Returns:
        ``float64``, shape ``(directions, channels)``.

    Example:
        >>> directions(2).tolist()
        [[1.0, 1.0], [1.0, -1.0]]
        >>> directions(3, neutral=True).shape
        torch.Size([2, 3])
    """
    signs = torch.tensor([(1.0, *rest) for rest in product((1.0, -1.0), repeat=channels - 1)], dtype=torch.float64)
    if not neutral:
        return signs
    weights = luma(torch.eye(channels, dtype=torch.float64).reshape(channels, channels, 1))[0, :, 0]
    found: dict[tuple[float, ...], torch.Tensor] = {}
    for free in range(channels):
        for direction in signs.clone():
            direction[free] = 0
            direction[free] = -(weights @ direction) / weights[free]
            if direction.abs().max() <= 1:
                direction = direction * direction[direction != 0][0].sign()
                found[tuple(direction.tolist())] = direction
    return torch.stack(list(found.values()))


class Tint(BoundedProtector):
    r"""A flat offset per channel inside the foreground and its opposite outside, the same in all images.

    It has the direction of signs with the largest separability from natural colors. With the covariance
    :math:`\Sigma` of color means over 17 x 17 pixels and the difference :math:`\delta` between inside and outside, this
    is :math:`d' = \sqrt{\delta^T \Sigma^{-1} \delta}` (Mahalanobis distance), estimated from the images of the fit. It
    is printed after a fit, with a warning below 1, where natural colors vary more than the tint. Grayscale conversion
    removes a tint.

    Args:
        in_channels: number of channels, 2 to 8.
        outside: fraction of eps for the opposite offset outside.
        feather: distance from the contour inward, in pixels of the working grid, over which the tint grows to full
            strength.
        neutral: whether luma must not change, which lowers the separability.
        common: see :class:`BoundedProtector`.
    """

    needs = Needs.fit
    protects_new_images = True
    needs_color = True
    paper = "method of this package"

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        outside: float = 0.5,
        feather: float = 0,
        neutral: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, **common)
        if in_channels == 1:
            raise ValueError(
                "The images have one channel, but a tint needs several; use the preset strong, whose pattern needs no "
                "color."
            )
        if in_channels > MOST_CHANNELS:
            raise ValueError(f"in_channels is {in_channels}; a tint takes at most {MOST_CHANNELS}. Leave some out.")
        if not 0 <= outside <= 1:
            raise ValueError(f"outside is {outside}; it must be from 0 to 1, a share of eps.")
        if not 0 <= feather <= min(self.size) / 2:
            raise ValueError(f"feather is {feather}; it must be from 0 to {min(self.size) / 2:g} pixels.")
        self.outside = float(outside)
        self.feather = float(feather)
        self.neutral = bool(neutral)
        self.secret = 0
        self._direction: torch.Tensor | None = None
        self._rate = 0.0

    def choose(self, secret: int) -> None:
        """Choose one of the near-optimal directions and signs before the fit by a number; 0 is the best one.

        The number is not a setting, so that records do not reveal it. RGB images have two to eight choices, few enough
        to try all of them.
        """
        self.secret = secret

    def fit(self, items: Sequence[dict], progress: bool = True) -> None:
        """Choose the direction.

        Raises:
            ValueError: If all channels are equal, as in gray images that are stored as RGB.
        """
        rows = torch.cat([self._means(item["image"]) for item in items])
        covariance = rows.T.cov(correction=0)
        if (rows - rows.mean(1, keepdim=True)).abs().max() < 0.5 / 255:
            raise ValueError(
                f"All {self.in_channels} channels are equal: the images are gray, and grayscale conversion would "
                "remove a tint; use the preset strong."
            )
        precision = torch.linalg.inv(covariance + _ROUNDING * torch.eye(len(covariance), dtype=torch.float64))
        found = directions(self.in_channels, self.neutral)
        rates = (1 + self.outside) * torch.einsum("ni,ij,nj->n", found, precision, found).sqrt()
        order = rates.argsort(descending=True, stable=True)
        near = [index for index in order.tolist() if rates[index] >= NEAR * rates.max()]
        number, flipped = divmod(self.secret % (2 * len(near)), 2)
        chosen = found[near[number]]
        # Toward the middle of the window, where less is clipped, unless the secret says otherwise.
        toward = chosen @ (rows.mean(0) - 0.5) <= 0
        self._direction = (chosen if bool(toward) != bool(flipped) else -chosen).to(torch.float32)
        self._rate = float(rates[near[number]])

    def announce(self) -> None:
        """Print the separability of the fitted tint at its present eps, and warn if it is below 1."""
        limit = self.eps * 255
        print(
            f"Tint of {limit:.3g}/255 inside and {self.outside * limit:.3g}/255 the other way outside: natural colors "
            f"leave a separability d' of {self.separability:.2f}."
        )
        if self.separability < 1:
            warnings.warn(
                f"d' is {self.separability:.2f}, below 1: natural colors vary more than this tint, so expect little "
                f"protection. Raise eps to {limit / self.separability:.3g}/255, or use the preset strong.",
                stacklevel=2,
            )

    @property
    def separability(self) -> float:
        """The separability d' of inside and outside at this eps; 0 before the fit."""
        return self._rate * self.eps

    def _means(self, image: torch.Tensor) -> torch.Tensor:
        """Return the mean colors of windows, ``float64``, shape ``(windows, C)``."""
        sides = [min(WINDOW, side) for side in image.shape[1:]]
        means = _POOL[self.spatial_dims](image.to(torch.float64)[None], sides, [max(1, side // 4) for side in sides])
        return means[0].flatten(1).T

    def bounds(self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None = None) -> torch.Tensor:
        limit = super().bounds(image, label, spacing)
        return limit if self.outside == 1 else limit.mul_((label > 0) * (1 - self.outside) + self.outside)

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        """Return noise in units of the bounds, on the grid of the label."""
        inside = (label > 0).to(torch.float32)
        strength = self._feathered(inside) if self.feather else inside
        field = torch.where(inside > 0, strength * (1 + self.outside) - self.outside, -1.0)
        direction = torch.zeros(self.in_channels) if self._direction is None else self._direction
        return direction.to(field.device).reshape(-1, *[1] * self.spatial_dims) * field

    def _feathered(self, inside: torch.Tensor) -> torch.Tensor:
        """Return 0 on the contour and 1 from ``feather`` pixels of the working grid on, linear in between."""
        blurred = inside[None]
        for axis, (side, grid) in enumerate(zip(inside.shape[1:], self.size, strict=True)):
            reach = max(1, round(self.feather if self.native else self.feather * side / grid))
            kernel, padding = [1] * self.spatial_dims, [0] * self.spatial_dims
            kernel[axis], padding[axis] = 2 * reach + 1, reach
            blurred = _POOL[self.spatial_dims](blurred, kernel, 1, padding, count_include_pad=False)
        return (2 * blurred[0] - 1).clamp(0, 1) * inside

    def noise(
        self, image: torch.Tensor, label: torch.Tensor, bounds: torch.Tensor, case_id: str | None
    ) -> torch.Tensor:
        return self.raw(image, label, case_id) * bounds  # A flat field needs no resampling.

    def state(self) -> dict[str, Any]:
        return {} if self._direction is None else {"direction": self._direction, "rate": self._rate}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._direction, self._rate = state["direction"].to(torch.float32), float(state["rate"])
