"""Where a command line says that a dataset is: one folder, or images and labels in two places."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

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


def read_places(places: Sequence[Path]) -> tuple[mu.DatasetDir, Path]:
    """The dataset and the folder to write.

    Raises:
        typer.BadParameter: there are not two or three places.
    """
    if len(places) not in (2, 3):
        given = f"{len(places)} place{'s were' if len(places) > 1 else ' was'} given"
        raise typer.BadParameter(f"{given}; give DATA OUT, or IMAGES LABELS OUT, where out is a folder to write")
    *data, out = places
    return join_labels(*data), out


def join_labels(data: Path, labels: Path | None = None) -> mu.DatasetDir:
    """A dataset whose labels lie in their own place if one is given."""
    return data if labels is None else mu.as_dataset(data, labels)


def folder_of(dataset: mu.DatasetDir) -> str:
    """Where a dataset is, or its images if labels lie elsewhere."""
    return mu.places_of(dataset)[0]


def as_arguments(option: str, dataset: mu.DatasetDir) -> list[str | Path]:
    """The options of `verify` and `audit` that name a dataset."""
    data, labels = mu.places_of(dataset)
    return [option, data] if labels is None else [option, data, "--labels", labels]


def steps_to_audit(data: mu.DatasetDir, protected: Path, manifest: mu.Manifest) -> list[tuple[str, list[str | Path]]]:
    """An audit, with the test section of the originals if no protected copy of it could be trained on."""
    released = {record.id for record in manifest.cases}
    test = {id for id, section in mu.find_sections(data)[0].items() if section == "test"}
    audit = ["audit", protected, *as_arguments("--clean", data), "--test"]
    if test and not test & released:
        return [("find out how far it holds", [*audit, folder_of(data)])]
    clean = "TEST are clean cases without a protected copy, such as --section train leaves"
    return [(f"find out how far it holds, where {clean}", [*audit, "TEST"])]
