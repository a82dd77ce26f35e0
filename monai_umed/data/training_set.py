"""Cases as tensors of one size: what networks are trained and tested on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from monai.data import Dataset
from torch.nn import functional as F

from ..functional.resampling import resize
from ..io.stored import IntensityWindow
from .case import Case, CaseError, DatasetError
from .cases import Section, find_cases
from .loading import LoadedCase, load_case
from .manifest import Quarantined
from .parallel import map_cases
from .patches import choose_boxes, choose_slices, pad_to, tile
from .slices import foreground_slices, slice_id, window_id
from .two_folders import DatasetDir

Layout = Literal["patches", "cover", "windows", "whole", "resampled"]

PATCHES = 4
"""Patches of a volume that is larger than the window."""
SLICES = 16
"""Slices of a volume with foreground for networks that see images, and as many without it where noise plays no part."""


class Bounds(Protocol):
    """What a protector tells of a case before it changes it: how far each pixel may move."""

    def native_bounds(
        self, image: torch.Tensor, label: torch.Tensor, spacing: Sequence[float] | None, levels: float | None
    ) -> torch.Tensor:
        """Largest change of every pixel as a share of the window, ``(regions, *spatial)``.

        Raises:
            ValueError: If the case cannot be protected.
        """


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Cases on one grid.

    Attributes:
        items: dictionaries with ``image`` ``(C, *size)`` in [0, 1], ``label`` ``(1, *size)``, ``id`` and, if a
            protector was given, ``bounds`` ``(regions, *size)``: one per image, one or several per volume.
        quarantined: cases that were left out, with reasons.
    """

    items: list[dict]
    quarantined: list[Quarantined]

    @property
    def in_channels(self) -> int:
        """Channels of every image."""
        return int(self.items[0]["image"].shape[0])


class TrainingDataset(Dataset):
    """The items of a training set as MONAI's engines and loaders take them.

    Args:
        training_set: where they come from.
        data: the files of the training set, where MONAI Label lists them in a config; not read here.
    """

    def __init__(self, training_set: TrainingSet, data: Sequence[Mapping[str, str]] | None = None) -> None:
        super().__init__(training_set.items)


def _limits(
    loaded: LoadedCase,
    protector: Bounds,
    *,
    image: torch.Tensor,
    label: torch.Tensor,
    spacing: Sequence[float] | None,
) -> torch.Tensor:
    try:
        return protector.native_bounds(image, label, spacing, loaded.stored.levels)
    except ValueError as error:
        raise CaseError(loaded.case.id, str(error)) from error


def _spacing(loaded: LoadedCase, axis: int | None) -> Sequence[float] | None:
    """Of a case, or of its slices across ``axis``."""
    spacing = loaded.stored.spacing
    return spacing and tuple(length for other, length in enumerate(spacing) if other != axis)


