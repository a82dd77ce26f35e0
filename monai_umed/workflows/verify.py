"""Verify a release against its manifest, and optionally against the originals."""

from __future__ import annotations

from pathlib import Path

from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset
from ..release.verify import Problem, verify_folder
from .undo import find_protected


def load_manifest(release: str | Path) -> Manifest:
    """Read the manifest of a release, which says what was done to every case.

    Args:
        release: output folder of :func:`monai_umed.protect`, or the protected folder itself.

    Raises:
        ManifestError: If the manifest is missing or damaged.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> release = mu.protect(data, work / "out", preset="stamp", progress=False)
        Protected 4 cases ...
        >>> round(mu.load_manifest(work / "out").cases[0].psnr) > 40
        True
    """
    return Manifest.load(find_protected(release) / MANIFEST)


def verify(
    release: str | Path,
    *,
    original: DatasetDir | None = None,
    labels: str | Path | None = None,
    progress: bool = True,
) -> list[Problem]:
    """Check that protected files match their manifest and, with the originals, that no pixel exceeds its bound.

    Args:
        release: output folder of :func:`monai_umed.protect`, or the protected folder itself.
        original: the dataset that was protected, to compare pixels; see :func:`monai_umed.find_cases`.
        labels: folder of the labels, if ``original`` contains images only.
        progress: whether to show a progress bar.

    Returns:
        The problems, each with a cure; empty if there are none.

    Raises:
        DatasetError: If there is no such folder, or the originals are not a dataset.
        ValueError: If labels are given without originals.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> release = mu.protect(data, work / "out", preset="stamp", progress=False)
        Protected 4 cases ...
        >>> mu.verify(work / "out", original=data, progress=False)
        []
        >>> _ = (release.protected / release.manifest.cases[0].image).write_bytes(b"damaged")
        >>> [problem.id for problem in mu.verify(work / "out", progress=False)]
        ['phantom_0000']
    """
    if labels is not None and original is None:
        raise ValueError(f"labels {labels}: these belong to images; name them with original")
    dataset = original if labels is None else as_dataset(str(original), labels)
    return verify_folder(find_protected(release), dataset, progress)
