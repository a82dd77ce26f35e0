"""Find the files of an image: a single file, the two of a NIfTI pair, one per channel, or the slices of a series."""

from pathlib import Path

from .dicom_sign import is_dicom
from .joint_path import joint_files
from .listing import leaves, visible

PICTURES = (".png", ".bmp", ".tif", ".tiff")
"""Suffixes of files that may be the mask of a slice."""
PAIR = (".hdr", ".img")
"""Names of the two parts of a NIfTI pair. No slice has such a name, because hidden files are ignored."""


def part_path(path: Path, part: str) -> Path:
    """Return the path of a part of an image, without looking at the disk.

    Args:
        path: folder of slices, either file of a pair, or path of several channels, see `joint_files`.
        part: name of a slice, one of `PAIR`, or name of a channel.
    """
    if channels := joint_files(path):
        return channels[part]
    if part not in PAIR:
        return path / part
    if path.suffix.lower() == part:
        return path
    return path.with_suffix(part.upper() if path.suffix.isupper() else part)


def parts_of(path: Path) -> dict[str, Path] | None:
    """Return the paths of an image of several files by the names of its parts; None for an image in one file.

    Args:
        path: file, voxels of a pair (``.img``), path of several channels, or folder of slices.

    Returns:
        The slices of a folder by name, see `visible`, or header and voxels of a pair or the files of several channels,
        whether they exist or not.

    Raises:
        OSError: If the folder cannot be read.
    """
    if channels := joint_files(path):
        return channels
    if path.is_dir():
        return {file.name: file for file in visible(path)}
    if path.suffix.lower() == ".img":
        return {part: part_path(path, part) for part in PAIR}
    return None


def files_of(path: Path) -> list[Path]:
    """Return all files of an image, see `parts_of`; ``path`` itself for an image in one file."""
    parts = parts_of(path)
    return [path] if parts is None else list(parts.values())


def is_complete(path: Path) -> bool:
    """Return whether all files of an image exist."""
    return all(file.exists() for file in files_of(path))


def link_out(path: Path, root: Path) -> Path | None:
    """Return the first of an image and its files that is a link out of the folder ``root``, see `leaves`."""
    if leaves(path, root):  # the folder behind such a link is not even listed
        return path
    return next((file for file in files_of(path) if file != path and leaves(file, root)), None)


def is_pair_header(path: Path) -> bool:
    """Return whether a file is the header of a pair whose voxels exist, hence not an image by itself."""
    return path.suffix.lower() == ".hdr" and part_path(path, ".img").is_file()


def pair_problem(path: Path) -> tuple[str, str] | None:
    """Return why a file is not an image of its own, judged by names, and the cure.

    None means that it is, or is the voxels of a pair.
    """
    if joint_files(path) and path.exists():
        return "a name with braces, which here mean several files, one per channel", "rename it"
    if path.name.lower().endswith(tuple(f"{part}.gz" for part in PAIR)):
        return "half of a compressed pair", "unpack both halves with gunzip, or save them as one .nii.gz file"
    if is_pair_header(path):
        return "the header of a pair", f"name {part_path(path, '.img').name} instead"
    if path.suffix.lower() in PAIR and path.is_file():
        [other] = (part_path(path, part) for part in PAIR if part != path.suffix.lower())
        if not other.is_file():
            return f"half of a pair without {other.name}", "put that beside it, or save both as one .nii.gz file"
    return None


def holds_dicom(folder: Path) -> bool:
    """Return whether any file in a folder is DICOM, see `is_dicom`."""
    return any(is_dicom(path) for path in visible(folder))


def holds_slice_masks(path: Path) -> bool:
    """Return whether a label is a folder of one picture per slice."""
    return path.is_dir() and not holds_dicom(path)


def series_problem(folder: Path, root: Path, *, label: bool = False) -> str | None:
    """Return why a folder is not a series of DICOM slices, with the cure; None if it is, judged by names.

    Args:
        folder: existing folder; it is not listed if it is a link out of ``root``.
        root: the dataset's folder.
        label: whether the folder contains a label: a series, a DICOM SEG, or one picture per slice.
    """
    if link := link_out(folder, root):
        return f"{link.name} is a link that leaves the dataset's folder; copy what it points to into it"
    if folder.suffix.lower() in PAIR:
        return f"a folder with the ending of a NIfTI pair ({', '.join(PAIR)}); rename it"
    if holds_dicom(folder):
        return None
    if not label:
        return "a folder without DICOM files; move its files up, subfolders are not searched"
    pictures = [path for path in visible(folder) if path.is_file() and path.suffix.lower() in PICTURES]
    if pictures and pictures == visible(folder):
        return None
    return "a folder of neither DICOM files nor one picture per slice; move its files up, subfolders are not searched"