def _parts(loaded: LoadedCase, axis: int | None) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Name, image and label of a case, or of those of its slices across ``axis`` that a protector perturbs."""
    image, label = torch.from_numpy(loaded.stored.scaled()), torch.from_numpy(loaded.label)
    if axis is None:
        yield loaded.case.id, image, label
        return
    for index in foreground_slices(label, axis):
        yield slice_id(loaded.case.id, index), image.select(axis + 1, index), label.select(axis + 1, index)


def _resampled(loaded: LoadedCase, grid: Sequence[int], protector: Bounds | None, axis: int | None) -> Iterator[dict]:
    """The whole case on the grid, or its slices across ``axis`` that a protector of slices perturbs."""
    spacing = _spacing(loaded, axis)
    for name, image, label in _parts(loaded, axis):
        item = {"id": name, "image": resize(image[None], grid)[0]}
        item["label"] = F.interpolate(label[None].to(torch.float32), size=tuple(grid), mode="nearest")[0]
        if protector is not None:
            # The exploiter's grid sees the average of what the file can hold, so bounds are averaged the same way.
            bounds = _limits(loaded, protector, image=image, label=label, spacing=spacing)
            item["bounds"] = resize(bounds[None], grid)[0].clamp_(min=0)
        yield item


def _windows(loaded: LoadedCase, grid: Sequence[int], protector: Bounds | None, axis: int | None) -> Iterator[dict]:
    """All of a case, or of its slices across ``axis`` that a protector of slices perturbs, in windows side by side."""
    spacing = _spacing(loaded, axis)
    for name, image, label in _parts(loaded, axis):
        values = {"image": image, "label": label.to(torch.float32)}
        if protector is not None:
            values["bounds"] = _limits(loaded, protector, image=image, label=label, spacing=spacing)
        tiles = {key: tile(value, grid) for key, value in values.items()}
        for index in range(len(tiles["image"])):
            own = window_id(name, index, len(tiles["image"]))
            yield {"id": own, **{key: windows[index] for key, windows in tiles.items()}}


def _patches(
    loaded: LoadedCase, grid: Sequence[int], protector: Bounds | None, axis: int | None, *, most: int = PATCHES
) -> Iterator[dict]:
    """Up to ``most`` windows of the volume or of its slices across ``axis``, with zeros around if it is smaller."""
    case, spacing = loaded.case, _spacing(loaded, axis)
    volume, classes = torch.from_numpy(loaded.stored.scaled()), torch.from_numpy(loaded.label)
    parts = [(case.id, volume, classes)]
    if axis is not None:
        parts = [
            (slice_id(case.id, index), volume.select(axis + 1, index), classes.select(axis + 1, index))
            for index in choose_slices(classes, axis, SLICES, background=protector is None)
        ]
    for name, image, label in parts:
        for box in choose_boxes(label, grid, most, name):
            at = (slice(None), *box)
            item = {"image": image[at], "label": label[at].to(torch.float32)}
            if protector is not None:
                item["bounds"] = _limits(loaded, protector, image=image[at], label=label[at], spacing=spacing)
            yield {"id": case.id, **{key: pad_to(value, grid) for key, value in item.items()}}


def _items(
    case: Case,
    grid: Sequence[int],
    *,
    protector: Bounds | None,
    num_classes: int,
    intensity_window: IntensityWindow | None,
    slice_axis: int | None,
    layout: Layout,
) -> list[dict]:
    loaded = load_case(case, num_classes, intensity_window)
    dims = len(loaded.stored.shape)
    if dims != (len(grid) if slice_axis is None else 3):
        cure = "protect volumes and slices as two datasets, or volumes slice by slice"
        raise CaseError(case.id, f"is {dims}D, the grid {tuple(grid)} is {len(grid)}D; {cure}")
    if layout == "windows":
        return list(_windows(loaded, grid, protector, slice_axis))
    if dims == 2 or layout == "resampled":
        return list(_resampled(loaded, grid, protector, None if dims == 2 else slice_axis))
    if layout in ("patches", "cover"):
        enough = -(-math.prod(loaded.stored.shape) // math.prod(grid)) if slice_axis is None else PATCHES
        most = min(PATCHES, enough) if layout == "cover" else PATCHES
        return list(_patches(loaded, grid, protector, slice_axis, most=most))
    label = torch.from_numpy(loaded.label).to(torch.float32)
    return [{"id": case.id, "image": torch.from_numpy(loaded.stored.scaled()), "label": label}]


def load_training_set(
    dataset_dir: DatasetDir,
    grid: Sequence[int],
    *,
    section: Section = "all",
    protector: Bounds | None = None,
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
    num_workers: int = 2,
    progress: bool = True,
    slice_axis: int | None = None,
    layout: Layout = "patches",
) -> TrainingSet:
    """Read the cases of a folder and bring them to one size.

    Images are resampled to it, as exploiters do. Volumes keep their voxels: one that fits into the window is surrounded
    by zeros, of a larger one a few patches are cut out, always the same ones.

    Args:
        dataset_dir: folder with images and masks, see :func:`monai_umed.data.cases.find_cases`.
        grid: grid of images, window of volumes; one number per spatial axis.
        section: ``"train"``, ``"test"`` or ``"all"``.
        protector: if given, its bounds at each image's native size are added, for images averaged over the grid.
        num_classes: classes of the masks, background included.
        intensity_window: intensities that map to 0 and 1, see :func:`monai_umed.data.codec.read_image`.
        num_workers: threads that read.
        progress: whether to show a progress bar.
        slice_axis: axis along which volumes become images for networks that see images; ``grid`` is that of a slice.
        layout: of volumes: ``"patches"``; ``"cover"``, of 3D windows no more than have the volume's number of voxels;
            ``"whole"``, each at its own size; ``"resampled"`` as images are; or
            ``"windows"``, all of each in windows side by side, of images too. With a ``slice_axis`` the last two give
            all slices with foreground, and ids are those that protectors know slices and windows by.

    Raises:
        DatasetError: If the folder is malformed or no case is usable; all offenders are listed.
    """
    cases = find_cases(dataset_dir, section)

    def items_of(case: Case) -> list[dict]:
        return _items(
            case,
            grid,
            protector=protector,
            num_classes=num_classes,
            intensity_window=intensity_window,
            slice_axis=slice_axis,
            layout=layout,
        )

    found, quarantined = map_cases(
        items_of, cases, title=f"read {Path(dataset_dir).name} ({section})", num_workers=num_workers, progress=progress
    )
    if found:
        channels = Counter(int(items[0]["image"].shape[0]) for items in found).most_common(1)[0][0]
        quarantined += [
            Quarantined(
                items[0]["id"],
                f"has {items[0]['image'].shape[0]} channel(s), most of the dataset {channels}; convert it or protect "
                "it as a dataset of its own",
            )
            for items in found
            if items[0]["image"].shape[0] != channels
        ]
        found = [items for items in found if items[0]["image"].shape[0] == channels]
    if not found:
        raise DatasetError(str(dataset_dir), [f"{entry.id}: {entry.reason}" for entry in quarantined])
    items = [item for items in found for item in items]
    return TrainingSet(items, sorted(quarantined, key=lambda entry: entry.id))
