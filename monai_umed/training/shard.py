"""The part of the work that one of several processes does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Every ``count``-th item from ``index`` on: neighbors, often alike in size, go to different shards.

    Attributes:
        index: number of the shard, from 0.
        count: number of shards; 1 is the whole.

    Raises:
        ValueError: If ``count`` is below 1, or ``index`` is negative or not below ``count``.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.index < self.count:
            last = f"{max(self.count, 1) - 1}/{max(self.count, 1)}"
            raise ValueError(f"{self.index}/{self.count} is not a shard; use 0/{max(self.count, 1)} to {last}.")

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Return the items of this shard, in their order."""
        return items[self.index :: self.count]


WHOLE = Shard()


def parse_shard(text: str) -> Shard:
    """Parse a shard as it is written on a command line: ``"0/4"`` is the first of four.

    Raises:
        ValueError: If the text has another form, or there is no such shard.
    """
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if found is None:
        raise ValueError(f"{text!r} is not a shard; write 0/4 for the first of four, 3/4 for the last.")
    return Shard(int(found[1]), int(found[2]))
