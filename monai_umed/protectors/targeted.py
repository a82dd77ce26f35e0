"""Noise that makes trained networks predict the wrong segmentation: the base of TAP and SEP."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import chain, islice
from typing import Any, cast

import torch
from ignite.engine import Engine, Events
from monai.networks.nets.unet import UNet

from ..functional.projected_gradient import minimize
from .perturbation import Part
from .surrogate import Loss, SurrogateProtector, check_counts, check_positive, in_units


def next_class(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the wrong class for every pixel: the one after its own, background after the last."""
    return (label + 1) % num_classes


class Snapshots:
    """A MONAI handler that keeps copies of the network after evenly spaced epochs, including the last.

    Args:
        count: number of copies, at most that of epochs.

    Attributes:
        networks: the copies so far, in evaluation mode and without gradients.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.networks: list[torch.nn.Module] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._keep)

    def _keep(self, engine: Engine) -> None:
        if engine.state.epoch * self.count >= (len(self.networks) + 1) * cast(int, engine.state.max_epochs):
            network = deepcopy(cast(Any, engine).network)
            self.networks.append(network.eval().requires_grad_(False))


class TargetedProtector(SurrogateProtector, ABC):
    """A method that trains a surrogate on the clean images and perturbs each image so that its snapshots are wrong.

    Args:
        epochs: epochs of the surrogate.
        noise_steps: gradient steps per image.
        noise_step: length of a step as a fraction of eps.
        options: see :class:`SurrogateProtector`; the bound must not have a band in mm.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        epochs: int,
        noise_steps: int,
        noise_step: float,
        **options: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, **options)
        check_counts(epochs=epochs, noise_steps=noise_steps)
        check_positive(noise_step=noise_step)
        if "band" in self.bound_map.factors and self.bound_map.band_unit == "mm":
            raise ValueError(
                f"band_unit is 'mm', but {type(self).__name__} needs the band on its working grid, whose pixels have "
                "no size; use band_unit 'pixel'."
            )
        self.epochs = epochs
        self.noise_steps = noise_steps
        self.noise_step = noise_step
        self.networks: list[UNet] = []

    @property
    def snapshots(self) -> int:
        """Number of states of the surrogate that are used, the last one and others before it."""
        return 1

    @abstractmethod
    def objective(self, wrong: torch.Tensor) -> Loss:
        """Return the loss of images that makes networks predict the class numbers ``wrong``, ``(B, 1, *size)``."""

    def fit(self, items: Sequence[dict], progress: bool = True) -> None:
        """Train the surrogate on clean images; items and errors are those of :meth:`on_grid`."""
        snapshots = Snapshots(self.snapshots)
        self.train_surrogate(self.on_grid(items), self.epochs, progress, handlers=[snapshots])
        # Use the memory layout of a loaded network: another one rounds differently, and a sign may depend on it.
        networks = [network.to(memory_format=torch.contiguous_format) for network in snapshots.networks]  # type: ignore[call-overload]
        self.networks = cast(list[UNet], networks)

    def raw(self, image: torch.Tensor, label: torch.Tensor, case_id: str | None) -> torch.Tensor:
        return self._raws(image[None], label[None], [case_id])[0]

    def noises(self, parts: Sequence[Part]) -> list[torch.Tensor]:
        windows = [self.to_grid(part.image, part.label, part.case_id) for part in parts]
        raws = self._all_raws(list(chain.from_iterable(windows)))
        return [
            self.to_native(list(islice(raws, len(of_part))), part.bounds)
            for part, of_part in zip(parts, windows, strict=True)
        ]

    def _all_raws(self, windows: Sequence[tuple[torch.Tensor, torch.Tensor, str | None]]) -> Iterator[torch.Tensor]:
        for first in range(0, len(windows), self.batch_size):
            images, labels, names = zip(*windows[first : first + self.batch_size], strict=True)
            yield from self._raws(torch.stack(images), torch.stack(labels), names)

    def _raws(self, images: torch.Tensor, labels: torch.Tensor, case_ids: Sequence[str | None]) -> torch.Tensor:
        """Compute :meth:`raw` for several cases at once, each with a random start of its own."""
        bound = torch.stack([self.bounds(image, label) for image, label in zip(images, labels, strict=True)])
        draws = torch.stack([torch.rand(images.shape[1:], generator=self.generator(name)) for name in case_ids])
        start = (2 * draws - 1).to(bound) * bound
        device = next(self.networks[0].parameters()).device
        images, bound, start, wrong = (
            value.to(device) for value in (images, bound, start, next_class(labels, self.num_classes))
        )
        step = self.noise_step * self.eps
        perturbed = minimize(self.objective(wrong), images, bound, steps=self.noise_steps, step_size=step, start=start)
        return in_units(perturbed - images, bound)

    def state(self) -> dict[str, Any]:
        """Return the weights of the snapshots, in their order."""
        return dict(torch.nn.ModuleList(self.networks).state_dict())

    def load_state(self, state: Mapping[str, Any]) -> None:
        networks = torch.nn.ModuleList(self.new_surrogate() for _ in range(self.snapshots))
        networks.load_state_dict(dict(state))
        networks.to(next(iter(state.values())).device).eval().requires_grad_(False)
        self.networks = cast(list[UNet], list(networks))
