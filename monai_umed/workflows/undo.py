"""Seal the originals of a release, and restore them with the key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.cases import find_cases
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset
from ..sealing import keys
from ..sealing.keys import read_key
from ..sealing.restore import CaseReport, restore_dataset, seal_dataset


def find_protected(release: str | Path) -> Path:
    """Return the protected folder in the output folder of :func:`monai_umed.protect`, or ``release`` itself.

    Example:
        >>> mu.find_protected(work / "elsewhere").name
        'elsewhere'
    """
    inner = Path(release) / "protected"
    return inner if inner.is_dir() else Path(release)


def find_sealed(release: str | Path) -> Path:
    """Return the folder of a release's sealed files, which is beside the protected folder."""
    return find_protected(release).resolve().parent / "sealed"


def new_key(path: str | Path) -> Path:
    """Write a new secret key of 256 bits, to seal originals or to determine a pattern.

    Args:
        path: file to write, which must not exist and which only its owner can read.

    Returns:
        The file. With it, anybody can restore every sealed original; without it, nobody can.

    Raises:
        KeyFileError: If the file exists or cannot be written.

    Example:
        >>> mu.new_key(work / "owner.key").name
        'owner.key'
    """
    keys.new_key(path)
    return Path(path)


def seal(
    release: str | Path,
    original: DatasetDir,
    *,
    key: str | Path,
    labels: str | Path | None = None,
    sealed: str | Path | None = None,
    progress: bool = True,
) -> CaseReport:
    """Encrypt, for each case, what is needed to restore the original file from the protected one.

    Args:
        release: output folder of :func:`monai_umed.protect`, or the protected folder itself.
        original: the dataset that was protected; see :func:`monai_umed.find_cases`.
        key: file of :func:`monai_umed.new_key`.
        labels: folder of the labels, if ``original`` contains images only.
        sealed: folder to write to. Default: ``sealed`` beside the protected folder.
        progress: whether to show a progress bar.

    Returns:
        Which cases were sealed, which were sealed before, and which failed, with reasons.

    Raises:
        DatasetError: If the originals or the release cannot be read.
        KeyFileError: If the key cannot be used.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> mu.protect(data, work / "out", preset="stamp", progress=False).problems
        Protected 4 cases ...
        ()
        >>> key = mu.new_key(work / "owner.key")
        >>> len(mu.seal(work / "out", data, key=key, progress=False).done)
        4
    """
    dataset = original if labels is None else as_dataset(str(original), labels)
    target = find_sealed(release) if sealed is None else Path(sealed)
    cases = find_cases(dataset, merge_masks=Manifest.load(find_protected(release) / MANIFEST).merges_masks)
    return seal_dataset(cases, find_protected(release), target, key=read_key(key), progress=progress)


def restore(
    release: str | Path,
    output: str | Path,
    *,
    key: str | Path,
    cases: Sequence[str] | None = None,
    sealed: str | Path | None = None,
    progress: bool = True,
) -> CaseReport:
    """Restore the original files bit by bit; each is checked before it is written, and nothing is overwritten.

    Args:
        release: output folder of :func:`monai_umed.protect`, or the protected folder itself.
        output: folder for the originals.
        key: file of :func:`monai_umed.new_key` that they were sealed with.
        cases: ids of the cases to restore. Default: all.
        sealed: folder of the sealed files. Default: ``sealed`` beside the protected folder.
        progress: whether to show a progress bar.

    Returns:
        Which cases were restored, which were already there, and which failed, with reasons.

    Raises:
        FileNotFoundError: If there are no sealed files.
        DatasetError: If the release cannot be read or a case is unknown.
        KeyFileError, WrongKeyError: If the key cannot be used, or is not the one of the sealed files.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=4, num_test=2), mu.new_key(work / "owner.key")
        >>> release = mu.protect(data, work / "out", preset="stamp", seal_key=key, progress=False)
        Protected 4 cases ...
        >>> len(mu.restore(work / "out", work / "back", key=key, progress=False).done)
        4
    """
    source = find_sealed(release) if sealed is None else Path(sealed)
    if not source.is_dir():
        cure = "pass --sealed DIR, or make them with `monai-umed protect --seal-key`, which takes the originals"
        raise FileNotFoundError(f"{source}: no folder of sealed files; {cure}")
    return restore_dataset(find_protected(release), source, output, key=read_key(key), cases=cases, progress=progress)
