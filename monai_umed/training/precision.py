"""bfloat16 where it is safe: MONAI's own switch means CUDA only."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from monai.inferers import SimpleInferer


@cache
def _computes_bfloat16() -> bool:
    """Whether this CPU's vector units know bfloat16; others emulate it, five times slower than float32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(image: torch.Tensor, enabled: bool = True) -> torch.autocast:
    """Compute in bfloat16 where autocast allows it.

    Not for volumes on CPUs: with torch 2.13, gradients of 3D convolutions on feature maps of 2 x 2 x 2 voxels were now
    and then NaN there (3 of 24 short trainings of MONAI's U-Net on 32 x 32 x 32 voxels, none of 24 in float32). Nor on
    CPUs that emulate it: with AVX2 alone a step of that U-Net on 16 images of 128 x 128 pixels took 2.3 s, in float32
    0.5 s.

    Args:
        image: ``(B, C, *spatial)``, the input of the network.
        enabled: False for float32 in any case.
    """
    device = image.device.type
    worthwhile = device != "cpu" or (image.ndim == 4 and _computes_bfloat16())
    return torch.autocast(device, torch.bfloat16, enabled=enabled and worthwhile)


class AutocastInferer(SimpleInferer):
    """Forward pass under :func:`autocast`, result in float32.

    Args:
        enabled: False for float32 in any case.
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__()
        self.enabled = enabled

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        with autocast(inputs, self.enabled):
            return super().__call__(inputs, network, *args, **kwargs).float()
