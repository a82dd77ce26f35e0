"""Suggest the nearest known name for a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that offers the most similar known name, to follow a sentence; empty if none is similar."""
    nearest = get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
