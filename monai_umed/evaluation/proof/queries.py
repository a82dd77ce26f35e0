"""Write the queries of one test: images without names, in no order, and the sealed plan that tells what they are."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from ...data.case import Case, CaseError, DatasetError
from ...data.codec import read_image, write_image
from ...data.loading import load_case
from ...data.manifest import CaseRecord, Quarantined
from ...data.parallel import track
from ...functional import resize
from ...io.checksum import sha256_path
from ...io.stored import StoredImage
from ...io.suffixes import split_name
from ...protectors import Protector
from ...release.case import protect_case
from ...release.layout import protected_names
from .hardness import features_of
from .plan import IMAGES, Kind, Plan, QueriedCase, Query, pack
from .reserve import Reserve, first_groups
from .sealed_json import ProofError, by_lot, random_numbers
from .tiles import Box, Pattern, Region, cells, deal, grid_of, key_tiles, put

RESERVE_SHARE = 0.6
"""Of the queries, for the test of the reserve, where there is a test of the key as well."""
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
        num_classes, window: as the release was made with.
        pattern: how the pattern of the key is laid out; None if the release has none of this key.
    """

    folder: Path
    records: Mapping[str, CaseRecord]
    protector: Protector
    num_classes: int
    window: tuple[float, float] | None
    pattern: Pattern | None


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Which cases are asked about.

    Attributes:
        ids: all of them, those held back first.
        total_target: cases up to which groups were drawn.
    """

    ids: tuple[str, ...]
    total_target: int


def draw_cases(reserve: Reserve, key: bytes, number: int, queries: int, per_case: int) -> Draw:
    """Take the whole reserve, and groups of published cases by lot until the queries are used up.

    Raises:
        ProofError: there are too few queries for the reserve and as many published cases.
    """
    held_back = set(reserve.held_back)
    target = min(queries // per_case, len(reserve.groups))
    if target < min(2 * len(held_back), len(reserve.groups)):
        needed = per_case * 2 * len(held_back)
        raise ProofError(
            f"{queries} queries for the test of the reserve are too few: {len(held_back)} held-back cases and as many "
            f"published ones take {needed}; raise --max-queries"
        )
    groups = {id: group for id, group in reserve.groups.items() if id not in held_back}
    order = by_lot(set(groups.values()), key, f"published {number}")
    published = first_groups(order, groups, target - len(held_back))
    ids = (*sorted(held_back), *sorted(published))
    return Draw(ids=ids, total_target=min(target, len(ids)))


class _Writer:
    """Writes images under random names and remembers what they are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.queries = folder, list[Query]()

    def write(
        self,
        array: np.ndarray,
        stored: StoredImage,
        suffix: str,
        *,
        case: int,
        kind: Kind,
        regions: tuple[Region, ...] = (),
    ) -> None:
        path = self.folder / f"{secrets.token_hex(8)}{suffix}"
        write_image(path, array, stored)
        self.queries.append(Query(name=path.name, case=case, kind=kind, sha256=sha256_path(path), regions=regions))


@dataclass(frozen=True, eq=False)
class _Usable:
    """A case that can be asked about, and the places on it where tiles may lie."""

    facts: QueriedCase
    image: Path
    suffix: str
    boxes: tuple[Box, ...]


