"""List the entries of a folder that belong to a dataset, and compare paths after following links."""

import os
from collections.abc import Collection
from pathlib import Path

# Left behind by Windows, macOS and network drives; hidden files are ignored anyway.
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r"}


def visible(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name, without hidden ones and those that operating systems create.

    Raises:
        OSError: If the folder cannot be read.
    """
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower() not in _JUNK)


def _is_below(path: Path, root: Path) -> bool:
    """Whether a path leads below a folder, by its name and without any link from there on."""
    depth = len(path.parts) - len(root.parts)
    if root not in path.parents or ".." in path.parts[-depth:] or os.name == "nt":  # whose junctions are no links
        return False
    return not any(map(os.path.islink, (path, *path.parents[: depth - 1])))


def leaves(path: Path, root: Path) -> bool:
    """Return whether ``path``, after following links, is outside of the folder ``root``, or a link to itself."""
    if _is_below(path, root):  # to follow all links takes much longer
        return False
    try:
        return not path.resolve().is_relative_to(root.resolve())
    except RuntimeError:  # a link to itself, before Python 3.13
        return True


def real_folders(paths: Collection[Path]) -> set[Path]:
    """Return the folders in which files or folders lie, after following links; each of them is followed once."""
    links = {path for path in paths if path.is_symlink()}
    folders = {path.parent for path in paths if path not in links}
    return {folder.resolve() for folder in folders} | {link.resolve().parent for link in links}


def overlap(first: Path, second: Path) -> bool:
    """Return whether two folders are the same or one is inside the other, after following links."""
    first, second = first.resolve(), second.resolve()
    return first.is_relative_to(second) or second.is_relative_to(first)
