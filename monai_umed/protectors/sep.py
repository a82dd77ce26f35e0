"""Self-ensemble protection: snapshots of one training as an ensemble (Chen et al. 2023, arXiv 2211.12005)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from monai.networks.nets.unet import UNet
from torch.nn import functional as F

from ..training.precision import AutocastInferer
from .surrogate import Loss
from .targeted import TargetedProtector


class SEP(TargetedProtector):
    r"""Self-ensemble protection (Chen et al. 2023, ICLR, arXiv 2211.12005).

    .. math:: \min_{|d| \le b} \frac{1}{n} \sum_j L(f_j(x + d), (y + 1) \bmod K)

    Like :class:`monai_umed.protectors.tap.TAP`, but the loss is averaged over snapshots :math:`f_j` of the surrogate
    during its training, which err on different images and thus are an ensemble at the cost of one network.

    Differs from the paper: cross-entropy plus Dice of every pixel; the wrong class is the next one, not the fifth
    next of ten; 5 snapshots of 15 epochs and 10 steps of eps/4 instead of 30 of 120 and 30 steps of half the bound,
    to save time on CPUs; a uniform start.

    Args:
        checkpoints: number of snapshots, evenly spaced over the training, including the last epoch.
        epochs, noise_steps, noise_step, options: see :class:`TargetedProtector`.
    """

    paper: ClassVar[str] = "Chen et al. 2023, arXiv 2211.12005"

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        checkpoints: int = 5,
        epochs: int = 15,
        noise_steps: int = 10,
        noise_step: float = 0.25,
        **options: Any,
    ) -> None:
        super().__init__(
            spatial_dims, in_channels, epochs=epochs, noise_steps=noise_steps, noise_step=noise_step, **options
        )
        if not 1 <= checkpoints <= epochs:
            raise ValueError(
                f"checkpoints is {checkpoints}; it must be from 1 to the {epochs} epochs of the surrogate."
            )
        self.checkpoints = checkpoints

    @property
    def snapshots(self) -> int:
        return self.checkpoints

    def member(self, index: int, wrong: torch.Tensor) -> Loss:
        """Return the contribution of one snapshot to :meth:`objective`."""
        return self.loss(self.networks[index], self.target(wrong))

    def objective(self, wrong: torch.Tensor) -> Loss:
        members = [self.member(index, wrong) for index in range(self.checkpoints)]
        return lambda image: torch.stack([member(image) for member in members]).mean()


def features(network: UNet, image: torch.Tensor, amp: bool) -> torch.Tensor:
    """Return the input of the last layer of MONAI's U-Net, ``(B, F, *size / 2)``."""
    return AutocastInferer(amp)(image, cast(torch.nn.Sequential, network.model)[:2])


def at_size_of(label: torch.Tensor, smaller: torch.Tensor) -> torch.Tensor:
    """Resample class numbers ``(B, 1, *size)`` to the grid of some features by nearest neighbor."""
    return F.interpolate(label, size=smaller.shape[2:], mode="nearest")


class SEPFA(SEP):
    """Self-ensemble protection with feature alignment (Chen et al. 2023, ICLR, arXiv 2211.12005).

    Instead of the loss, it minimizes the squared distance of each pixel's :func:`features` from the mean features of
    its wrong class over the training images, for each snapshot.

    Differs from the paper like :class:`SEP`, and has no variance reduction.
    """

    def __init__(self, spatial_dims: int, in_channels: int, **options: Any) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        self.prototypes = torch.empty(0)

    def fit(self, items: Sequence[dict], progress: bool = True) -> None:
        super().fit(items, progress)
        prepared = self.on_grid(items)
        self.prototypes = torch.stack([self._means(network, prepared) for network in self.networks])

    @torch.no_grad()
    def _means(self, network: UNet, items: list[dict]) -> torch.Tensor:
        """Return the mean features of every class, ``(classes, F)``; zeros for a class without pixels."""
        total = counts = torch.zeros(())
        for batch in self.batches(items):
            image, label = self.stack(batch, "image", "label")
            found = features(network, image, self.amp)
            classes = at_size_of(label, found).flatten().long()
            members = F.one_hot(classes, self.num_classes).to(found)
            total = total + (members.T @ found.movedim(1, -1).flatten(0, -2)).cpu()
            counts = counts + members.sum(dim=0).cpu()
        return total / counts.clamp(min=1)[:, None]

    def member(self, index: int, wrong: torch.Tensor) -> Loss:
        network, prototypes = self.networks[index], self.prototypes[index].to(wrong.device)

        def distance(image: torch.Tensor) -> torch.Tensor:
            found = features(network, image, self.amp)
            target = prototypes[at_size_of(wrong, found)[:, 0].long()].movedim(-1, 1)
            return F.mse_loss(found, target)

        return distance

    def state(self) -> dict[str, Any]:
        """Return the weights of the snapshots, and ``prototypes`` ``(checkpoints, classes, F)``."""
        return {**super().state(), "prototypes": self.prototypes} if self.networks else {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state({name: value for name, value in state.items() if name != "prototypes"})
        self.prototypes = state["prototypes"].cpu()
