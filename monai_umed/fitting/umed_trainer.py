"""UMed's alternating optimization (Lin et al. 2024, Algorithm 1) as a MONAI trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from monai.engines import PrepareBatchExtraInput, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys as Keys
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ..functional.bounded_addition import add_bounded
from ..functional.eps import check_eps
from ..functional.resampling import resize
from ..networks import UMedPerturbator
from ..protectors import bound_noise
from ..training.distributed import unwrapped
from ..training.precision import autocast


def trains_surrogate(epoch: int, generator_epochs: int, warmup_epochs: int) -> bool:
    """Return whether an epoch, counted from 1, trains the surrogate (True) or the generators (False).

    Without warm-up, this is Algorithm 1: with four generator epochs, every fifth epoch trains the surrogate.
    """
    return epoch <= warmup_epochs or (epoch - warmup_epochs) % (generator_epochs + 1) == 0


def perturb_batch(
    perturbator: UMedPerturbator, image: torch.Tensor, *, bounds: torch.Tensor, eps: float, native_scale: int = 1
) -> torch.Tensor:
    """Protect a batch on the working grid, differentiably with respect to the generators (Eq. 6).

    Args:
        perturbator: the generators.
        image: ``(B, C, *spatial)`` in [0, 1].
        bounds: ``(B, regions, *spatial)`` in [0, 1] units, see :func:`monai_umed.protectors.bound_noise`.
        eps: see :class:`monai_umed.protectors.UMed`.
        native_scale: factor by which files are assumed to be larger than the working grid. The noise is then resampled
            as in practice, to the size of the file and back by an exploiter, so that patterns too fine to survive it do
            not pay off. In the paper it is 1: files have the size of the grid.
    """
    raw = perturbator(image).to(image.dtype)
    if native_scale == 1:
        noise = bound_noise(raw, bounds, eps, unwrapped(perturbator).output)
    else:
        size, native = image.shape[2:], [native_scale * length for length in image.shape[2:]]
        noise = bound_noise(resize(raw, native), F.interpolate(bounds, size=native), eps, unwrapped(perturbator).output)
        noise = resize(noise, size)
    return add_bounded(image, noise, bounds.sum(dim=1, keepdim=True))


class UMedTrainer(SupervisedTrainer):
    """A trainer of the two generators and the surrogate in turn, which all minimize the same loss.

    In generator epochs, the surrogate is frozen and in evaluation mode, so that its normalization statistics neither
    drift nor leak between the images of a batch; the paper does not say. Every MONAI handler works: ``state.output``
    has the ``image`` (as the surrogate saw it), ``label``, ``pred`` and ``loss`` of a batch, and
    ``state.trains_surrogate`` distinguishes the two kinds of epochs.

    Args:
        device: where to run; networks are moved there.
        max_epochs: all epochs, including those of the generators and of the warm-up (``e`` in Algorithm 1).
        train_data_loader: batches with ``image`` ``(B, C, *spatial)`` in [0, 1], ``label`` ``(B, 1, *spatial)`` and
            ``bounds`` ``(B, regions, *spatial)``.
        network: surrogate segmentation network.
        optimizer: optimizer of the surrogate.
        loss_function: loss of prediction and label; cross-entropy plus Dice in the paper.
        perturbator: the generators.
        perturbator_optimizer: optimizer of the generators.
        eps: largest change of any pixel, as a fraction of the [0, 1] window.
        generator_epochs: epochs of the generators between two of the surrogate; 4 in the paper.
        warmup_epochs: epochs of the surrogate before the first of the generators; 0 in the paper, whose generators
            start against a random network.
        native_scale: see :func:`perturb_batch`.
        amp: use bfloat16 where it is safe, see :func:`monai_umed.training.precision.autocast`, without loss scaling.
        kwargs: further arguments of :class:`monai.engines.SupervisedTrainer`.

    Raises:
        ValueError: If ``eps`` or a number of epochs is out of range.
    """

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable | DataLoader,
        network: torch.nn.Module,
        optimizer: Optimizer,
        loss_function: Callable,
        perturbator: UMedPerturbator,
        perturbator_optimizer: Optimizer,
        eps: float = 4 / 255,
        generator_epochs: int = 4,
        warmup_epochs: int = 0,
        native_scale: int = 1,
        amp: bool = False,
        **kwargs: Any,
    ) -> None:
        if generator_epochs < 1 or warmup_epochs < 0:
            raise ValueError(
                f"generator_epochs is {generator_epochs} and warmup_epochs {warmup_epochs}; "
                "they must be at least 1 and 0."
            )
        if max_epochs < warmup_epochs + generator_epochs + 1:
            raise ValueError(
                f"max_epochs is {max_epochs}, less than one full turn of {warmup_epochs} warm-up, {generator_epochs} "
                f"generator and 1 surrogate epochs; use at least {warmup_epochs + generator_epochs + 1}."
            )
        kwargs.setdefault("prepare_batch", PrepareBatchExtraInput(extra_keys={"bounds": "bounds"}))
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            network=network.to(device),
            optimizer=optimizer,
            loss_function=loss_function,
            amp=False,  # MONAI's amp is for CUDA, with a gradient scaler
            **kwargs,
        )
        self.perturbator = perturbator.to(device)
        self.perturbator_optimizer = perturbator_optimizer
        self.eps = check_eps(eps)
        self.generator_epochs = generator_epochs
        self.warmup_epochs = warmup_epochs
        self.native_scale = native_scale
        self.bfloat16 = amp

    def fit_state(self) -> dict[str, Any]:
        """Return everything that MONAI's checkpoint handlers need to resume a fit exactly where it stopped."""
        return {
            "network": unwrapped(self.network),
            "optimizer": self.optimizer,
            "perturbator": unwrapped(self.perturbator),
            "perturbator_optimizer": self.perturbator_optimizer,
            "trainer": self,
        }

    def _iteration(self, engine: UMedTrainer, batchdata: dict[str, torch.Tensor]) -> dict:  # type: ignore[override]
        image, label, _, extra = engine.prepare_batch(
            batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs
        )
        surrogate_turn = trains_surrogate(engine.state.epoch, engine.generator_epochs, engine.warmup_epochs)
        engine.state.trains_surrogate = surrogate_turn
        optimizer = engine.optimizer if surrogate_turn else engine.perturbator_optimizer
        engine.network.train(surrogate_turn).requires_grad_(surrogate_turn)
        engine.perturbator.train(not surrogate_turn).requires_grad_(not surrogate_turn)

        # With several processes, only what is trained is called through its wrapper, which waits for gradients.
        network = engine.network if surrogate_turn else unwrapped(engine.network)
        perturbator = unwrapped(engine.perturbator) if surrogate_turn else engine.perturbator

        optimizer.zero_grad(set_to_none=True)
        with autocast(image, engine.bfloat16):
            protected = perturb_batch(
                perturbator, image, bounds=extra["bounds"], eps=engine.eps, native_scale=engine.native_scale
            )
            engine.state.output = {Keys.IMAGE: protected.detach(), Keys.LABEL: label}
            engine.state.output[Keys.PRED] = engine.inferer(protected, network)
            engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        # The loss is a mean over many pixels, for which bfloat16's 8 bits are too few.
        engine.state.output[Keys.LOSS] = engine.loss_function(engine.state.output[Keys.PRED].float(), label).mean()
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        engine.state.output[Keys.LOSS].backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        optimizer.step()
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output
