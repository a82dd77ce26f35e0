"""Which cases belong together: those that a file puts into one group, and images that nearly occur twice.

Exact tests take groups for one: if one half of a pair of near-duplicates is published and the other held back, a model
that saw the first knows the second, and the difference between both sides shrinks.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from ...data.case import Case, DatasetError
from ...data.loading import read_case_image
from ...data.parallel import map_cases
from ...functional.resampling import resize

SAME = 0.8
"""Correlation of fine structure from which two images are near-duplicates."""
_SIDE = {2: 48, 3: 20}
_COARSE = 3.0  # pixels of a thumbnail: what is coarser, all images of one kind of scan share


def read_groups(path: str | Path, ids: Sequence[str]) -> dict[str, str]:
    """Read which group each case is in: a CSV file with two columns, the case's name and its group.

    Args:
        path: the file; a first line ``case,group`` is a heading. Cases that it leaves out are alone.
        ids: all cases.

    Returns:
        The group of every case.

    Raises:
        DatasetError: If the file cannot be read, a line has not two columns, or names a case that is unknown or named
            twice.
    """
    path = Path(path)
    try:
        lines = [line for line in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if line]
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(
            str(path), [f"no readable CSV file ({error}); write lines such as scan_01,patient_7"]
        ) from error
    if lines and lines[0] == ["case", "group"]:
        lines = lines[1:]
    known = set(ids)
    found: dict[str, str] = {}
    offenders: list[str] = []
    for number, line in enumerate(lines, 1):
        if len(line) != 2 or not line[1].strip():
            offenders.append(f"line {number}: {line} has not two columns; write the case's name, a comma, its group")
        elif (name := line[0].strip()) not in known:
            offenders.append(f"line {number}: there is no case {name!r}; names lack endings")
        elif name in found:
            offenders.append(f"line {number}: {name!r} is named twice; name it once")
        else:
            found[name] = f"group {line[1].strip()}"
    if offenders:
        raise DatasetError(str(path), offenders)
    return {id: found.get(id, id) for id in ids}


def near_duplicates(cases: Sequence[Case], progress: bool = True) -> list[tuple[str, str]]:
    """Pairs of images that show nearly the same: their fine structure correlates by :data:`SAME` or more.

    Images are brought to a small grid; what all of them share, their mean and everything coarse, is taken off, so that
    chest X-rays of two people, which are alike as a whole, are no pair. Turned or strongly cropped copies are not
    found.

    Args:
        cases: images of any sizes.
        progress: whether to show a progress bar.

    Returns:
        Pairs of ids, each in order; images that cannot be read are in none.
    """
    marks: dict[str, np.ndarray] = {}

    def look(case: Case) -> None:
        stored = read_case_image(case)
        image = torch.from_numpy(stored.scaled()).nan_to_num(0).clamp(0, 1).mean(0)
        small = resize(image[None, None], (_SIDE[image.ndim],) * image.ndim)[0, 0].numpy()
        marks[case.id] = (small - gaussian_filter(small, _COARSE)).ravel()

    map_cases(look, cases, title="compare images", num_workers=2, progress=progress)
    pairs: list[tuple[str, str]] = []
    for size in sorted({len(mark) for mark in marks.values()}):  # images are not compared with volumes
        ids = sorted(id for id, mark in marks.items() if len(mark) == size)
        table = np.stack([marks[id] for id in ids]).astype(np.float64)
        if len(ids) > 2:
            table -= table.mean(0)
        table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
        first, second = np.nonzero(np.triu(table @ table.T >= SAME, 1))
        pairs += [(ids[i], ids[k]) for i, k in zip(first, second, strict=True)]
    return pairs


def join(groups: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Groups of which those that share a pair are one, named after the first of them."""
    parent = {group: group for group in groups.values()}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for one, other in pairs:
        low, high = sorted((root(groups[one]), root(groups[other])))
        parent[high] = low
    return {id: root(group) for id, group in groups.items()}


def check_leaks(groups: Mapping[str, str], held_back: Iterable[str], pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse a reserve of which a case nearly occurs among the published.

    Raises:
        DatasetError: names both cases of every such pair.
    """
    hidden = set(held_back)
    split = [pair for pair in pairs if (pair[0] in hidden) != (pair[1] in hidden)]
    if split:
        sides = [(one, other) if one in hidden else (other, one) for one, other in split]
        cure = "which is published; put both into one group"
        offenders = [f"{secret} is held back and nearly equals {public}, {cure}" for secret, public in sides]
        raise DatasetError("groups", offenders)
