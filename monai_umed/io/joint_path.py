"""One path for several files that belong together: what their names differ in stands in braces, as shells expand it.

The channels of an image have such a path, ``x_{0000,0001}.nii.gz``, and several masks that are one label,
``x_{mask,mask_1}.png``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePath
from typing import TypeVar

from .suffixes import SUPPORTED, split_name

P = TypeVar("P", bound=PurePath)

_BRACES = re.compile(r"([^{}]*)\{([^{},/\\]+(?:,[^{},/\\]+)+)\}([^{}]*)")
_SEPARATORS = " _.-"
_SEPARATED = re.compile(rf".*[{_SEPARATORS}]")
_LONGEST_NAME = 255  # bytes


def joint_files(path: P) -> dict[str, P] | None:
    """Return the files of a path of several, by what their names differ in and in their order, without using the disk.

    Args:
        path: the path of all of them.

    Returns:
        The files, of which some may be missing; None for any other path.

    Example:
        >>> from pathlib import Path
        >>> {name: file.name for name, file in joint_files(Path("x_{0000,0001}.nii.gz")).items()}
        {'0000': 'x_0000.nii.gz', '0001': 'x_0001.nii.gz'}
    """
    match = _BRACES.fullmatch(path.name)
    if match is None or split_name(path.name)[1] not in SUPPORTED:
        return None
    before, names, behind = match.groups()
    return {name: path.with_name(f"{before}{name}{behind}") for name in names.split(",")}


def first_file(name: str) -> str:
    """Return the first file of a name, with its folders, that may be that of several files."""
    files = joint_files(PurePath(name))
    return name if files is None else next(iter(files.values())).as_posix()


def joint_stem(path: PurePath) -> str:
    """Return what the names of all files have in common, without suffix."""
    match = _BRACES.fullmatch(split_name(path.name)[0])
    assert match is not None  # of a path of several channels
    return match[1].rstrip(_SEPARATORS) + match[3]


def joint_path(files: Sequence[P]) -> P | None:
    """Return the path of several files, in this order.

    Args:
        files: two or more.

    Returns:
        The path; None if it cannot be written: other folders or endings, equal names, names with braces or commas, or
        more than 255 bytes.
    """
    stems, endings = zip(*(split_name(file.name) for file in files), strict=True)
    start, end = _shared(stems), _shared([stem[::-1] for stem in stems])[::-1]
    names = [stem[len(start) : len(stem) - len(end)] for stem in stems]
    first = files[0]
    path = first.with_name(f"{start}{{{','.join(names)}}}{end}{first.name[len(stems[0]) :]}")
    parts = joint_files(path)
    fits = len(set(endings)) == 1 and len(os.fsencode(path.name)) <= _LONGEST_NAME
    return path if fits and parts is not None and list(parts.values()) == list(files) else None


def _shared(stems: Sequence[str]) -> str:
    """Return the common beginning of all stems, up to a separator."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*stems, strict=False))
    match = _SEPARATED.match("".join(letters[0] for letters in same))
    return match.group() if match else ""
