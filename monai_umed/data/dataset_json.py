"""The ``dataset.json`` of a Decathlon or nnU-Net dataset, cut down to the cases that a copy of the dataset holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..io.joint_path import joint_files

DATASET_JSON = "dataset.json"
"""Name of the file in a dataset and in a release."""

TRAIN_KEYS = ("training", "train")
"""Lists of cases to train on."""
TEST_KEYS = ("test", "validation")
"""Lists of cases to test on; those without a label are not read."""


class ListingError(ValueError):
    """A ``dataset.json`` cannot be used; the message names the file, the reason and the cure."""


@dataclass(frozen=True)
class Kept:
    """A case that a copy of a dataset holds, by names relative to the dataset's folder.

    Attributes:
        image: the image in the dataset.
        written: the image in the copy, which may have another ending.
    """

    image: str
    written: str


def read_listing(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Read a ``dataset.json``.

    Args:
        path: the file.

    Returns:
        Its bytes, and what they hold.

    Raises:
        ListingError: If the file cannot be read, or is no JSON object.
    """
    try:
        content = path.read_bytes()
        fields = json.loads(content.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise ListingError(f"{path.name}: no valid JSON ({error}); repair it") from error
    if not isinstance(fields, dict):
        raise ListingError(f"{path.name}: must be a JSON object with the list 'training'; repair it")
    return content, fields


def keep_cases(path: Path, kept: Mapping[str, Kept]) -> bytes:
    """A ``dataset.json`` without the cases that a copy of its dataset does not hold.

    Lists of cases, the ``dataset`` of nnU-Net, ``numTraining`` and ``numTest`` are adjusted; all else stays. Cases are
    known by their labels, because Decathlon names images without the ``_0000`` that their files have for nnU-Net.
    Images without a label are in no copy, and hence removed.

    Args:
        path: the file.
        kept: the cases of the copy by their labels, relative to the dataset's folder, with ``/``.

    Returns:
        The bytes of the file if they are right as they are, else JSON anew, with the fields in their order.

    Raises:
        ListingError: as `read_listing`.
    """
    content, before = read_listing(path)
    after = dict(before)
    for key in (*TRAIN_KEYS, *TEST_KEYS):
        if isinstance(before.get(key), list):
            after[key] = [_renamed(entry, case) for entry in before[key] if (case := _find(entry, kept))]
    if isinstance(before.get("dataset"), dict):
        after["dataset"] = {name: entry for name, entry in before["dataset"].items() if _find(entry, kept)}
    listed = [after[key] for key in TRAIN_KEYS if isinstance(after.get(key), list)]
    counts = {"numTraining": len(listed[0]) if listed else len(kept), "numTest": len(_as_list(after.get("test")))}
    after |= {key: count for key, count in counts.items() if key in before}
    return content if after == before else (json.dumps(after, indent=4, ensure_ascii=False) + "\n").encode("utf-8")


def listed_channels(path: Path) -> int | None:
    """Return the number of files that nnU-Net expects for each case; None if the list does not tell.

    It does not for pictures, whose colors are channels of nnU-Net in one file.
    """
    try:
        _, fields = read_listing(path)
    except ListingError:  # missing, or whoever reads it next says what is wrong
        return None
    names = fields.get("channel_names", fields.get("modality"))
    is_picture = str(fields.get("file_ending", "")).lower() in (".png", ".bmp", ".tif", ".tiff")
    return len(names) if isinstance(names, dict) and names and not is_picture else None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _find(entry: Any, kept: Mapping[str, Kept]) -> Kept | None:
    label = entry.get("label") if isinstance(entry, dict) else None
    return kept.get(PurePosixPath(label).as_posix()) if isinstance(label, str) else None


def _renamed(entry: dict[str, Any], case: Kept) -> dict[str, Any]:
    image = entry.get("image")
    if case.image == case.written:
        return entry
    if isinstance(image, str) and PurePosixPath(image).as_posix() == case.image:
        return {**entry, "image": case.written}
    before, after = (joint_files(PurePosixPath(name)) for name in (case.image, case.written))
    if not (before and after and isinstance(image, list)):
        return entry
    names = {file.as_posix(): after[name].as_posix() for name, file in before.items()}
    return {**entry, "image": [names.get(PurePosixPath(str(name)).as_posix(), name) for name in image]}
