"""Write the queries of one test: images without names, in no order, and the sealed plan that tells what they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from ...data.case import Case, CaseError, DatasetError
from ...data.manifest import Quarantined
from ...data.parallel import track
from ...sealing.sealed_json import ProofError
from .plan import IMAGES, Plan
from .query_files import QueryFiles, Released
from .reserve import Reserve, draw_cases

RESERVE_SHARE = 0.6
"""Of the queries, for the test of the reserve, where there is a test of the key as well."""


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
    """Write ``images`` and the sealed plan into a new folder, all of it or nothing.

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
        progress: whether to show a progress bar.

    Returns:
        The plan, and the cases that cannot be used.

    Raises:
        DatasetError: If the folder holds files, originals are missing, or a published file is not the release's.
        ProofError: If there are too few queries, or nothing can be used.
        OSError: If files cannot be read or written.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        cure = "choose an empty folder, each test has one of its own"
        raise DatasetError(str(output), [f"it holds files already; {cure}"])
    share = RESERVE_SHARE if released.pattern is not None else 1.0
    draw = draw_cases(reserve, key, number, int(share * max_queries), 2 if clean else 1)
    if missing := [id for id in draw.ids if id not in originals]:
        raise DatasetError("originals", [f"{id}: no such case; name the dataset that was protected" for id in missing])
    hidden = set(reserve.held_back)
    if leaked := sorted(hidden & released.records.keys()):
        raise DatasetError(str(released.folder), [f"{id}: is held back, and published" for id in leaked])
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=output.parent) as place:
        staged, scratch = Path(place) / "queries", Path(place) / "scratch"
        (staged / IMAGES).mkdir(parents=True)
        files = QueryFiles(staged / IMAGES, scratch, released=released, clean=clean, hardness=hardness)
        left_out: list[Quarantined] = []
        for id in track(draw.ids, len(draw.ids), title="write queries", disable=not progress):
            try:
                files.add_case(originals[id], held_back=id in hidden)
            except CaseError as error:
                left_out.append(Quarantined(id, error.reason))
        if len({case.id in hidden for case in files.cases}) < 2:
            raise ProofError(f"{released.folder}: no published case, or none that was held back, can be used")
        keys, true_key = 0, 0
        if released.pattern is not None:
            spare = max_queries - len(files.queries)
            keys, true_key = files.add_tiles(key, number, count=spare, decoys=reserve.plan.decoys)
        stamp = datetime.now(timezone.utc)
        for path in staged.rglob("*"):  # the order of writing would tell which belong together
            os.utime(path, (stamp.timestamp(),) * 2)
        plan = Plan(
            number=number,
            time=stamp.isoformat(timespec="seconds"),
            reserve=reserve,
            cases=tuple(files.cases),
            drawn=draw.ids,
            total_target=draw.total_target,
            queries=tuple(sorted(files.queries, key=lambda query: query.name)),
            pattern=released.pattern if keys else None,
            keys=keys,
            true_key=true_key,
            num_classes=released.num_classes,
        )
        plan.save(staged, key)
        if output.exists():
            output.rmdir()
        staged.rename(output)
    return plan, left_out
