"""Small datasets that are protected, sealed and restored."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from protected_folder import small_protector

from monai_umed.data.cases import find_cases
from monai_umed.release.protect import protect_dataset
from monai_umed.sealing.restore import CaseReport, restore_dataset, seal_dataset

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


class Folders(NamedTuple):
    """Where a small dataset, its protected copy, what was sealed and what is restored lie."""

    dataset: Path
    protected: Path
    sealed: Path
    output: Path


def folders_in(root: Path) -> Folders:
    return Folders(*(root / name for name in Folders._fields))


def copy_folders(made: Folders, root: Path) -> Folders:
    """A copy that a test may spoil; nothing is restored in it yet."""
    for source, name in zip(made[:3], Folders._fields, strict=False):
        shutil.copytree(source, root / name)
    return folders_in(root)


def protect_and_seal(folders: Folders, channels: int = 1, spatial_dims: int = 2) -> CaseReport:
    cases = find_cases(folders.dataset)
    protect_dataset(cases, small_protector(channels, spatial_dims), folders.protected, progress=False)
    return seal_dataset(cases, folders.protected, folders.sealed, key=KEY, progress=False)


def restore_all(folders: Folders, key: bytes = KEY, cases: list[str] | None = None) -> CaseReport:
    return restore_dataset(folders.protected, folders.sealed, folders.output, key=key, cases=cases, progress=False)
