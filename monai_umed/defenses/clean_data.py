"""Defenses of an exploiter who got hold of clean originals of some training cases.

All of them draw from one stock: with the same seed, a larger share contains every smaller one, whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from torch.optim.swa_utils import update_bn

from ..training.metrics import evaluate
from .base import Defense, Items, Materials

BATCH_SIZE = 16  # of clean images whose statistics are taken


def owned_cases(materials: Materials, fraction: float) -> Items:
    """The clean originals that an exploiter owns who has a share of them: at least one, sorted by id.

    Args:
        materials: its ``clean`` is drawn from, with its ``seed``.
        fraction: of all clean originals, more than 0, less than 1.

    Raises:
        ValueError: If there are no clean originals.
    """
    clean = sorted(materials.clean(), key=lambda item: item["id"])
    if not clean:
        raise ValueError(
            "There are no clean originals (Materials.clean is empty); give the clean images of the training cases "
            "under the same names."
        )
    order = torch.randperm(len(clean), generator=torch.Generator().manual_seed(materials.seed)).tolist()
    return [clean[index] for index in sorted(order[: max(1, round(fraction * len(clean)))])]


def _clean_of(items: Items, materials: Materials, fraction: float) -> dict[str, dict]:
    """The owned cases that are among the items, by id."""
    ids = {item["id"] for item in items}
    owned = owned_cases(materials, fraction)
    found = {item["id"]: item for item in owned if item["id"] in ids}
    if not found:
        raise ValueError(
            f"None of the {len(owned)} clean originals that the exploiter owns ({owned[0]['id']!r}, ...) is among the "
            f"{len(items)} training cases; give both the same names, or lower fraction ({1 - fraction:g} protected)."
        )
    return found


@dataclass(frozen=True)
class CleanFraction(Defense):
    """A defense with clean originals whose one argument is a share of the training cases."""

    needs = frozenset({"clean"})
    fraction: float

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise ValueError(f"fraction is {self.fraction}; it must be more than 0 and less than 1.")


@dataclass(frozen=True)
class PartlyProtected(CleanFraction):
    """A share of the training cases is protected, the exploiter has the rest as clean originals.

    Which ones does not depend on the order of the items. Cases without a clean original stay protected.

    Args:
        fraction: of the cases that stay protected, between 0 and 1, both excluded.

    Raises:
        ValueError: If ``fraction`` is out of range; when used, if no clean original belongs to a training case.
    """

    def prepare(self, items: Items, materials: Materials) -> Items:
        clean = _clean_of(items, materials, 1 - self.fraction)
        return [clean.get(item["id"], item) for item in items]


@dataclass(frozen=True)
class CleanPartAlone(CleanFraction):
    """The clean cases of :class:`PartlyProtected` without the protected ones: what the latter add, or take away.

    Args:
        fraction: as there: of the cases that are protected, and here left out.

    Raises:
        ValueError: as there.
    """

    def prepare(self, items: Items, materials: Materials) -> Items:
        clean = _clean_of(items, materials, 1 - self.fraction)
        return [clean[item["id"]] for item in items if item["id"] in clean]


@dataclass(frozen=True)
class EarlyStopping(CleanFraction):
    """Keep the epoch that does best on clean cases, since networks learn what is real before the shortcut.

    The idea that early epochs escape the protection is that of Dang et al. 2023 (arXiv 2306.02064). Training runs to
    its end and takes the very steps that it takes without this defense; the protected twins of the validation cases
    stay in the training set. Epochs are compared by Dice over all pixels, see
    :class:`monai_umed.training.metrics.Scores`; of equal ones the first is kept.

    Args:
        fraction: of the training cases that the exploiter owns in clean form, between 0 and 1, both excluded.

    Raises:
        ValueError: If ``fraction`` is out of range; when used, if there are no clean originals.
    """

    fraction: float = 0.05

    @property
    def finishes(self) -> bool:
        return True

    def attach(self, trainer: Engine, network: torch.nn.Module, materials: Materials) -> None:
        cases = owned_cases(materials, self.fraction)
        best = -1.0
        weights: dict[str, torch.Tensor] = {}

        @trainer.on(Events.EPOCH_COMPLETED)
        def keep_if_better() -> None:
            nonlocal best
            with torch.random.fork_rng():  # data loaders draw a seed each time that they are gone through
                dice = evaluate(network, cases, num_classes=materials.num_classes, device=materials.device).dice
            if dice > best:
                best = dice
                weights.update((name, value.detach().clone()) for name, value in network.state_dict().items())

        @trainer.on(Events.COMPLETED)
        def load_best() -> None:
            network.load_state_dict(weights)


@dataclass(frozen=True)
class CleanStatistics(CleanFraction):
    """Take the running statistics of batch normalization from clean images (Li et al. 2016, arXiv 1603.04779).

    Weights that were trained on protected files see clean images in use. No labels are needed, and networks without
    batch normalization stay as they are.

    Args:
        fraction: of the training cases that the exploiter owns in clean form, between 0 and 1, both excluded; at least
            one case is used.

    Raises:
        ValueError: If ``fraction`` is out of range; when used, if there are no clean originals.
    """

    def finish(self, network: torch.nn.Module, materials: Materials) -> None:
        images = [item["image"] for item in owned_cases(materials, self.fraction)]
        update_bn(DataLoader(Dataset(images), batch_size=BATCH_SIZE), network, torch.device(materials.device))
