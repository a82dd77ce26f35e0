"""The images of one test: cases as they are and as they are published, and the same with tiles."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...data.case import Case, CaseError, DatasetError
from ...data.codec import read_image, write_image
from ...data.loading import load_case
from ...data.manifest import CaseRecord
from ...functional.resampling import resize
from ...io.checksum import sha256_path
from ...io.joint_path import joint_files
from ...io.stored import IntensityWindow, StoredImage
from ...io.suffixes import split_name
from ...protectors import Protector
from ...release.case import protect_case
from ...release.layout import protected_names
from ...sealing.sealed_json import random_numbers
from .hardness import features_of
from .plan import Kind, QueriedCase, Query, pack
from .tiles import Box, Pattern, Region, cells, deal, grid_of, key_tiles, put

STRENGTHS = (1.0, 2.0)
"""Of the tiles, in units of the release's eps."""
_SIDE, _MARGIN = 3 / 16, 1 / 16  # of the grid: regions as large as small structures, apart from each other


@dataclass(frozen=True, kw_only=True)
class Released:
    """What was published, and what made it.

    Attributes:
        folder: the protected folder.
        records: what its manifest tells of each case, by id.
        protector: the fitted protector.
        num_classes, intensity_window: as the release was made with.
        pattern: how the pattern of the key is laid out; None if the release has none of this key.
    """

    folder: Path
    records: Mapping[str, CaseRecord]
    protector: Protector
    num_classes: int
    intensity_window: IntensityWindow | None
    pattern: Pattern | None


@dataclass(frozen=True, eq=False)
class _Base:
    """What tiles may be put on."""

    image: Path
    suffix: str
    boxes: tuple[Box, ...]


class QueryFiles:
    """Writes images under random names and remembers what they are.

    Args:
        folder: where they go.
        scratch: an empty folder for a moment.
        released: what was published.
        clean: whether unprotected images are among them.
        hardness: Dice of the owner's own models by case, if there are any.

    Attributes:
        queries: what was written, in this order.
        cases: those that can be used.
    """

    def __init__(
        self, folder: Path, scratch: Path, *, released: Released, clean: bool, hardness: Mapping[str, float] | None
    ) -> None:
        self.queries: list[Query] = []
        self.cases: list[QueriedCase] = []
        self._bases: list[_Base] = []
        self._folder, self._scratch, self._released = folder, scratch, released
        self._clean, self._hardness = clean, hardness

    def add_case(self, case: Case, *, held_back: bool) -> None:
        """Write a case as it is, and as it is, or would have been, published.

        Raises:
            CaseError: If it cannot be used.
            DatasetError: If the protector is not the one that made the release.
        """
        released, number = self._released, len(self.cases)
        if joint_files(case.image) is not None:
            raise CaseError(case.id, "its channels have files of their own, which queries do not take; leave it out")
        loaded = load_case(case, released.num_classes, released.intensity_window)
        for name in protected_names(case):
            (self._scratch / name).parent.mkdir(parents=True, exist_ok=True)
        # By the same steps for both sides, so that what is asked about does not depend on the assignment.
        made = protect_case(
            case,
            released.protector,
            self._scratch,
            num_classes=released.num_classes,
            intensity_window=released.intensity_window,
        )
        record = released.records.get(case.id)
        if record is None and not held_back:
            raise CaseError(case.id, "was not published, the manifest of the release does not list it")
        if record is not None and record.sha256_after != made.sha256_after:
            cure = "pass the --checkpoint and the --intensity-window that the release was made with"
            reason = f"{record.image}: the protector gives another file than was published; {cure}"
            raise DatasetError(str(released.folder), [reason])
        suffix = "" if loaded.stored.format == "dicom_series" else split_name(made.image)[1]
        protected = read_image(self._scratch / made.image, released.intensity_window)
        if self._clean:
            self._write(loaded.stored.array, loaded.stored, suffix, case=number, kind="clean")
        self._write(protected.array, protected, suffix, case=number, kind="protected")
        features = features_of(loaded.stored.scaled(), loaded.label)
        if self._hardness is not None:
            features += (self._hardness[case.id], self._hardness[case.id] ** 2)
        boxes: tuple[Box, ...] = ()
        if released.pattern is not None:
            grid = grid_of(loaded.stored.shape, released.pattern)
            label = resize(torch.from_numpy(loaded.label[None]).float(), grid)[0, 0].numpy() > 0
            boxes = tuple(cells(label, *_sizes(grid, released.pattern)))
        shape = tuple(loaded.label.shape[1:])
        self.cases.append(QueriedCase(id=case.id, features=features, shape=shape, mask=pack(loaded.label[0])))
        source = case.image if self._clean else self._folder / self.queries[-1].name
        self._bases.append(_Base(source, suffix, boxes))

    def add_tiles(self, key: bytes, test: int, *, count: int, decoys: int) -> tuple[int, int]:
        """Write images with tiles of the key and of decoys.

        Args:
            key: 32 secret bytes.
            test: number of the test.
            count: most images to write.
            decoys: how many are wanted; there are fewer if so many images have no place for them.

        Returns:
            How many keys there are, 0 if there is no place for any, and the number of the true one.
        """
        pattern = self._released.pattern
        assert pattern is not None
        rng = random_numbers(key, f"queries {test}")
        order = [index for index in rng.permutation(len(self._bases)) if self._bases[index].boxes]
        chosen = [int(order[index % len(order)]) for index in range(count)] if order else []
        boxes = [self._bases[index].boxes for index in chosen]
        strengths = [strength * pattern.eps for strength in STRENGTHS]
        keys = min(1 + decoys, sum(map(len, boxes)) // len(strengths))
        if keys < 2:
            return 0, 0
        true_key = int(rng.integers(keys))
        dims = pattern.tile_dims(self.cases[0].shape)
        tiles = key_tiles(key, test, keys, true_key, pattern.patch, dims)
        for index, regions in zip(chosen, deal(boxes, keys, strengths, rng), strict=True):
            if regions:
                stored = read_image(self._bases[index].image, self._released.intensity_window)
                array = put(stored, regions, tiles, pattern)
                self._write(array, stored, self._bases[index].suffix, case=index, kind="tiles", regions=regions)
        return keys, true_key

    def _write(
        self,
        array: np.ndarray,
        stored: StoredImage,
        suffix: str,
        *,
        case: int,
        kind: Kind,
        regions: tuple[Region, ...] = (),
    ) -> None:
        path = self._folder / f"{secrets.token_hex(8)}{suffix}"
        write_image(path, array, stored)
        self.queries.append(Query(name=path.name, case=case, kind=kind, sha256=sha256_path(path), regions=regions))


def _sizes(grid: Sequence[int], pattern: Pattern) -> tuple[int, int]:
    """Side and distance of regions in pixels of the grid."""
    shorter = min(size for axis, size in enumerate(grid) if axis != pattern.slice_axis)
    return max(2 * pattern.patch, round(_SIDE * shorter)), max(2, round(_MARGIN * shorter))
