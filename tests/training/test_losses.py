"""The loss: zero for a perfect prediction, the same for class numbers and for one channel per class."""

from __future__ import annotations

import pytest
import torch

from monai_umed.training.losses import segmentation_loss


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_loss_of_a_perfect_prediction_is_near_zero_and_of_its_opposite_large(num_classes: int) -> None:
    label = torch.randint(0, num_classes, (2, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    logits = 40.0 * torch.nn.functional.one_hot(label[:, 0], num_classes).permute(0, 3, 1, 2) - 20
    if num_classes == 2:
        logits = logits[:, 1:]
    loss = segmentation_loss(num_classes)
    assert loss(logits, label.float()) < 0.01 < 1 < loss(-logits, label.float())


def test_one_channel_per_class_gives_the_loss_of_class_numbers() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 3, (2, 1, 8, 8), generator=generator)
    logits = torch.randn(2, 3, 8, 8, generator=generator)
    channels = torch.nn.functional.one_hot(label[:, 0], 3).permute(0, 3, 1, 2).float()
    assert segmentation_loss(3, one_hot_labels=True)(logits, channels) == pytest.approx(
        segmentation_loss(3)(logits, label).item(), rel=1e-6
    )
