"""A dataset that consists of images and labels in two places, or whose labels hold a value that is no class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_LARGEST_VALUE = 65535


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


@dataclass(frozen=True)
class VoidLabels(os.PathLike[str]):
    """A dataset in whose labels one value marks pixels that nobody has judged; as a path it is that of the dataset.

    Attributes:
        dataset: where it is.
        ignore_label: the value, 1 to 65535. Pixels that have it are of no class and stay as they are.
    """

    dataset: str | TwoFolders
    ignore_label: int

    def __post_init__(self) -> None:
        if not 1 <= self.ignore_label <= _LARGEST_VALUE:
            raise ValueError(f"ignore_label is {self.ignore_label}, must be 1 to {_LARGEST_VALUE}; 255 is usual")

    def __fspath__(self) -> str:
        return os.fspath(self.dataset)

    def __str__(self) -> str:
        return str(self.dataset)


DatasetDir = str | Path | TwoFolders | VoidLabels
"""Where a dataset is: its folder, a datalist, or two folders; and which value of its labels is no class, if one is."""


def places_of(dataset: DatasetDir) -> tuple[str, str | None]:
    """Where a dataset is, as two settings: its folder, or that of its images; and that of the labels, if apart.

    Example:
        >>> mu.places_of(work / "data")[1] is None
        True
    """
    if isinstance(dataset, VoidLabels):
        dataset = dataset.dataset
    return (dataset.images, dataset.labels) if isinstance(dataset, TwoFolders) else (str(dataset), None)


def as_dataset(
    dataset_dir: str | Path, labels_dir: str | Path | None = None, *, ignore_label: int | None = None
) -> str | TwoFolders | VoidLabels:
    """What :func:`monai_umed.data.cases.find_cases` takes, from settings of which all but the first may be missing.

    Args:
        dataset_dir: the dataset's folder, or its images alone.
        labels_dir: the labels if ``dataset_dir`` holds images alone.
        ignore_label: value of labels that is no class, see :class:`VoidLabels`.

    Raises:
        ValueError: ``ignore_label`` is out of range.

    Example:
        >>> mu.as_dataset("images")
        'images'
    """
    dataset: str | TwoFolders = str(dataset_dir)
    if labels_dir is not None:
        dataset = TwoFolders(str(Path(dataset_dir).resolve()), str(Path(labels_dir).resolve()))
    return dataset if ignore_label is None else VoidLabels(dataset, ignore_label)
