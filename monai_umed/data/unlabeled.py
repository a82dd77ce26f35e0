"""Images of a dataset that have no label: where they may change is unknown, so no release holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from ..io.listing import visible
from ..io.suffixes import split_name
from .case import Case
from .dataset_json import TEST_KEYS, ListingError, read_listing

_CHANNEL = re.compile(r"_\d{4}$")


def count_unlabeled(cases: Iterable[Case]) -> int:
    """How many images there are in ``imagesTs`` beside ``imagesTr``, and without a label in a ``dataset.json``.

    The channels of an image count once, as do images that are in both places.

    Args:
        cases: some or all cases of a dataset.
    """
    cases = list(cases)
    names: set[str] = set()
    for folder in {case.image.parent.with_name("imagesTs") for case in cases if case.image.parent.name == "imagesTr"}:
        names |= {_name(path.name) for path in visible(folder)} if folder.is_dir() else set()
    for listing in {case.listing for case in cases if case.listing is not None}:
        names |= _listed(listing)
    return len(names)


def _listed(listing: Path) -> set[str]:
    try:
        _, content = read_listing(listing)
    except ListingError:  # whoever carries it says so
        return set()
    entries = [entry for key in TEST_KEYS if isinstance(found := content.get(key), list) for entry in found]
    return {_name(PurePosixPath(image).name) for entry in entries if (image := _image_alone(entry))}


def _image_alone(entry: Any) -> str | None:
    """The image of an entry that names no label; None if it does, or is no such entry."""
    if isinstance(entry, dict) and "label" not in entry:
        entry = entry.get("image")
        entry = entry[0] if isinstance(entry, list) and entry else entry  # its channels
    return entry if isinstance(entry, str) else None


def _name(file: str) -> str:
    return _CHANNEL.sub("", split_name(file)[0])
