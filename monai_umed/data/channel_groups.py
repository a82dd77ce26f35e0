"""Group the files of channels by case, as nnU-Net names them: ``x_0000``, ``x_0001``, with the label ``x``."""

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
    """Return case and number of a channel from the name of its file without suffix; None for other names."""
    match = _CHANNEL.fullmatch(stem)
    return None if match is None else (match["case"], int(match["number"]))


def labelled_names(labels: Iterable[str]) -> set[str]:
    """Return all names that the cases of labels may have."""
    return {name for stem in labels for name in case_names(stem, "label")}


def group_channels(images: Mapping[str, Path], labels: Iterable[str], count: int | None = None) -> dict[str, Path]:
    """Replace the files of each case's channels by one path.

    The path of a case that lacks channels contains them, so that reading it names the missing files. A case with more
    channels than the others keeps all of them.

    Args:
        images: files by name without suffix.
        labels: names of labels without suffix.
        count: number of channels of each case. Default: that of most cases.

    Returns:
        The files by name, with one path for all channels of a case, see `monai_umed.io.joint_path`, by the name of the
        case.
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
