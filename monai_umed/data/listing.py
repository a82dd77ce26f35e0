"""Which entries of a folder belong to a dataset, and which folders are a series of DICOM slices."""

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


def series_problem(folder: Path, root: Path) -> str | None:
    """What keeps a folder from being one case, a series of DICOM slices.

    Args:
        folder: existing folder; it is not even listed if it is a link out of ``root``.
        root: the dataset's folder.

    Returns:
        Reason and cure, or None if it is a series as far as names tell.
    """
    if leaves(folder, root):
        return "a link that leaves the dataset's folder; copy what it points to into it"
    slices = visible(folder)
    if not any(path.suffix.lower() == ".dcm" for path in slices):
        return "a folder without .dcm files; move its files up, subfolders are not searched"
    for path in slices:
        if leaves(path, root):
            return f"{path.name} is a link that leaves the dataset's folder; copy the file into it"
    return None
