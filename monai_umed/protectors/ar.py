"""AR, autoregressive perturbations: each pixel of noise follows from its neighbors (Sandoval-Segura et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.signal import lfilter

from .class_noise import ClassNoise

SIDE = 3
"""Pixels of a kernel along each axis."""
CROP = 4
"""First pixels of each axis, cut off because the kernel does not yet show in them."""
TRIAL_SIDES = (8, 32, None)
"""Largest sides of the fields that a kernel is tried on; most kernels fail on small fields already."""
LARGEST_RMS = 0.9
"""Largest RMS of a trial field that starts from N(0, 1): the paper's L2 norm of 50 on 3 x 32 x 32 pixels."""
LEAST_RESPONSE = 0.1
"""Least mean absolute residual of a field with RMS 1 under the kernel of another class."""


def autoregress(kernel: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Replace every pixel, in raster order, by the kernel's sum over the pixels before it.

    Args:
        kernel: weights ``(3, ..., 3)``, the last of which belongs to the pixel itself and is zero.
        start: field with the same number of axes; its first two entries along each axis stay as they are.

    Returns:
        ``x`` with ``x[i, j] = sum(kernel * x[i - 2 : i + 1, j - 2 : j + 1])``, accordingly in 3D, as float64.
    """
    field = np.array(start, np.float64)
    weights = kernel.reshape(-1, SIDE)
    length = field.shape[-1] - SIDE + 1
    direct = np.ones(1)
    feedback = np.array([1, -weights[-1, 1], -weights[-1, 0]])
    for index in product(*(range(SIDE - 1, side) for side in field.shape[:-1])):
        rows = field[tuple(slice(i - SIDE + 1, i + 1) for i in index)].reshape(len(weights), -1)
        drive = sum(weights[:-1, tap] @ rows[:-1, tap : tap + length] for tap in range(SIDE))
        # Given the rows before it, a row is the output of a one-dimensional recursive filter.
        first, second = rows[-1, :2]
        memory = np.array([weights[-1, 1] * second + weights[-1, 0] * first, weights[-1, 0] * second])
        field[index][SIDE - 1 :] = lfilter(direct, feedback, drive, zi=memory)[0]
    return field


def residual(kernel: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return what the kernel leaves unexplained at every pixel with all neighbors, flat; zero for its own fields."""
    taps = kernel.ravel().copy()
    taps[-1] = -1
    windows = np.lib.stride_tricks.sliding_window_view(field, kernel.shape)
    return windows.reshape(-1, taps.size) @ taps


def _field(kernel: np.ndarray, size: Sequence[int], generator: torch.Generator) -> np.ndarray:
    start = torch.randn([side + CROP for side in size], generator=generator, dtype=torch.float64).numpy()
    return autoregress(kernel, start)[(slice(CROP, None),) * len(size)]


def _trial(kernel: np.ndarray, size: Sequence[int], generator: torch.Generator) -> np.ndarray | None:
    """Return a field with RMS 1, or None if fields of that kernel explode."""
    for largest in TRIAL_SIDES:
        with np.errstate(over="ignore", invalid="ignore"):
            field = _field(kernel, [min(side, largest or side) for side in size], generator)
            rms = float(np.sqrt(np.mean(field**2)))
        if not 0 < rms <= LARGEST_RMS:
            return None
    return field / rms


def _differ(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    """Return whether neither kernel explains the field of the other."""
    pairs = ((one[0], other[1]), (other[0], one[1]))
    return all(np.abs(residual(kernel, field)).mean() >= LEAST_RESPONSE for kernel, field in pairs)


class AR(ClassNoise):
    r"""Autoregressive perturbations (Sandoval-Segura et al., NeurIPS 2022, arXiv 2206.03693).

    Each class and channel has a kernel :math:`b` of 3 pixels a side that sums to 1 and only looks back:
    :math:`x_{ij} = \sum_{kl} b_{kl} x_{i-2+k, j-2+l}`, :math:`b_{22} = 0`, from a border of N(0, 1). A kernel is
    accepted if its fields stay finite and small, and no other class's kernel explains them.

    Differs from the paper: volumes have kernels of 3 x 3 x 3. Both tests are made per pixel, where the paper has sums
    over 3 x 32 x 32. The paper fixes the L2 norm (an RMS of 4.6/255) without a limit per pixel; here the bound holds,
    and by default the RMS is eps / 2, so that few pixels are clipped and the recurrence survives.

    Args:
        per_image, norm, rms, common: see :class:`ClassNoise`; kernels depend on the seed alone.
    """

    paper = "Sandoval-Segura et al. 2022, arXiv 2206.03693"

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        per_image: bool = True,
        norm: str = "rms",
        rms: float = 0.5,
        **common: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, per_image=per_image, norm=norm, rms=rms, **common)
        if min(self.size) < SIDE:
            raise ValueError(f"size is {self.size}; a recurrence over {SIDE} pixels needs at least that many a side.")
        self.kernels = torch.from_numpy(self._draw_kernels())

    def fields(self, generator: torch.Generator) -> torch.Tensor:
        kernels = self.kernels.flatten(0, 1).numpy()
        fields = [_field(kernel, self.size, generator) for kernel in kernels]
        return torch.from_numpy(np.stack(fields)).unflatten(0, self.kernels.shape[:2])

    def _draw_kernels(self) -> np.ndarray:
        """Draw one kernel per class and channel, ``(num_classes, C, 3, ..., 3)``, channel by channel."""
        generator = self.generator("kernels")
        channels = []
        for _ in range(self.in_channels):
            kept: list[tuple[np.ndarray, np.ndarray]] = []
            while len(kept) < self.num_classes:
                kernel = torch.randn((SIDE,) * self.spatial_dims, generator=generator, dtype=torch.float64).numpy()
                kernel.flat[-1] = 0
                kernel /= kernel.sum()
                field = _trial(kernel, self.size, generator)
                if field is not None and all(_differ((kernel, field), other) for other in kept):
                    kept.append((kernel, field))
            channels.append([kernel for kernel, _ in kept])
        return np.array(channels).swapaxes(0, 1)
