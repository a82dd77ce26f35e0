"""A dataset that consists of images and labels in two places."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TwoFolders(os.PathLike[str]):
    """Images and labels in two places, wherever the folder of a dataset is taken; as a path it is that of the images.

    Attributes:
        images: folder of images, or a single one: a file, or a folder of DICOM slices.
        labels: folder of their labels, or a file for a single image.
    """

    images: str
    labels: str

    def __fspath__(self) -> str:
        return self.images

    def __str__(self) -> str:
        return f"{self.images} with the labels {self.labels}"


DatasetDir = str | Path | TwoFolders
"""Where a dataset is: its folder, a datalist, or two folders."""


def places_of(dataset: DatasetDir) -> tuple[str, str | None]:
    """Where a dataset is, as two settings: its folder, or that of its images; and that of the labels, if apart.

    Example:
        >>> mu.places_of(work / "data")[1] is None
        True
    """
    return (dataset.images, dataset.labels) if isinstance(dataset, TwoFolders) else (str(dataset), None)


def as_dataset(dataset_dir: str | Path, labels_dir: str | Path | None = None) -> str | TwoFolders:
    """What :func:`monai_umed.data.cases.find_cases` takes, from two settings of which the second may be missing.

    Args:
        dataset_dir: the dataset's folder, or its images alone.
        labels_dir: the labels if ``dataset_dir`` holds images alone.

    Example:
        >>> mu.as_dataset("images")
        'images'
    """
    if labels_dir is None:
        return str(dataset_dir)
    return TwoFolders(str(Path(dataset_dir).resolve()), str(Path(labels_dir).resolve()))
