"""Which entries of a folder belong to a dataset, which are links out of it, and which folders share files."""

from pathlib import Path

# Left behind by Windows, macOS and network drives; hidden files are ignored anyway.
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r"}


def visible(folder: Path) -> list[Path]:
    """Entries of a folder, sorted by name, without hidden ones and those that operating systems leave behind.

    Args:
        folder: existing folder.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower() not in _JUNK)


def leaves(path: Path, root: Path) -> bool:
    """Whether a symbolic link leads from ``path`` out of the folder ``root``, or nowhere at all."""
    try:
        return not path.resolve().is_relative_to(root.resolve())
    except RuntimeError:  # a link to itself, before Python 3.13
        return True


def overlap(first: Path, second: Path) -> bool:
    """Whether two folders are the same or one lies in the other, links followed."""
    first, second = first.resolve(), second.resolve()
    return first.is_relative_to(second) or second.is_relative_to(first)
