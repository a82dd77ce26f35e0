"""Raw noise of UMed's fitted generators, of each image as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from monai.inferers import sliding_window_inference
from torch.nn import functional as F

from ..networks import JointGenerators, UMedPerturbator

WINDOWS_AT_ONCE = {2: 16, 3: 4}
"""Windows that go through the generators together, by their number of axes."""


class RawNoise:
    """Computes raw noise, and keeps what it needs of the generators until their weights change.

    Args:
        perturbator: the generators.
    """

    def __init__(self, perturbator: UMedPerturbator) -> None:
        self._perturbator = perturbator
        self._tables = [module._parameters for module in perturbator.modules() if module._parameters]
        self._joint: tuple[list[tuple[int, int]], JointGenerators] | None = None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return raw noise ``(B, 2 * C, *spatial)`` of images ``(B, C, *spatial)``."""
        if self._perturbator.training:  # one image must not change the statistics of batch normalization
            self._perturbator.eval()
        if not JointGenerators.supports(self._perturbator):
            return self._perturbator(images)
        weights = [weight for table in self._tables for weight in table.values() if weight is not None]
        if any(weight.is_inference() for weight in weights):  # they do not count how often they were changed
            return JointGenerators(self._perturbator)(images)
        state = [(weight.data_ptr(), weight._version) for weight in weights]
        known = self._joint
        if known is None or known[0] != state:
            self._joint = known = state, JointGenerators(self._perturbator)
        return known[1](images)

    def in_windows(self, images: Sequence[torch.Tensor], window: Sequence[int]) -> Iterator[tuple[int, torch.Tensor]]:
        """Compute raw noise from overlapping windows of native pixels; images of equal windows are one batch.

        Args:
            images: each ``(C, *spatial)``, of any size.
            window: size of a window.

        Yields:
            The number of each image, in any order, and its raw noise ``(2 * C, *spatial)``.
        """
        stride = self._perturbator.contour.stride
        batches: dict[tuple[int, ...], list[int]] = {}
        padded = []
        for number, image in enumerate(images):
            size = image.shape[1:]
            target = [max(least, -(-side // stride) * stride) for side, least in zip(size, window, strict=True)]
            padding = [pad for side, new in zip(size[::-1], target[::-1], strict=True) for pad in (0, new - side)]
            padded.append(F.pad(image[None].to(torch.float32), padding, mode="replicate"))
            batches.setdefault(tuple(target), []).append(number)
        for numbers in batches.values():
            raws = sliding_window_inference(
                torch.cat([padded[number] for number in numbers]) if len(numbers) > 1 else padded[numbers[0]],
                window,
                sw_batch_size=WINDOWS_AT_ONCE[len(window)],
                predictor=self,
                overlap=0.5,
                mode="gaussian",
            )
            for number, raw in zip(numbers, cast(torch.Tensor, raws), strict=True):
                yield number, raw[(slice(None), *(slice(side) for side in images[number].shape[1:]))]
