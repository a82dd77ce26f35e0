"""A dataset that consists of images and labels in two places, or whose labels are to be read in a way of their own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LARGEST_VALUE = 65535


def check_ignore_label(value: int) -> int:
    """Return a value of labels that is no class, if it can be one.

    Raises:
        ValueError: If it is not in 1 to 65535.
    """
    if not 1 <= value <= _LARGEST_VALUE:
        raise ValueError(f"ignore_label is {value}, must be 1 to {_LARGEST_VALUE}; 255 is usual")
    return value


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
class ReadAs(os.PathLike[str]):
    """A dataset whose labels are read in a way that they do not tell; as a path it is that of the dataset.

    Attributes:
        dataset: where it is.
        ignore_label: value, 1 to 65535, of pixels that nobody has judged: they are of no class and stay as they are.
        merge_masks: whether several masks of one image (``x_mask.png``, ``x_mask_1.png``) are its label together.
    """

    dataset: str | TwoFolders
    ignore_label: int | None = None
    merge_masks: bool = False

    def __post_init__(self) -> None:
        if self.ignore_label is not None:
            check_ignore_label(self.ignore_label)

    def __fspath__(self) -> str:
        return os.fspath(self.dataset)

    def __str__(self) -> str:
        return str(self.dataset)


DatasetDir = str | Path | TwoFolders | ReadAs
"""Where a dataset is: its folder, a datalist, or two folders; and how its labels are read, if in a way of their own."""


def places_of(dataset: DatasetDir) -> tuple[str, str | None]:
    """Where a dataset is, as two settings: its folder, or that of its images; and that of the labels, if apart.

    Example:
        >>> mu.places_of(work / "data")[1] is None
        True
    """
    if isinstance(dataset, ReadAs):
        dataset = dataset.dataset
    return (dataset.images, dataset.labels) if isinstance(dataset, TwoFolders) else (str(dataset), None)


def reading_of(dataset: DatasetDir) -> dict[str, Any]:
    """How the labels of a dataset are read, as settings with the names of `ReadAs`; nothing where that is as usual."""
    if not isinstance(dataset, ReadAs):
        return {}
    settings = {"ignore_label": dataset.ignore_label, "merge_masks": dataset.merge_masks}
    return {name: value for name, value in settings.items() if value}


def as_dataset(
    dataset_dir: DatasetDir,
    labels_dir: str | Path | None = None,
    *,
    ignore_label: int | None = None,
    merge_masks: bool = False,
) -> str | TwoFolders | ReadAs:
    """What :func:`monai_umed.data.cases.find_cases` takes, from settings of which all but the first may be missing.

    Args:
        dataset_dir: the dataset's folder, or its images alone.
        labels_dir: the labels if ``dataset_dir`` holds images alone.
        ignore_label, merge_masks: see :class:`ReadAs`.

    Raises:
        ValueError: ``ignore_label`` is out of range.

    Example:
        >>> mu.as_dataset("images")
        'images'
    """
    if isinstance(dataset_dir, ReadAs):
        ignore_label, merge_masks = ignore_label or dataset_dir.ignore_label, merge_masks or dataset_dir.merge_masks
        dataset_dir = dataset_dir.dataset
    dataset = dataset_dir if isinstance(dataset_dir, TwoFolders) else str(dataset_dir)
    if labels_dir is not None:
        dataset = TwoFolders(str(Path(dataset_dir).resolve()), str(Path(labels_dir).resolve()))
    return ReadAs(dataset, ignore_label, merge_masks) if ignore_label is not None or merge_masks else dataset
