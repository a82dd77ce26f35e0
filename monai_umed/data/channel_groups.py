"""Group the files of channels by case: ``x_0000``, ``x_0001`` with ``x`` (nnU-Net), ``x_t1`` with ``x_seg`` (BraTS)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..io.image_files import PAIR
from ..io.joint_path import joint_path
from ..io.suffixes import split_name
from .pairing import bare_mark, case_names, further_label

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


def group_folders(folders: Sequence[tuple[Mapping[str, Path], Mapping[str, Path]]]) -> list[Mapping[str, Path]]:
    """Replace the images of cases in folders of their own by one path, as `group_channels` does.

    What follows the name of the case names a channel: ``x_t1.nii.gz``, ``x_t2.nii.gz`` with ``x_seg.nii.gz``. Files
    that bear the names of channels alone (``t1``, ``t2`` with ``seg``) may as well be images of several cases, so they
    count if two folders or more hold the same names.

    Args:
        folders: images and labels of each, by name without suffix.

    Returns:
        The images of each folder: one path for the channels, in the order of their names, by the name of the case, or
        by ``image`` where they bear none; for folders of other files the images as they are.
    """
    groups = [_named_channels(images, labels) for images, labels in folders]
    counts = Counter(tuple(sorted(channels)) for _, channels in groups if channels)
    usual = max(counts, key=lambda names: (counts[names], len(names), names), default=())
    found: list[Mapping[str, Path]] = []
    for (images, _), (start, channels) in zip(folders, groups, strict=True):
        is_usual = not channels.keys().isdisjoint(usual)
        names = sorted(channels.keys() | (usual if is_usual else ()))
        joined = None
        if len(names) > 1 and (start or (is_usual and counts[usual] > 1)):
            first = next(iter(channels.values()))
            ending = first.name[len(split_name(first.name)[0]) :]
            joined = joint_path([channels.get(name, first.with_name(f"{start}{name}{ending}")) for name in names])
        found.append(images if joined is None else {start[:-1] or "image": joined})
    return found


def _named_channels(images: Mapping[str, Path], labels: Mapping[str, Path]) -> tuple[str, dict[str, Path]]:
    """What the names of all images begin with, and the images by what follows; no images if they are no channels."""
    firsts = [stem for stem in labels if further_label(stem, labels) is None]
    if len(firsts) != 1:
        return "", {}
    case = case_names(firsts[0], "label")[-1]
    start = firsts[0][: len(case) + 1] if case != firsts[0] else ""
    channels = {stem.removeprefix(start): path for stem, path in images.items() if path.suffix.lower() not in PAIR}
    # Other numbers than 0000 count photographs; x_img is the image of x by its name.
    others = [name for name in channels if not re.fullmatch(r"00\d\d", name)]
    is_named = not any(name.isdigit() or bare_mark(name, "image") for name in others)
    is_case = all(stem.startswith(start) and stem != start for stem in images) and len(channels) == len(images)
    return (start, channels) if is_named and is_case and (start or bare_mark(firsts[0], "label")) else ("", {})
