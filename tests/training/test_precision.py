"""bfloat16 for images, float32 for volumes on CPUs, and a result in float32 always."""

from __future__ import annotations

import pytest
import torch

from monai_umed.training import precision
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


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("spatial_dims", "enabled"), [(2, True), (2, False), (3, True), (3, False)])
def test_images_are_computed_in_bfloat16_on_cpus_that_know_it_and_everything_else_in_float32(
    spatial_dims: int, enabled: bool, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_computes_bfloat16", lambda: native)
    dtype = torch.bfloat16 if enabled and native and spatial_dims == 2 else torch.float32
    network = Recorder(spatial_dims)
    output = AutocastInferer(enabled)(torch.rand(1, 1, *[8] * spatial_dims), network)
    assert network.dtype == dtype
    assert output.dtype == torch.float32
