"""The base of protectors that use a network: the surrogate, its training, and its loss as a function of the image."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from monai.networks.nets.unet import UNet
from torch.nn import functional as F

from ..defenses import Defense, Materials
from ..exploiters.train import label_channels, train_exploiter
from ..functional.resampling import resize
from ..training.losses import segmentation_loss
from ..training.precision import AutocastInferer
from .base import Needs
from .bounded import BoundedProtector

Loss = Callable[[torch.Tensor], torch.Tensor]


def check_counts(**counts: int) -> None:
    """Refuse numbers of steps, rounds and the like that are not whole or are below 1."""
    for name, count in counts.items():
        if count != int(count) or count < 1:
            raise ValueError(f"{name} is {count}; it must be a whole number of at least 1.")


def check_positive(**numbers: float) -> None:
    """Refuse rates and step lengths that are not positive and finite."""
    for name, number in numbers.items():
        if not 0 < number < float("inf"):
            raise ValueError(f"{name} is {number}; it must be a positive number.")


def in_units(noise: torch.Tensor, bound: torch.Tensor) -> torch.Tensor:
    """Return noise as a fraction of its bound in [-1, 1], zero where the bound is zero."""
    return (noise / bound).nan_to_num(0, 0, 0).clamp(-1, 1)


def build_unet(
    spatial_dims: int, in_channels: int, out_channels: int, *, channels: Sequence[int], size: Sequence[int], seed: int
) -> UNet:
    """Build MONAI's untrained U-Net with instance normalization; equal seeds give equal weights.

    Raises:
        ValueError: If the grid cannot be halved once per level, or ends in a single pixel.
    """
    stride = 2 ** (len(channels) - 1)
    if len(channels) < 2 or any(length % stride or length < 2 * stride for length in size):
        raise ValueError(
            f"A grid of {tuple(size)} does not fit a U-Net of widths {tuple(channels)}: its sides must be multiples of "
            f"{stride} and at least {2 * stride}. Use another size, or at least two and fewer widths in channels."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        strides = (2,) * (len(channels) - 1)
        return UNet(spatial_dims, in_channels, out_channels, tuple(channels), strides, norm="instance")


class SurrogateProtector(BoundedProtector, ABC):
    """A method that trains a surrogate: an exploiter's network on the owner's machine.

    Args:
        channels: widths of the surrogate, MONAI's U-Net, from its first to its deepest level; the working grid must
            fit.
        learning_rate: constant learning rate of the surrogate's Adam.
        batch_size: images per step.
        amp: use bfloat16 where it is safe, see :func:`monai_umed.training.precision.autocast`.
        device: where a fit runs; a checkpoint's networks run on the device that it is loaded to.
        options: see :class:`BoundedProtector`.
    """

    needs: ClassVar[Needs] = Needs.surrogate
    protects_new_images: ClassVar[bool] = True
    union: ClassVar[bool] = False
    """Whether all foreground classes are treated as one."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        learning_rate: float = 1e-3,
        batch_size: int = 16,
        amp: bool = True,
        device: str = "cpu",
        **options: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        check_counts(batch_size=batch_size)
        check_positive(learning_rate=learning_rate)
        self.channels = tuple(int(width) for width in channels)
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.amp = amp
        self.device = device
        self.new_surrogate()

    @property
    def classes(self) -> int:
        """Number of classes that the surrogate distinguishes."""
        return 2 if self.union else self.num_classes

    def new_surrogate(self) -> UNet:
        """Build an untrained surrogate, always with the same weights."""
        outputs = 1 if self.classes == 2 else self.classes
        return build_unet(
            self.spatial_dims, self.in_channels, outputs, channels=self.channels, size=self.size, seed=self.seed
        )

    def target(self, label: torch.Tensor) -> torch.Tensor:
        """Convert class numbers ``(B, 1, *size)`` to the target of the surrogate's loss."""
        return label_channels((label > 0).to(label.dtype) if self.union else label, self.classes)

    def criterion(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return the loss of logits and a :meth:`target`."""
        return segmentation_loss(self.classes, one_hot_labels=True)

    def loss(self, network: torch.nn.Module, target: torch.Tensor) -> Loss:
        """Return the surrogate's loss as a function of images ``(B, C, *size)`` whose segmentation is ``target``."""
        criterion, inferer = self.criterion(), AutocastInferer(self.amp)
        return lambda image: criterion(inferer(image, network), target)

    def on_grid(self, items: Sequence[dict]) -> list[dict]:
        """Resample training cases to the working grid.

        Args:
            items: dictionaries with ``image`` ``(C, *spatial)`` in [0, 1], ``label`` ``(1, *spatial)``, ``id`` and
                ``bounds`` ``(regions, *spatial)`` from :func:`monai_umed.data.training_set.load_training_set`; missing
                bounds are computed.

        Returns:
            New dictionaries with ``id``, ``image``, ``label`` and ``bound`` ``(1, *size)`` in [0, 1] units.

        Raises:
            ValueError: If there are no items, or one does not fit the protector.
        """
        if len(items) == 0:
            raise ValueError(f"{type(self).__name__} was given no training cases; fit needs at least one.")
        return [self._on_grid(item) for item in items]

    def _on_grid(self, item: dict) -> dict:
        image, label = item["image"].to(torch.float32), item["label"].to(torch.float32)
        if image.ndim != self.spatial_dims + 1 or len(image) != self.in_channels:
            raise ValueError(
                f"Case {item['id']!r} has shape {tuple(image.shape)}; this protector takes {self.in_channels} "
                f"channel(s) and {self.spatial_dims} spatial axes. Set in_channels and spatial_dims to the dataset's."
            )
        if self.native and image.shape[1:] != self.size:
            raise ValueError(
                f"Case {item['id']!r} has shape {tuple(image.shape)}; this protector works on windows of {self.size} "
                "native pixels. Load the training set with layout='windows'."
            )
        if label.max() >= self.num_classes:
            raise ValueError(
                f"Case {item['id']!r} has class {int(label.max())}, but num_classes is {self.num_classes}; set it to "
                f"at least {int(label.max()) + 1}."
            )
        bounds = item["bounds"] if "bounds" in item else self.bounds(image, label)
        return {
            "id": item["id"],
            "image": resize(image[None], self.size)[0],
            "label": F.interpolate(label[None], size=self.size, mode="nearest")[0],
            "bound": resize(bounds.sum(dim=0)[None, None], self.size)[0].clamp(min=0),
        }

    def stack(self, items: Sequence[dict], *keys: str) -> list[torch.Tensor]:
        """Stack the items' tensors under each key into a batch on the device."""
        return [torch.stack([item[key] for item in items]).to(self.device) for key in keys]

    def batches(self, items: Sequence[dict]) -> Iterator[list[dict]]:
        """Yield the items in order, ``batch_size`` at a time."""
        rest = iter(items)
        while batch := list(islice(rest, self.batch_size)):
            yield batch

    def train_surrogate(
        self,
        items: Sequence[dict],
        epochs: int,
        progress: bool,
        defense: Defense | None = None,
        handlers: Sequence[Any] = (),
    ) -> torch.nn.Module:
        """Train a new surrogate like an exploiter, see :func:`monai_umed.exploiters.train.train_exploiter`.

        Args:
            items: dictionaries with ``image`` and ``label``, read in every step, so that a handler may replace images
                during the training.
            epochs, progress, defense, handlers: see ``train_exploiter``.

        Returns:
            The network, in evaluation mode and without gradients.
        """
        materials = Materials(lambda: self.new_surrogate(), lambda network, _: network, lambda name: False, self.eps)
        network = train_exploiter(
            self.new_surrogate(),
            items,
            num_classes=self.classes,
            epochs=epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=self.seed,
            device=self.device,
            amp=self.amp,
            progress=progress,
            title=f"fit {type(self).__name__}",
            defense=defense,
            materials=None if defense is None else materials,
            handlers=handlers,
        )
        return network.requires_grad_(False)

    def surrogate_items(self, items: Sequence[dict]) -> list[dict]:
        """Return the items of :meth:`on_grid` for the surrogate, with one class of foreground if :attr:`union`."""
        label = (lambda item: (item["label"] > 0).float()) if self.union else (lambda item: item["label"])
        return [{"image": item["image"], "label": label(item)} for item in items]
