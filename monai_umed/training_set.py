"""Cases as tensors on one grid: what networks are trained and tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch.nn import functional as F

from .data import Case, CaseError, CodecError, DatasetError, Quarantined, Section, find_cases, load_case, read_image
from .progress import track
from .protectors import UMed, resize

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Cases on one grid.

    Attributes:
        items: one dictionary per case with ``image`` ``(C, *size)`` in [0, 1], ``label`` ``(1, *size)``, ``id`` and,
            if a protector was given, ``bounds`` ``(2, *size)``.
        quarantined: cases that were left out, with reasons.
    """

    items: list[dict]
    quarantined: list[Quarantined]

    @property
    def in_channels(self) -> int:
        """Channels of every image."""
        return int(self.items[0]["image"].shape[0])


def _on_grid(
    case: Case,
    size: Sequence[int],
    protector: UMed | None,
    num_classes: int,
    window: tuple[float, float] | None,
) -> dict:
    loaded = load_case(case, num_classes, window)
    image, label = torch.from_numpy(loaded.stored.scaled()), torch.from_numpy(loaded.label)
    if image.ndim - 1 != len(size):
        raise CaseError(
            case.id,
            f"is {image.ndim - 1}D, the grid {tuple(size)} is {len(size)}D; protect volumes and slices as two datasets",
        )
    item = {"id": case.id, "image": resize(image[None], size)[0]}
    item["label"] = F.interpolate(label[None].to(torch.float32), size=tuple(size), mode="nearest")[0]
    if protector is not None:
        # The exploiter's grid sees the average of what the file can hold, so bounds are averaged the same way.
        try:
            bounds = protector.limits(image, label, loaded.stored.spacing, loaded.stored.levels)
        except ValueError as error:
            raise CaseError(case.id, str(error)) from error
        item["bounds"] = resize(bounds[None], size)[0].clamp_(min=0)
    return item


def count_channels(dataset_dir: str | Path, section: Section = "all") -> int:
    """Channels, without alpha, of a dataset's first readable image: what a network for it must be built with.

    Raises:
        DatasetError: if the folder is malformed or none of its images can be read.
    """
    reasons = []
    for case in find_cases(dataset_dir, section):
        try:
            return len(read_image(case.image).color)
        except CodecError as error:
            reasons.append(f"{case.id}: {error}")
    raise DatasetError(str(dataset_dir), reasons)


def map_cases(
    function: Callable[[Case], T],
    cases: Sequence[Case],
    title: str,
    num_workers: int,
    progress: bool,
) -> tuple[list[T], list[Quarantined]]:
    """Apply ``function`` to all cases in threads; what raises :class:`CaseError` is set aside with its reason."""

    def attempt(case: Case) -> T | Quarantined:
        try:
            return function(case)
        except CaseError as error:
            return Quarantined(case.id, error.reason)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the cases are the parallel work; nested threads would fight for the same cores
    try:
        with ThreadPoolExecutor(num_workers) as pool:
            results = list(track(pool.map(attempt, cases), len(cases), title, disable=not progress))
    finally:
        torch.set_num_threads(threads)
    good = [result for result in results if not isinstance(result, Quarantined)]
    return good, [result for result in results if isinstance(result, Quarantined)]


def load_training_set(
    dataset_dir: str | Path,
    size: Sequence[int],
    section: Section = "all",
    protector: UMed | None = None,
    num_classes: int = 2,
    window: tuple[float, float] | None = None,
    num_workers: int = 2,
    progress: bool = True,
) -> TrainingSet:
    """Read the cases of a folder and resample them to one grid.

    Args:
        dataset_dir: folder with images and masks, see :func:`monai_umed.data.find_cases`.
        size: grid, one number per spatial axis.
        section: ``"train"``, ``"test"`` or ``"all"``.
        protector: if given, its bounds at each image's native size are added, averaged over the grid.
        num_classes: classes of the masks, background included.
        window: intensities that map to 0 and 1, see :func:`monai_umed.data.read_image`.
        num_workers: threads that read.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: if the folder is malformed or no case is usable; all offenders are listed.
    """
    cases = find_cases(dataset_dir, section)

    def on_grid(case: Case) -> dict:
        return _on_grid(case, size, protector, num_classes, window)

    items, quarantined = map_cases(on_grid, cases, f"read {Path(dataset_dir).name} ({section})", num_workers, progress)
    if items:
        channels = Counter(int(item["image"].shape[0]) for item in items).most_common(1)[0][0]
        others = [item for item in items if item["image"].shape[0] != channels]
        quarantined += [
            Quarantined(
                item["id"],
                f"has {item['image'].shape[0]} channel(s), most of the dataset {channels}; convert it or protect it "
                "as a dataset of its own",
            )
            for item in others
        ]
        items = [item for item in items if item["image"].shape[0] == channels]
    if not items:
        raise DatasetError(str(dataset_dir), [f"{entry.id}: {entry.reason}" for entry in quarantined])
    return TrainingSet(items, sorted(quarantined, key=lambda entry: entry.id))
