"""A datastore's labelled images in the layout of a dataset, for what reads datasets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..io.atomic import remove, write_json
from ..io.image_files import files_of
from .case import Case


def _link(source: Path, target: Path) -> None:
    """A second name for a file: copies of an archive would fill the disk. Other disks can only get a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def dataset_of(cases: Sequence[Case], folder: Path) -> Iterator[Path]:
    """Lay cases out as ``images/``, ``masks/`` and a ``split.json`` that puts all of them into the section train.

    The folder holds originals, so it is gone after the ``with`` block; what a killed run left is replaced.

    Args:
        cases: image and label in one file each.
        folder: the dataset's folder.
    """
    remove(folder)
    try:
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True)
        for case in cases:
            for file in files_of(case.image):
                _link(file, folder / "images" / file.name)
            _link(case.label, folder / "masks" / case.label.name)
        write_json(folder / "split.json", {"train": [case.id for case in cases], "test": []})
        yield folder
    finally:
        remove(folder)
