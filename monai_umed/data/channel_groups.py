"""Cases whose channels have files of their own, as nnU-Net names them: ``x_0000``, ``x_0001``, with the label ``x``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..io.image_files import PAIR
from ..io.joint_path import joint_path
from ..io.suffixes import split_name
from .pairing import case_names

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<number>\d{4})")


def channel_of(stem: str) -> tuple[str, int] | None:
    """Case and number of a channel, from the name of its file without ending; None for any other name."""
    match = _CHANNEL.fullmatch(stem)
    return None if match is None else (match["case"], int(match["number"]))


def labelled_names(labels: Iterable[str]) -> set[str]:
    """What the cases of labels may be called."""
    return {name for stem in labels for name in case_names(stem, "label")}


def group_channels(images: Mapping[str, Path], labels: Iterable[str], count: int | None = None) -> dict[str, Path]:
    """Put files of one case together.

    How many channels there are is what ``count`` says, else what most cases have. A case with fewer is to be told by
    the files that are missing; one with more keeps them.

    Args:
        images: files by name without ending.
        labels: names of labels without ending.
        count: channels of the dataset; None if nobody says so.

    Returns:
        The same, with the path of all channels, see `monai_umed.io.joint_path`, in the place of their files, by the
        name of the case.
    """
    labels = set(labels)
    known = labelled_names(labels)
    groups: dict[str, dict[int, str]] = defaultdict(dict)
    for stem, path in images.items():
        channel = channel_of(stem)
        if channel is None or stem in labels or path.is_dir() or path.suffix.lower() in PAIR:
            continue
        case, number = channel
        if case in known and case not in images:
            groups[case][number] = stem
    if count is None and groups:
        # Of numbers that are equally frequent the larger: a dataset rather loses a file than gains one.
        sizes = Counter(max(group) + 1 for group in groups.values())
        count = max(sizes, key=lambda size: (sizes[size], size))
    found = dict(images)
    for case, group in groups.items():
        size = max(count or 1, max(group) + 1)
        first = images[next(iter(group.values()))]
        ending = first.name[len(split_name(first.name)[0]) :]
        files = [images[group[k]] if k in group else first.with_name(f"{case}_{k:04}{ending}") for k in range(size)]
        joined = joint_path(files) if size > 1 else None
        if joined is not None:
            for stem in group.values():
                del found[stem]
            found[case] = joined
    return found
