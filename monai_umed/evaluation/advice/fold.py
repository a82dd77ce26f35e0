"""A part of the training section to test on, near-duplicates on one side, so that the test section is never read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch

from ...data.case import DatasetError
from ..audit.leaks import THRESHOLD, correlate

FRACTION = 0.2
ENOUGH = 30
"""Held-out cases below which advice is a guess."""


def group(images: torch.Tensor) -> list[int]:
    """Number the groups of images that are, directly or by way of others, nearly the same.

    Args:
        images: ``(N, 1, *spatial)``, see :func:`monai_umed.evaluation.audit.leaks.correlate`.

    Returns:
        The group of every image: the smallest index in it.
    """
    alike = correlate(images, images) >= THRESHOLD
    groups = list(range(len(images)))
    for first, second in alike.triu(1).nonzero().tolist():
        old, new = sorted((groups[first], groups[second]), reverse=True)
        if old != new:
            groups = [new if number == old else number for number in groups]
    return groups


def hold_out(items: Sequence[dict], *, num_classes: int, seed: int = 0) -> list[str]:
    """Choose the cases to test on: a fifth, or more where that would be few.

    Args:
        items: one per case, with ``id``, ``image`` and ``label``, all on one grid.
        num_classes: classes, background included; each must be in the fold.
        seed: of the choice.

    Returns:
        Their ids, sorted.

    Raises:
        DatasetError: If a class is in no case of the fold, or all cases are near-duplicates of each other.
    """
    groups = group(torch.stack([item["image"].mean(0, keepdim=True) for item in items]))
    ids = [item["id"] for item in items]
    wanted = max(math.ceil(FRACTION * len(ids)), min(ENOUGH, len(ids) // 2))
    order = sorted(set(groups), key=lambda number: hashlib.sha256(f"{seed}:{ids[number]}".encode()).digest())
    chosen: list[int] = []
    for number in order:
        members = [index for index, other in enumerate(groups) if other == number]
        if len(chosen) < wanted and len(chosen) + len(members) < len(ids) and len(members) <= wanted:
            chosen += members
    if not chosen:
        raise DatasetError("the training section", [f"its {len(ids)} images are nearly the same; add others"])
    shown = {int(value) for index in chosen for value in items[index]["label"].unique().tolist()}
    if missing := [str(number) for number in range(1, num_classes) if number not in shown]:
        lack = f"class {', '.join(missing)} is in none of the {len(chosen)} held-out cases"
        raise DatasetError("the training section", [f"{lack}; give another seed, or add cases that show it"])
    return sorted(ids[index] for index in chosen)
