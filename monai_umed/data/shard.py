"""The part of a dataset that one of several processes works on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Every ``count``-th item, beginning with number ``index``: neighbors, often alike in size, go to different shares.

    Attributes:
        index: which share, from 0.
        count: into how many shares the whole is divided; 1 is the whole.

    Raises:
        ValueError: there is no such share.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.index < self.count:
            last = f"{max(self.count, 1) - 1}/{max(self.count, 1)}"
            raise ValueError(f"{self.index}/{self.count} is no share; they go from 0/{max(self.count, 1)} to {last}.")

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """The items of this share, in their order."""
        return items[self.index :: self.count]


WHOLE = Share()


def parse_share(text: str) -> Share:
    """Read a share as it is written on a command line: ``"0/4"`` is the first of four.

    Raises:
        ValueError: the text is none, or there is no such share.
    """
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if found is None:
        raise ValueError(f"{text!r} is no share; write 0/4 for the first of four, 3/4 for the last.")
    return Share(int(found[1]), int(found[2]))
