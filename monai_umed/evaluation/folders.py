"""The folders of an audit as training sets, checked against each other and read once per process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ..data.case import Case, DatasetError
from ..data.cases import Section, find_cases
from ..data.codec import read_image
from ..data.training_set import Layout, load_training_set
from ..defenses import Items
from ..io.checksum import sha256_path
from ..io.stored import CodecError
from .plan import MIN_TEST_CASES, Audit


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
    """

    ids: tuple[str, ...]
    only_protected: tuple[str, ...]
    test_ids: tuple[str, ...]
    in_channels: int
    eps: float
    max_levels: float
    digest: str


def check_folders(audit: Audit) -> Facts:
    """Compare the three folders.

    Raises:
        DatasetError: if no case is both protected and clean, a protected image differs in size from its original, a
            file cannot be read, or there are fewer than ten test cases; all offenders are listed.
    """
    protected = {case.id: case for case in find_cases(audit.protected_dir)}
    clean = {case.id: case for case in find_cases(audit.clean_dir)}
    test = find_cases(audit.test_dir, _section(audit))
    common = sorted(protected.keys() & clean.keys())
    if not common:
        raise DatasetError(
            audit.clean_dir,
            [
                f"none of its {len(clean)} names ({_some(clean)}) is among the {len(protected)} of "
                f"{audit.protected_dir} ({_some(protected)}); give the folder of the originals"
            ],
        )
    if len(test) < MIN_TEST_CASES:
        raise DatasetError(
            audit.test_dir,
            [f"{len(test)} test cases, at least {MIN_TEST_CASES} are needed for a Dice that means anything; add more"],
        )
    eps, levels, offenders, channels = 0.0, 0.0, [], 1
    for id in common:
        try:
            before, after = read_image(clean[id].image, audit.window), read_image(protected[id].image, audit.window)
        except CodecError as error:
            offenders.append(f"{id}: {error}")
            continue
        if before.color.shape != after.color.shape:
            offenders.append(
                f"{id}: the protected image has shape {after.color.shape}, its original {before.color.shape}; "
                "protect the original again"
            )
            continue
        change = float(np.abs(after.color.astype(np.float64) - before.color.astype(np.float64)).max())
        eps, levels, channels = max(eps, change / before.width), max(levels, change), len(before.color)
    if offenders:
        raise DatasetError(audit.protected_dir, offenders)
    return Facts(
        tuple(common),
        tuple(sorted(protected.keys() - clean.keys())),
        tuple(sorted(case.id for case in test)),
        channels,
        eps,
        levels,
        _digest([*protected.values(), *(clean[id] for id in common), *test]),
    )


def _some(names: dict) -> str:
    first = sorted(names)[:2]
    return ", ".join(first) + (", ..." if len(names) > len(first) else "")


def _section(audit: Audit) -> Section:
    if audit.test_section not in ("train", "test", "all"):
        raise ValueError(f"test_section is {audit.test_section!r}, must be 'train', 'test' or 'all'.")
    return audit.test_section  # type: ignore[return-value]


def _digest(cases: Sequence[Case]) -> str:
    digest = hashlib.sha256()
    for case in cases:
        for path in (case.image, case.label):
            digest.update(case.id.encode())
            digest.update(bytes.fromhex(sha256_path(path)))
    return digest.hexdigest()


@lru_cache(maxsize=12)
def read_items(
    folder: str,
    section: Section,
    size: tuple[int, ...],
    num_classes: int,
    window: tuple[float, float] | None,
    layout: Layout = "patches",
    slice_axis: int | None = None,
) -> tuple[dict, ...]:
    """Cases of a folder, see :func:`load_training_set`; the last few folders and grids stay in memory."""
    read = load_training_set(
        folder, size, section, None, num_classes, window, 2, progress=False, slice_axis=slice_axis, layout=layout
    )
    return tuple(read.items)


class Folders:
    """The items of an audit.

    Args:
        audit: what is audited.
        facts: from :func:`check_folders`.
        size: grid of images, window of volumes.
        layout: of volumes to train on, see :func:`monai_umed.data.training_set.load_training_set`.
    """

    def __init__(self, audit: Audit, facts: Facts, size: tuple[int, ...], layout: Layout = "patches") -> None:
        self.audit = audit
        self.facts = facts
        self.size = size
        self.layout = layout

    @property
    def window(self) -> tuple[int, ...] | None:
        """What slides over volumes or their slices when they are tested; None for images, which are on one grid."""
        return self.size if len(self.size) == 3 or self.audit.slice_axis is not None else None

    def _read(self, folder: str, section: Section = "all", layout: Layout | None = None) -> Items:
        audit = self.audit
        reading = (audit.num_classes, audit.window, layout or self.layout, audit.slice_axis)
        return list(read_items(folder, section, self.size, *reading))

    def protected(self) -> Items:
        """The files under test."""
        return self._read(self.audit.protected_dir)

    def clean(self) -> Items:
        """Their originals."""
        ids = set(self.facts.ids)
        return [item for item in self._read(self.audit.clean_dir) if item["id"] in ids]

    def test(self) -> Items:
        """Clean images to score on; volumes are whole unless all are resampled."""
        layout: Layout = "whole" if self.layout == "patches" else self.layout
        return self._read(self.audit.test_dir, _section(self.audit), layout)

    def foreign(self, folder: str, section: Section) -> Items:
        """Another dataset with two classes, brought to the number of channels of this one."""
        items = read_items(folder, section, self.size, 2, None)
        return [{**item, "image": match_channels(item["image"], self.facts.in_channels)} for item in items]


def match_channels(image: torch.Tensor, channels: int) -> torch.Tensor:
    """An image ``(C, *spatial)`` with another number of channels: their mean, repeated."""
    return image if len(image) == channels else image.mean(0, keepdim=True).repeat(channels, *[1] * (image.ndim - 1))