def write_queries(
    released: Released,
    originals: Mapping[str, Case],
    reserve: Reserve,
    key: bytes,
    output: Path,
    *,
    number: int,
    max_queries: int,
    clean: bool = True,
    hardness: Mapping[str, float] | None = None,
    progress: bool = True,
) -> tuple[Plan, list[Quarantined]]:
    """Write ``images`` and the sealed plan into a new folder.

    Args:
        released: what was published.
        originals: all cases of the dataset by id.
        reserve: what was held back.
        key: 32 secret bytes.
        output: folder to write; it must not exist, or be empty.
        number: of this test.
        max_queries: most images to write.
        clean: whether unprotected images are among the queries; without, whoever runs the model sees none.
        hardness: Dice of the owner's own models by case, if there are any.
        progress: whether to show progress bars.

    Returns:
        The plan, and the cases that cannot be used.

    Raises:
        DatasetError: the folder holds files, originals are missing, or a published file is not the release's.
        ProofError: there are too few queries, or nothing can be used.
        OSError: files cannot be read or written.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DatasetError(
            str(output), ["it holds files already; choose an empty folder, each test has one of its own"]
        )
    share = RESERVE_SHARE if released.pattern is not None else 1.0
    draw = draw_cases(reserve, key, number, int(share * max_queries), 2 if clean else 1)
    if missing := [id for id in draw.ids if id not in originals]:
        raise DatasetError("originals", [f"{id}: no such case; name the dataset that was protected" for id in missing])
    hidden = set(reserve.held_back)
    if leaked := sorted(hidden & released.records.keys()):
        raise DatasetError(str(released.folder), [f"{id}: is held back, and published" for id in leaked])
    images = output / IMAGES
    images.mkdir(parents=True)
    writer, usable, left_out = _Writer(images), list[_Usable](), list[Quarantined]()
    with tempfile.TemporaryDirectory(dir=output) as scratch:
        for id in track(draw.ids, len(draw.ids), "write queries", disable=not progress):
            try:
                usable.append(
                    _write_case(
                        writer, len(usable), originals[id], released, Path(scratch), clean, hardness, id in hidden
                    )
                )
            except CaseError as error:
                left_out.append(Quarantined(id, error.reason))
    kept = [item.facts for item in usable]
    if len({case.id in hidden for case in kept}) < 2:
        raise ProofError(f"{output}: no published case, or none that was held back, can be used; see the manifest")
    keys, true_key = 0, 0
    if released.pattern is not None:
        spare = max_queries - len(writer.queries)
        keys, true_key = _write_tiles(writer, usable, released, key, number, spare, reserve.plan.decoys)
    stamp = datetime.now(timezone.utc)
    for path in images.rglob("*"):  # the order of writing would tell which belong together
        os.utime(path, (stamp.timestamp(),) * 2)
    plan = Plan(
        number=number,
        time=stamp.isoformat(timespec="seconds"),
        reserve=reserve,
        cases=tuple(kept),
        drawn=draw.ids,
        total_target=draw.total_target,
        queries=tuple(sorted(writer.queries, key=lambda query: query.name)),
        pattern=released.pattern if keys else None,
        keys=keys,
        true_key=true_key,
        num_classes=released.num_classes,
    )
    plan.save(output, key)
    return plan, left_out


def _write_case(
    writer: _Writer,
    number: int,
    case: Case,
    released: Released,
    scratch: Path,
    clean: bool,
    hardness: Mapping[str, float] | None,
    held_back: bool,
) -> _Usable:
    """Write a case as it is and as it is, or would have been, published."""
    loaded = load_case(case, released.num_classes, released.window)
    for name in protected_names(case):
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
    # By the same steps for both sides, so that what is asked about does not depend on the assignment.
    made = protect_case(case, released.protector, scratch, released.num_classes, released.window)
    record = released.records.get(case.id)
    if record is None and not held_back:
        raise CaseError(case.id, "was not published, the manifest of the release does not list it")
    if record is not None and record.sha256_after != made.sha256_after:
        raise DatasetError(
            str(released.folder),
            [
                f"{record.image}: the protector gives another file than was published; pass the --checkpoint and the "
                "--window that the release was made with"
            ],
        )
    suffix = "" if loaded.stored.format == "dicom_series" else split_name(made.image)[1]
    protected = read_image(scratch / made.image)
    if clean:
        writer.write(loaded.stored.array, loaded.stored, suffix, case=number, kind="clean")
    writer.write(protected.array, protected, suffix, case=number, kind="protected")
    features = features_of(loaded.stored.scaled(), loaded.label)
    if hardness is not None:
        features += (hardness[case.id], hardness[case.id] ** 2)
    facts = QueriedCase(id=case.id, features=features, shape=tuple(loaded.label.shape[1:]), mask=pack(loaded.label[0]))
    boxes: list[Box] = []
    if released.pattern is not None:
        grid = grid_of(loaded.stored.shape, released.pattern)
        label = resize(torch.from_numpy(loaded.label[None]).float(), grid)[0, 0].numpy() > 0
        boxes = cells(label, *_sizes(grid, released.pattern))
    return _Usable(facts, case.image if clean else writer.folder / writer.queries[-1].name, suffix, tuple(boxes))


def _sizes(grid: Sequence[int], pattern: Pattern) -> tuple[int, int]:
    """Side and distance of regions in pixels of the grid."""
    shorter = min(size for axis, size in enumerate(grid) if axis != pattern.slice_axis)
    return max(2 * pattern.patch, round(_SIDE * shorter)), max(2, round(_MARGIN * shorter))


def _write_tiles(
    writer: _Writer,
    usable: Sequence[_Usable],
    released: Released,
    key: bytes,
    number: int,
    spare: int,
    decoys: int,
) -> tuple[int, int]:
    """Write images with tiles; returns how many keys there are, and the number of the true one."""
    pattern = released.pattern
    assert pattern is not None
    rng = random_numbers(key, f"queries {number}")
    order = [index for index in rng.permutation(len(usable)) if usable[index].boxes]
    chosen = [order[index % len(order)] for index in range(spare)] if order else []
    boxes = [usable[index].boxes for index in chosen]
    strengths = [strength * pattern.eps for strength in STRENGTHS]
    keys = min(1 + decoys, sum(map(len, boxes)) // len(strengths))
    if keys < 2:
        return 0, 0
    true_key = int(rng.integers(keys))
    tiles = key_tiles(key, number, keys, true_key, pattern.patch, len(pattern.grid or usable[0].facts.shape))
    for index, regions in zip(chosen, deal(boxes, keys, strengths, rng), strict=True):
        if regions:
            item = usable[index]
            stored = read_image(item.image, released.window)
            array = put(stored, regions, tiles, pattern)
            writer.write(array, stored, item.suffix, case=index, kind="tiles", regions=regions)
    return keys, true_key
