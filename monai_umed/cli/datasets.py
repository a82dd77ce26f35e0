"""Where a command line says that a dataset is: one folder, or images and labels in two places."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..data.two_folders import DatasetDir

Places = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA OUT | IMAGES LABELS OUT",
        help="DATA: folder with images/ and masks/, or a dataset.json. IMAGES, LABELS: two folders, or an image and "
        "its label, paired by name (x.png with x.png or x_mask.png). OUT: folder for everything that is written",
        show_default=False,
    ),
]
Labels = Annotated[Path | None, typer.Option(help="labels, where the dataset was named as IMAGES LABELS")]


class SectionName(str, Enum):
    """Parts of a dataset."""

    train = "train"
    test = "test"
    all = "all"


def read_places(places: Sequence[Path]) -> tuple[DatasetDir, Path]:
    """The dataset and the folder to write.

    Raises:
        typer.BadParameter: there are not two or three places.
        DatasetError: the dataset is a protected one.
    """
    if len(places) not in (2, 3):
        given = f"{len(places)} place{'s were' if len(places) > 1 else ' was'} given"
        raise typer.BadParameter(f"{given}; give DATA OUT, or IMAGES LABELS OUT, where out is a folder to write")
    from ..release.already_protected import refuse_protected_folder

    *data, out = places
    # Before anything is said about cases that a release does not list.
    refuse_protected_folder(data[0] if len(data) == 1 else data[0].parent)
    return join_labels(*data), out


def join_labels(data: Path, labels: Path | None = None) -> DatasetDir:
    """A dataset whose labels lie in their own place if one is given."""
    from ..data.two_folders import as_dataset

    return data if labels is None else as_dataset(data, labels)


def folder_of(dataset: DatasetDir) -> str:
    """Where a dataset is, or its images if labels lie elsewhere."""
    from ..data.two_folders import places_of

    return places_of(dataset)[0]


def as_arguments(option: str, dataset: DatasetDir) -> list[str | Path]:
    """The options of `verify` and `audit` that name a dataset."""
    from ..data.two_folders import places_of

    data, labels = places_of(dataset)
    return [option, data] if labels is None else [option, data, "--labels", labels]
