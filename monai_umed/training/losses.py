"""The loss that surrogates, generators and exploiters all minimize."""

from __future__ import annotations

from monai.losses import DiceCELoss


def output_channels(num_classes: int) -> int:
    """Return the channels of a network's output: one logit for two classes, else one per class with background."""
    return 1 if num_classes == 2 else num_classes


def segmentation_loss(num_classes: int = 2, one_hot_labels: bool = False) -> DiceCELoss:
    """Return the paper's loss, cross-entropy plus Dice: a sigmoid for two classes, a softmax for more.

    Dice is smoothed by one pixel and computed without the background class.

    Args:
        num_classes: classes, background included.
        one_hot_labels: for more than two classes, whether labels have one channel per class, and hence may be soft,
            instead of class numbers.
    """
    if num_classes == 2:
        return DiceCELoss(sigmoid=True, smooth_nr=1, smooth_dr=1)
    return DiceCELoss(include_background=False, to_onehot_y=not one_hot_labels, softmax=True, smooth_nr=1, smooth_dr=1)
