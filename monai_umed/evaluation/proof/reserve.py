"""The secret reserve: cases that a release leaves out by lot, so that published ones can be told from others.

Under the null hypothesis, a model that never saw the release, both are alike, since nothing but the key decides which
is which. The manifest commits to the choice by a checksum before anybody can have trained on the release.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from statistics import NormalDist
from typing import Any

from ...io.atomic import write_atomically
from ...sealing.sealed_json import ProofError, by_lot, digest, open_json, seal_json

RESERVE = "reserve.sealed"
"""Name of the file in the owner's folder ``proof``, beside the protected one."""
WANTED = 1e-3
"""The p-value that a reserve must at least allow."""

_PURPOSE = "reserve"
_LIMITS = (0.02, 0.5)


@dataclass(frozen=True, kw_only=True)
class TestPlan:
    """What is fixed before a release is published, so that nobody can say that the test was chosen to fit.

    Attributes:
        redraws: assignments drawn anew in the test of the reserve.
        decoys: keys drawn as the owner's was in the test of the key.
        rule: how the two p-values are joined.
    """

    __test__ = False  # no test of pytest

    redraws: int = 9999
    decoys: int = 999
    rule: str = "Bonferroni: min(1, 2 min(p1, p2))"


@dataclass(frozen=True, kw_only=True)
class Reserve:
    """Which cases are published and which are held back.

    Attributes:
        time: when it was drawn, UTC, ISO 8601.
        salt: 64 random hexadecimal digits, without which the commitment could be searched for by trying assignments.
        fraction: of the cases that are held back.
        groups: the group of every case.
        held_back: cases that must never be published, sorted.
        plan: how the proof will be made.
    """

    time: str
    salt: str
    fraction: float
    groups: Mapping[str, str]
    held_back: tuple[str, ...]
    plan: TestPlan = TestPlan()

    @property
    def commitment(self) -> str:
        """SHA-256 of all of it, which the public manifest carries."""
        return digest(asdict(self))

    @property
    def target(self) -> int:
        """Cases that groups were drawn for."""
        return math.ceil(self.fraction * len(self.groups))

    def drawn_by(self, key: bytes) -> bool:
        """Whether this key draws this reserve."""
        return self.held_back == self.drawn_anew(key, self.plan.redraws).held_back

    def drawn_anew(self, key: bytes, redraws: int) -> Reserve:
        """The reserve that another key would have drawn from the same cases, for trials."""
        order = by_lot(set(self.groups.values()), key, _PURPOSE)
        held_back = tuple(sorted(first_groups(order, self.groups, self.target)))
        return replace(self, held_back=held_back, plan=replace(self.plan, redraws=redraws))

    def save(self, folder: Path, key: bytes) -> None:
        """Seal it into the owner's folder.

        Raises:
            OSError: If it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / RESERVE, seal_json(asdict(self), key, _PURPOSE), private=True)

    @staticmethod
    def load(folder: Path, key: bytes) -> Reserve:
        """Open the file that :meth:`save` wrote.

        Raises:
            ProofError: If there is none, it is damaged, of another key, or not what this key draws.
        """
        path = folder / RESERVE
        if not path.is_file():
            raise ProofError(
                f"{path}: no such file; a reserve is drawn by `monai-umed protect --reserve 0.2 --proof-key FILE`"
            )
        return Reserve.parse(open_json(path.read_bytes(), key, _PURPOSE, name=path.name))

    @staticmethod
    def parse(content: Any) -> Reserve:
        """Make one of what :func:`dataclasses.asdict` gave."""
        fields = {**content, "held_back": tuple(content["held_back"]), "plan": TestPlan(**content["plan"])}
        return Reserve(**fields)


def draw_reserve(groups: Mapping[str, str], fraction: float, key: bytes, *, wanted: float = WANTED) -> Reserve:
    """Draw the reserve: groups in an order that the key decides, as many as it takes to hold back a fraction.

    Args:
        groups: the group of every case, see :mod:`monai_umed.evaluation.proof.groups`.
        fraction: of the cases to hold back, 0.02 to 0.5; the last group may bring a few more.
        key: 32 secret bytes.
        wanted: the p-value that must be within reach.

    Raises:
        ValueError: ``fraction`` is out of range.
        ProofError: If there are too few groups for a p-value that small; says how many it takes.
    """
    if not _LIMITS[0] <= fraction <= _LIMITS[1]:
        raise ValueError(f"reserve is {fraction:g}; it must be from {_LIMITS[0]:g} to {_LIMITS[1]:g} of the cases")
    order = by_lot(set(groups.values()), key, _PURPOSE)
    held_back = first_groups(order, groups, math.ceil(fraction * len(groups)))
    drawn, total = len({groups[id] for id in held_back}), len(order)
    if (least := smallest_p(total, drawn)) > wanted:
        needed = next(n for n in count(2) if smallest_p(n, math.ceil(fraction * n)) <= wanted)
        raise ProofError(
            f"a reserve of {drawn} of {total} groups allows no p-value below {least:.2g}, and {wanted:g} is wanted; it "
            f"takes at least {needed} groups for this fraction, or a larger fraction"
        )
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Reserve(
        time=now,
        salt=secrets.token_hex(32),
        fraction=fraction,
        groups=dict(sorted(groups.items())),
        held_back=tuple(sorted(held_back)),
    )


def first_groups(order: Sequence[str], groups: Mapping[str, str], target: int) -> AbstractSet[str]:
    """The cases of the first groups that together have at least ``target`` of them."""
    members: dict[str, list[str]] = {}
    for id, group in groups.items():
        members.setdefault(group, []).append(id)
    chosen: set[str] = set()
    for group in order:
        if len(chosen) >= target:
            break
        chosen.update(members.get(group, ()))
    return chosen


def smallest_p(groups: int, held_back: int) -> float:
    """The least p-value that so many groups allow: one over the number of ways to hold back as many of them."""
    return 1 / math.comb(groups, min(held_back, groups))


def smallest_difference(published: int, held_back: int, p: float = WANTED) -> float:
    """The difference of both means, in standard deviations of one case, that gives ``p`` in half of all draws."""
    return NormalDist().inv_cdf(1 - p) * math.sqrt(1 / published + 1 / held_back)


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
        ProofError: If there are too few queries for the reserve and as many published cases.
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
