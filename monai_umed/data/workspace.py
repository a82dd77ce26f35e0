"""A datastore's labelled images in the layout of a dataset, for what reads datasets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..io.atomic import remove, write_json
from ..io.dicom_sign import split_file
from ..io.image_files import files_of
from .case import Case


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or for all of a folder: copies of an archive would fill the disk.

    Other disks can only get a copy.
    """
    if source.is_dir():
        target.mkdir()
        for file in source.iterdir():
            _link(file, target / file.name)
        return
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


def lay_out(cases: Sequence[Case], folder: Path) -> None:
    """Lay cases out as ``images/`` and ``masks/`` under names that are their ids, for a ``split.json`` to be added.

    Whoever asks for this folder reads no other case of their dataset, not even by accident. It holds originals.

    Args:
        cases: see :func:`monai_umed.data.cases.find_cases`.
        folder: the dataset's folder; what an earlier run left there is replaced.
    """
    remove(folder)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for case in cases:
        for kind, source in (("images", case.image), ("masks", case.label)):
            for file in (source.with_suffix(".hdr"), source) if source.suffix == ".img" else (source,):
                suffix = "" if file.is_dir() else split_file(file)[1]
                _link(file, folder / kind / f"{case.id.replace('/', '__')}{suffix}")
