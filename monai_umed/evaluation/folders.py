"""The folders of an audit as training sets, checked against each other and read once per run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from ..data.case import Case, DatasetError
from ..data.cases import Section, find_cases
from ..data.codec import read_image
from ..data.training_set import Layout, load_training_set
from ..data.two_folders import DatasetDir
from ..defenses import Items
from ..io.checksum import sha256_path
from ..io.image_files import is_complete
from ..io.stored import CodecError, IntensityWindow
from .shared_items import decoded_once

MIN_TEST_CASES = 10


@dataclass(frozen=True)
class Files:
    """Protected files, their originals, what to test on, and how exploiters see all of them.

    Args:
        protected_dir: the files under test, a folder as in :func:`monai_umed.data.cases.find_cases`.
        clean_dir: their clean originals under the same names; others in the folder are ignored.
        test_dir: clean files on which networks are scored.
        test_section: ``"train"``, ``"test"`` or ``"all"`` of ``test_dir``.
        grid: grid that exploiters train on; of volumes the window, two numbers if they are cut into slices.
        num_classes: classes, background included.
        intensity_window: intensities that map to 0 and 1, see :func:`monai_umed.data.codec.read_image`.
        slice_axis: across which volumes are cut into slices, for networks that see images; None for other datasets.
    """

    protected_dir: DatasetDir
    clean_dir: DatasetDir
    _: KW_ONLY
    test_dir: DatasetDir
    test_section: Section = "test"
    grid: tuple[int, ...] = (128, 128)
    num_classes: int = 2
    intensity_window: IntensityWindow | None = None
    slice_axis: int | None = None


@dataclass(frozen=True)
class Facts:
    """What the files say before any training.

    Attributes:
        ids: cases that are both in the protected and in the clean folder, sorted.
        only_protected: protected cases without a clean original; exploiters train on them, too.
        test_ids: test cases, sorted.
        in_channels: channels of the images.
        eps: largest change of any pixel, a share of the intensity window.
        max_levels: the same in stored units.
        digest: SHA-256 over all files, so that an audit is never continued on other files.
        clean_digests, test_digests: SHA-256 of image and label of every clean original and test case by id.
    """

    ids: tuple[str, ...]
    only_protected: tuple[str, ...]
    test_ids: tuple[str, ...]
    in_channels: int
    eps: float
    max_levels: float
    digest: str
    clean_digests: Mapping[str, str]
    test_digests: Mapping[str, str]


def pair_cases(files: Files) -> dict[str, tuple[Case, Case]]:
    """The clean original and the protected copy of every case that is in both folders, by id, sorted.

    Raises:
        DatasetError: If there is none, or a folder cannot be used.
    """
    protected = {case.id: case for case in find_cases(files.protected_dir)}
    clean = {case.id: case for case in find_cases(files.clean_dir)}
    if not protected.keys() & clean.keys():
        raise DatasetError(
            str(files.clean_dir),
            [
                f"none of its {len(clean)} names ({_some(clean)}) is among the {len(protected)} of "
                f"{files.protected_dir} ({_some(protected)}); give the folder of the originals"
            ],
        )
    return {id: (clean[id], protected[id]) for id in sorted(protected.keys() & clean.keys())}


def check_folders(files: Files, *, least_tests: int = MIN_TEST_CASES) -> Facts:
    """Compare the three folders.

    Args:
        files: where they lie.
        least_tests: how many test cases there must be.

    Raises:
        DatasetError: If no case is both protected and clean, a protected image differs in size from its original, a
            file cannot be read, or there are fewer test cases; all offenders are listed.
    """
    pairs = pair_cases(files)
    protected, test = find_cases(files.protected_dir), find_cases(files.test_dir, files.test_section)
    if len(test) < least_tests:
        raise DatasetError(
            str(files.test_dir),
            [f"{len(test)} test cases, at least {least_tests} are needed for a Dice that means anything; add more"],
        )
    eps, levels, offenders, channels = 0.0, 0.0, [], 1
    for id, pair in pairs.items():
        try:
            before, after = (read_image(case.image, files.intensity_window) for case in pair)
        except CodecError as error:
            offenders.append(f"{id}: {error}")
            continue
        if before.color.shape != after.color.shape:
            offenders.append(
                f"{id}: the protected image has shape {after.color.shape}, its original {before.color.shape}; "
                "protect the original again"
            )
            continue
        channels = len(before.color)
        for first, second in zip(before.each(), after.each(), strict=True):
            change = float(np.abs(second.color.astype(np.float64) - first.color.astype(np.float64)).max())
            eps, levels = max(eps, change / abs(first.width)), max(levels, change)
    if offenders:
        raise DatasetError(str(files.protected_dir), offenders)
    digests = [digest_of(cases) for cases in (protected, [clean for clean, _ in pairs.values()], test)]
    return Facts(
        ids=tuple(pairs),
        only_protected=tuple(sorted({case.id for case in protected} - pairs.keys())),
        test_ids=tuple(sorted(case.id for case in test)),
        in_channels=channels,
        eps=eps,
        max_levels=levels,
        digest=_join(digests),
        clean_digests=digests[1],
        test_digests=digests[2],
    )


def _some(names: Iterable[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:2]) + (", ..." if len(first) > 2 else "")


def digest_of(cases: Sequence[Case]) -> dict[str, str]:
    """SHA-256 of image and label of every case by id, joined by a blank; of files that are missing, none."""
    return {
        # Whoever reads the case says what it lacks.
        case.id: " ".join(sha256_path(path) for path in filter(is_complete, (case.image, case.label)))
        for case in cases
    }


def _join(digests: Sequence[Mapping[str, str]]) -> str:
    whole = hashlib.sha256()
    for id, checksums in (pair for each in digests for pair in each.items()):
        for checksum in checksums.split():
            whole.update(id.encode())
            whole.update(bytes.fromhex(checksum))
    return whole.hexdigest()


@lru_cache(maxsize=12)
def _read_items(folder: Any, section: Section, grid: tuple[int, ...], **reading: Any) -> tuple[dict, ...]:
    """Cases of a folder, see :func:`load_training_set`; the last few folders and grids stay in memory."""

    def decode() -> Items:
        return load_training_set(folder, grid, section=section, progress=False, **reading).items

    return tuple(decoded_once(repr((folder, section, grid, sorted(reading.items()))), decode))


class Folders:
    """The items of an audit.

    Args:
        files: where they lie.
        facts: from :func:`check_folders`.
        grid: grid of images, intensity_window of volumes.
        layout: of volumes to train on, see :func:`monai_umed.data.training_set.load_training_set`.
    """

    def __init__(self, files: Files, facts: Facts, *, grid: tuple[int, ...], layout: Layout = "cover") -> None:
        self.files = files
        self.facts = facts
        self.grid = grid
        self.layout = layout

    @property
    def roi_size(self) -> tuple[int, ...] | None:
        """What slides over volumes or their slices when they are tested; None for images, which are on one grid."""
        return self.grid if len(self.grid) == 3 or self.files.slice_axis is not None else None

    def _read(self, folder: DatasetDir, section: Section, layout: Layout) -> Items:
        reading = {name: getattr(self.files, name) for name in ("num_classes", "intensity_window", "slice_axis")}
        return list(_read_items(folder, section, self.grid, layout=layout, **reading))

    def protected(self) -> Items:
        """The files under test."""
        return self._read(self.files.protected_dir, "all", self.layout)

    def clean(self) -> Items:
        """Their originals."""
        return among(self._read(self.files.clean_dir, "all", self.layout), self.facts.ids)

    def test(self) -> Items:
        """Clean images to score on; volumes are whole unless all are resampled."""
        layout: Layout = "whole" if self.layout == "cover" else self.layout
        return self._read(self.files.test_dir, self.files.test_section, layout)

    def foreign(self, folder: str, section: Section) -> Items:
        """Another dataset with two classes, brought to the number of channels of this one."""
        items = _read_items(folder, section, self.grid)
        return [{**item, "image": match_channels(item["image"], self.facts.in_channels)} for item in items]


def among(items: Items, ids: Iterable[str]) -> Items:
    """The items with these ids, in their own order."""
    chosen = set(ids)
    return [item for item in items if item["id"] in chosen]


def match_channels(image: torch.Tensor, channels: int) -> torch.Tensor:
    """An image ``(C, *spatial)`` with another number of channels: their mean, repeated."""
    return image if len(image) == channels else image.mean(0, keepdim=True).repeat(channels, *[1] * (image.ndim - 1))
