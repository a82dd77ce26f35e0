"""Read protected and sealed files, and nothing outside of their two folders."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

from ..data.case import CaseError, DatasetError
from ..data.manifest import MANIFEST, CaseRecord, Manifest
from ..io.content import Content, read_content
from ..io.image_files import link_out
from ..io.joint_path import joint_files
from .seal import check_content, open_case

T = TypeVar("T")

SEALED_SUFFIX = ".sealed"
"""The suffix of sealed files, which follows the public name of the protected image."""
_LONGEST_NAME = 255  # bytes in a file's name that common file systems allow


def sealed_name(record: CaseRecord) -> str:
    """Return the relative path of a case's sealed file: the protected image's, or a checksum if that is too long."""
    image = PurePosixPath(record.image)
    if len(os.fsencode(image.name + SEALED_SUFFIX)) > _LONGEST_NAME:
        image = image.with_name(hashlib.sha256(os.fsencode(image.name)).hexdigest())
    return f"{image.as_posix()}{SEALED_SUFFIX}"


def original_name(record: CaseRecord) -> str:
    """Return the relative path of a case's original, a file or a folder, in the dataset that was protected."""
    return (PurePosixPath(record.image).parent / record.source).as_posix()


def read_records(protected_dir: Path, cases: Sequence[str] | None = None) -> list[CaseRecord]:
    """Return the manifest's cases, sorted by id, after checking that all originals and masks get files of their own.

    Args:
        protected_dir: the public folder with its manifest.
        cases: ids of the cases to keep. Default: all.

    Raises:
        DatasetError: If two of these files would overwrite each other, a source has a folder in its name, or an id is
            unknown.
        ManifestError: If the manifest is missing or damaged.
    """
    records = Manifest.load(protected_dir / MANIFEST).cases
    names = (name for record in records for name in {original_name(record), record.label})
    counts = Counter(file for name in names for file in _files_of(name))
    offenders = [f"{name}: two cases would be written to it" for name, count in counts.items() if count > 1]
    for name in counts:
        outer = counts.keys() & {folder.as_posix() for folder in PurePosixPath(name).parents}
        offenders += [f"{name}: it would be written into {folder}, a file or series of its own" for folder in outer]
        if PurePosixPath(name).suffix.lower() == ".hdr":  # it would be written with the .img file of its pair
            offenders.append(f"{name}: the header of a NIfTI pair, no image of its own")
    for record in records:
        if {PurePosixPath(record.source).name, PureWindowsPath(record.source).name} != {record.source}:
            offenders.append(f"{record.id}: the source {record.source!r} must be a file name without folders")
        if original_name(record) == record.label:
            offenders.append(f"{record.id}: image and mask would both be written to {record.label}")
    if offenders:
        raise DatasetError(str(protected_dir), [f"{text}; restore {MANIFEST} from a copy" for text in offenders])
    if cases is None:
        return records
    if unknown := sorted(set(cases) - {record.id for record in records}):
        raise DatasetError(str(protected_dir), [f"{name}: no such case in {MANIFEST}" for name in unknown])
    return [record for record in records if record.id in cases]


def _files_of(name: str) -> list[str]:
    """Return a name in a manifest, or the names of the files of several channels."""
    files = joint_files(PurePosixPath(name))
    return [name] if files is None else [file.as_posix() for file in files.values()]


def path_inside(folder: Path, name: str, record: CaseRecord) -> Path:
    """Return ``folder / name``; raise `CaseError` if it or one of its files is a link that leads out of ``folder``."""
    path = folder / name
    if link := link_out(path, folder):
        raise CaseError(record.id, f"{link} is a link that leaves {folder}; replace it by what it points to")
    return path


def read_inside(folder: Path, name: str, record: CaseRecord, read: Callable[[Path], T]) -> T:
    """Return ``read(folder / name)``; raise `CaseError` if it is missing, or for the reason of `path_inside`."""
    try:
        return read(path_inside(folder, name, record))
    except FileNotFoundError as error:
        raise CaseError(record.id, f"{error.filename} is missing; fetch it again") from None


def read_mask(protected_dir: Path, record: CaseRecord) -> Content:
    """Read a case's mask and check that it is the one in the manifest.

    Raises:
        ChangedFileError: If the mask is another file.
        CaseError: If the mask is missing, or a link that leaves the folder.
        OSError: If the mask cannot be read.
    """
    mask = read_inside(protected_dir, record.label, record, read_content)
    check_content(record, "mask", mask, record.label_sha256)
    return mask


def open_original(protected_dir: Path, sealed_dir: Path, record: CaseRecord, key: bytes) -> Content:
    """Read a case's files and return its original, see :func:`monai_umed.sealing.seal.open_case`.

    Raises:
        CaseError: If a file is missing or a link that leaves its folder, or for the reasons of ``open_case``.
        OSError: If a file cannot be read.
        ValueError: If ``key`` has another length.
    """
    sealed = read_inside(sealed_dir, sealed_name(record), record, Path.read_bytes)
    return open_case(sealed, read_inside(protected_dir, record.image, record, read_content), record, key)
