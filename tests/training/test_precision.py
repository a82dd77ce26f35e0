"""bfloat16 for images, float32 for volumes on CPUs, and a result in float32 always."""

from __future__ import annotations

import pytest
import torch

from monai_umed.training.precision import AutocastInferer


class Recorder(torch.nn.Module):
    """A convolution that notes the type it computes in."""

    def __init__(self, spatial_dims: int) -> None:
        super().__init__()
        self.layer = (torch.nn.Conv2d if spatial_dims == 2 else torch.nn.Conv3d)(1, 1, 3, padding=1)
        self.dtype: torch.dtype | None = None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        output = self.layer(image)
        self.dtype = output.dtype
        return output


@pytest.mark.parametrize(
    ("spatial_dims", "enabled", "dtype"),
    [(2, True, torch.bfloat16), (2, False, torch.float32), (3, True, torch.float32), (3, False, torch.float32)],
)
def test_images_are_computed_in_bfloat16_and_volumes_in_float32_on_cpus(
    spatial_dims: int, enabled: bool, dtype: torch.dtype
) -> None:
    network = Recorder(spatial_dims)
    output = AutocastInferer(enabled)(torch.rand(1, 1, *[8] * spatial_dims), network)
    assert network.dtype == dtype
    assert output.dtype == torch.float32
