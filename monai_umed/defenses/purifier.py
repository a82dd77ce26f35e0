"""Exploiters who take the perturbation off: learned from other images, from leaked originals, or as a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.networks.nets import BasicUNet

from ..functional.filters import gaussian_blur
from .base import Defense, Items, Materials

# Noise of single pixels is seen only by a network that has features at full resolution: trained alike on 80 phantoms of
# 128 pixels a side, BasicUNet took 72 % of the perturbation's energy off other phantoms, MONAI's UNet 7 %.
FEATURES = (16, 16, 32, 32, 64, 16)
STEPS, BATCH_SIZE, LEARNING_RATE = 400, 4, 5e-3


def purifier_input(item: dict, masked: bool) -> torch.Tensor:
    """What the purifier sees: the image and, behind it, the foreground of all classes, ``(C or C + 1, *spatial)``."""
    if not masked:
        return item["image"]
    return torch.cat([item["image"], (item["label"] > 0.5).to(item["image"])])


def train_purifier(
    protected: Sequence[dict],
    clean: Sequence[dict],
    *,
    eps: float,
    masked: bool = True,
    steps: int = STEPS,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> torch.nn.Module:
    """Train a network to predict a perturbation from the protected image, by the mean squared error.

    Args:
        protected: items with ``image`` ``(C, *spatial)``, each side at least 16 and one at least 32, and ``label``
            ``(1, *spatial)``.
        clean: their originals, in the same order.
        eps: largest perturbation.
        masked: whether the network sees the label.
        steps: of Adam, four pairs each, however many pairs there are.
        seed: of weights and order.
        device: where to train.

    Returns:
        A network in evaluation mode from :func:`purifier_input` to the perturbation as a share of ``eps``, in (-1, 1).
    """
    pairs = [
        {"image": purifier_input(before, masked), "label": (before["image"] - after["image"]) / eps}
        for before, after in zip(protected, clean, strict=True)
    ]
    channels, spatial_dims = len(pairs[0]["label"]), pairs[0]["label"].ndim - 1
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        raw = BasicUNet(spatial_dims, len(pairs[0]["image"]), channels, FEATURES)
    network = torch.nn.Sequential(raw, torch.nn.Tanh()).to(device)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.Generator().manual_seed(seed)
    SupervisedTrainer(
        device=torch.device(device),
        max_epochs=1,
        epoch_length=steps,
        train_data_loader=DataLoader(
            Dataset(pairs), batch_size=BATCH_SIZE, shuffle=True, generator=order, num_workers=0
        ),
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.MSELoss(),
        decollate=False,
        # MONAI's annotation names the base class that schedulers had before torch 2
        train_handlers=[LrScheduleHandler(decay, print_lr=False, epoch_level=False)],  # type: ignore[arg-type]
    ).run()
    return network.eval()


def purify(
    network: torch.nn.Module, item: dict, *, eps: float, masked: bool = True, device: str | torch.device = "cpu"
) -> dict:
    """The item with the predicted perturbation taken off its image, clipped to [0, 1].

    Args:
        network: from :func:`train_purifier`.
        item: with ``image`` and ``label``; not changed.
        eps, masked, device: as there.
    """
    with torch.no_grad():
        fraction = network(purifier_input(item, masked)[None].to(device))[0].to(item["image"])
    return {**item, "image": (item["image"] - eps * fraction).clamp(0, 1)}


@dataclass(frozen=True)
class ToolAwarePurifier(Defense):
    """Subtract from every training image the perturbation that a network predicts, trained with this tool's output.

    The exploiter protects images of another dataset and so has as many pairs of protected and clean images as he
    likes. This stranger is as strong as they come: the published masks tell him where to look, and test images are
    left alone. Masks of several classes are seen as one foreground, since the other dataset knows no more.

    Args:
        masked: whether the network sees the masks.
        steps: of the network's training, see :func:`train_purifier`.

    Raises:
        ValueError: when used, if there are no foreign images, they were not protected, both have no name in common,
            or ``Materials.eps`` is not positive.
    """

    needs = frozenset({"foreign", "foreign_protected"})
    masked: bool = True
    steps: int = STEPS

    def prepare(self, items: Items, materials: Materials) -> Items:
        if not materials.eps > 0:
            raise ValueError(
                f"eps is {materials.eps}, there is no perturbation to learn; compare the protected files with their "
                "originals."
            )
        clean = {item["id"]: item for item in materials.foreign()}
        protected = {item["id"]: item for item in materials.foreign_protected()}
        ids = sorted(clean.keys() & protected.keys())
        if not ids:
            raise ValueError(
                f"None of the {len(clean)} foreign images (Materials.foreign) has its name among the {len(protected)} "
                "protected ones (Materials.foreign_protected); give clean images of another dataset and the same "
                "images, under the same names, protected with this tool."
            )
        eps, device = materials.eps, materials.device
        network = train_purifier(
            [protected[id] for id in ids],
            [clean[id] for id in ids],
            eps=eps,
            masked=self.masked,
            steps=self.steps,
            seed=materials.seed,
            device=device,
        )
        return [purify(network, item, eps=eps, masked=self.masked, device=device) for item in items]


@dataclass(frozen=True)
class LeakedPairs(Defense):
    """The purifier of :class:`ToolAwarePurifier`, trained on leaked originals of some of the very files under test.

    Args:
        count: originals that leaked; which ones does not depend on the order of the items.
        steps: of the network's training, see :func:`train_purifier`.

    Raises:
        ValueError: when used, if there are fewer training cases that have an original, or ``Materials.eps`` is not
            positive.
    """

    needs = frozenset({"clean"})
    count: int
    steps: int = STEPS

    def prepare(self, items: Items, materials: Materials) -> Items:
        if not materials.eps > 0:
            raise ValueError(f"eps is {materials.eps}, there is no perturbation to learn; compare with the originals.")
        clean = materials.clean()
        ids = sorted({item["id"] for item in clean} & {item["id"] for item in items})
        if len(ids) < self.count:
            raise ValueError(
                f"{len(ids)} training cases have an original, fewer than the {self.count} that leak; leave "
                f"leaked-pairs-{self.count} out."
            )
        order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(materials.seed)).tolist()
        leaked = {ids[index] for index in order[: self.count]}
        before, after = ([item for item in kind if item["id"] in leaked] for kind in (items, clean))
        network = train_purifier(
            before, after, eps=materials.eps, steps=self.steps, seed=materials.seed, device=materials.device
        )
        return [purify(network, item, eps=materials.eps, device=materials.device) for item in items]


@dataclass(frozen=True)
class AverageSubtract(Defense):
    """Subtract the mean residue of all regions, place by place on the grid, from every region.

    The residue is what a blur takes away. A pattern that lies at the same pixels in all files is what is left of many
    residues; whoever has the files and their masks has all that it takes.

    Args:
        sigma: of the blur in pixels.
    """

    needs = frozenset({"eps"})
    sigma: float = 2.0

    def prepare(self, items: Items, materials: Materials) -> Items:
        total, count = torch.zeros_like(items[0]["image"]), torch.zeros_like(items[0]["label"])
        for item in items:
            inside = (item["label"] > 0.5).to(total)
            total += inside * (item["image"] - gaussian_blur(item["image"], self.sigma, 13))
            count += inside
        pattern = (total / count.clamp(min=1)).clamp(-materials.eps, materials.eps)
        return [{**item, "image": (item["image"] - pattern * (item["label"] > 0.5)).clamp(0, 1)} for item in items]
