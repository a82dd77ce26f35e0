"""Read what a model answered, refuse what cannot be its answers, and score them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ...data.case import DatasetError
from ...data.codec import decode
from ...data.labels import read_label
from ...data.loading import BINARY_FOREGROUNDS
from ...data.parallel import track
from ...io.checksum import sha256_path
from ...io.listing import visible
from ...io.stored import CodecError
from ...io.suffixes import SUPPORTED, split_name
from .decoys import Answers
from .plan import Plan, Query
from .tiles import grid_of

ARRAY, PACKED, PROBABILITY = ".npy", ".npz", "probability"
"""Endings of arrays: of numbers as they are, and compressed, of probabilities in 255ths under this name."""
MOST_MISSING = 0.1
"""Of the predictions; more would leave too little to tell."""


@dataclass(frozen=True)
class Scores:
    """What the tests look at, by the name of the query; recorded, so that they can be done again without predictions.

    Attributes:
        dice: of clean and protected queries: Dice with the owner's mask, mean over classes; soft for probabilities.
        responses: of queries with tiles: for each region the share, or mean probability, of structure.
        missing: queries without a prediction.
        sha256: checksum over names and contents of all predictions.
    """

    dice: Mapping[str, float]
    responses: Mapping[str, tuple[float, ...]]
    missing: tuple[str, ...]
    sha256: str

    def of_kind(self, plan: Plan, kind: str) -> np.ndarray:
        """Dice of every case of the plan, NaN where there is none."""
        values = np.full(len(plan.cases), np.nan)
        for query in plan.queries:
            if query.kind == kind and query.name in self.dice:
                values[query.case] = self.dice[query.name]
        return values

    def answers(self, plan: Plan) -> Answers:
        """The responses to tiles as arrays."""
        asked = [query for query in plan.queries if query.name in self.responses]
        return Answers(
            response=np.array([value for query in asked for value in self.responses[query.name]], float),
            key=np.array([region.key for query in asked for region in query.regions], int),
            image=np.repeat(np.arange(len(asked)), [len(query.regions) for query in asked]),
        )


@dataclass(frozen=True, eq=False)
class Answer:
    """One prediction: of each foreground class, its probability or 0 and 1, ``(classes - 1, *spatial)``."""

    values: np.ndarray
    soft: bool
    highest: int


def score_answers(plan: Plan, folder: Path, *, some: bool = False, progress: bool = True) -> Scores:
    """Score the predictions of a folder, files with the names of the queries: masks, or probabilities.

    Args:
        plan: what was asked.
        folder: images of any lossless format with class numbers (of two classes 0 and 1, or 0 and 255), or
            probabilities: ``.npy``, ``(*spatial)`` or ``(classes, *spatial)``, NIfTI, or what
            :func:`monai_umed.evaluation.proof.models.predict_queries` writes.
        some: whether all but the first, in the order of the names, may be missing: the test that may be stopped.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: If predictions are missing, of another size, unreadable, or all empty; masks and probabilities, or
            numbers of the foreground, are mixed; all offenders are named.
    """
    files = find_answers(folder)
    missing = tuple(query.name for query in plan.queries if stem(query.name) not in files)
    if len(missing) == len(plan.queries) or (not some and len(missing) > MOST_MISSING * len(plan.queries)):
        raise DatasetError(str(folder), [f"{name}: it has no prediction; run the model on it" for name in missing])
    asked = [query for query in plan.queries if stem(query.name) in files]
    if some and missing and asked[-1].name > missing[0]:
        late = next(query.name for query in asked if query.name > missing[0])
        offenders = [f"{late}: answered although {missing[0]} was not; ask in the order of the names"]
        raise DatasetError(str(folder), offenders)
    dice: dict[str, float] = {}
    responses: dict[str, tuple[float, ...]] = {}
    kinds: dict[tuple[bool, int], str] = {}
    digest, offenders, found = hashlib.sha256(), [], False
    for query in track(asked, len(asked), title="read predictions", disable=not progress):
        path = files[stem(query.name)]
        try:
            answer = read_answer(path, plan.cases[query.case].shape, plan.num_classes)
            digest.update(f"{stem(query.name)} {sha256_path(path)}\n".encode("ascii"))
        except (CodecError, OSError, ValueError, KeyError, BadZipFile) as error:
            offenders.append(str(error) if isinstance(error, CodecError) else f"{path.name}: {error}; predict it again")
            continue
        if answer.highest:
            found = True
            kinds.setdefault((answer.soft, answer.highest if plan.num_classes == 2 else 1), path.name)
        if query.kind == "tiles":
            responses[query.name] = responses_of(answer.values, query, plan)
        else:
            dice[query.name] = dice_of(answer.values, plan.cases[query.case].label)
    if len(kinds) > 1:
        kind, other = [f"{name} ({_say(*kind)})" for kind, name in list(kinds.items())[:2]]
        offenders.append(f"{kind} and {other} are mixed; write all predictions in one way")
    if not found and not offenders:
        offenders = [f"all {len(asked)} predictions are empty, which tells nothing; check how the model was run"]
    if offenders:
        raise DatasetError(str(folder), offenders)
    return Scores(dice, responses, missing, digest.hexdigest())


def find_answers(folder: Path) -> dict[str, Path]:
    """Predictions by the name of the query without its ending.

    Raises:
        DatasetError: If there is no such folder, or two files answer one query.
    """
    if not folder.is_dir():
        raise DatasetError(str(folder), ["no such folder; check the path"])
    found: dict[str, Path] = {}
    for path in visible(folder):
        if path.is_dir() or split_name(path.name)[1] in (ARRAY, PACKED, *SUPPORTED):
            other = found.setdefault(stem(path.name), path)
            if other != path:
                raise DatasetError(str(folder), [f"{path.name} and {other.name} answer one query; remove one"])
    return found


def stem(name: str) -> str:
    """Name of a query, or of its prediction, without ending."""
    return split_name(name)[0]


def _say(soft: bool, highest: int) -> str:
    return "probabilities" if soft else f"a mask whose structure has the number {highest}"


def read_answer(path: Path, shape: Sequence[int], num_classes: int) -> Answer:
    """Read one prediction.

    Args:
        path: see :func:`score_answers`.
        shape: of the query, without channels.
        num_classes: classes, background included.

    Raises:
        CodecError: If it cannot be read.
        ValueError: If it has another shape, or neither classes nor probabilities.
    """
    array, soft = _read_array(path)
    shape = tuple(shape)
    if array.shape == shape:
        array = array[None]
    if array.shape[1:] != shape:
        turned = "; its axes are exchanged: write rows by columns" if array.shape[1:] == shape[::-1] else ""
        raise ValueError(f"its shape is {array.shape}, that of the query {shape}{turned}")
    if not np.isfinite(array).all():
        raise ValueError("it holds NaN or infinity")
    if not soft and len(array) == 1 and (array == np.rint(array)).all():
        return _mask(array[0], num_classes)
    if array.min() < -1e-3 or array.max() > 1 + 1e-3:
        raise ValueError(f"its values reach from {array.min():g} to {array.max():g}, neither classes nor probabilities")
    if len(array) not in (num_classes, num_classes - 1):
        raise ValueError(f"it has {len(array)} channels, there are {num_classes} classes")
    return Answer(array[len(array) - num_classes + 1 :].astype(np.float32), True, 1)


def _read_array(path: Path) -> tuple[np.ndarray, bool]:
    """What a file holds, and whether it says that these are probabilities."""
    if path.suffix == ARRAY:
        return np.load(path, allow_pickle=False), False
    if path.suffix == PACKED:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[PROBABILITY] / np.float32(255), True
    stored = None if path.is_dir() else decode(path, as_label=True)
    if stored is not None and stored.array.dtype.kind == "f":
        return stored.array, False
    return read_label(path), False


def _mask(values: np.ndarray, num_classes: int) -> Answer:
    highest = int(values.max())
    if num_classes == 2:
        if highest not in (0, *BINARY_FOREGROUNDS) or not np.isin(values, (0, highest)).all():
            raise ValueError(f"it holds the values {_some(values)}, expected 0 and 1, or 0 and 255")
        return Answer((values > 0)[None].astype(np.float32), False, highest)
    if values.min() < 0 or highest >= num_classes:
        raise ValueError(f"it holds the values {_some(values)}, expected 0 to {num_classes - 1}")
    numbers = np.arange(1, num_classes).reshape(-1, *[1] * values.ndim)
    return Answer((values == numbers).astype(np.float32), False, highest)


def _some(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in np.unique(values)[:6])


def dice_of(values: np.ndarray, label: np.ndarray) -> float:
    """Dice of ``(classes - 1, *spatial)`` with class numbers, mean over classes; 1 for a class that is in neither."""
    found = []
    for number, own in enumerate(values, 1):
        true = label == number
        total = float(own.sum(dtype=np.float64) + true.sum())
        found.append(2 * float(own[true].sum(dtype=np.float64)) / total if total > 0 else 1.0)
    return round(sum(found) / len(found), 6)


def responses_of(values: np.ndarray, query: Query, plan: Plan) -> tuple[float, ...]:
    """Share, or mean probability, of structure in each region of a query with tiles."""
    assert plan.pattern is not None
    structure = values.sum(0).clip(0, 1)
    grid = grid_of(structure.shape, plan.pattern)
    scale = [native / size for native, size in zip(structure.shape, grid, strict=True)]
    boxes = (
        tuple(
            slice(int(first * by), max(int(first * by) + 1, int(last * by)))
            for (first, last), by in zip(region.box, scale, strict=True)
        )
        for region in query.regions
    )
    return tuple(round(float(structure[box].mean()), 6) for box in boxes)
