"""Arrange the files that MONAI Label's bundle app lists in a config as a dataset that the bundle can use."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..data.case import Case
from ..data.workspace import dataset_of
from ..io.checksum import sha256_path
from ..io.dicom_sign import split_file
from ..training.distributed import rank_count

Pairs = Sequence[Mapping[str, Any]]


def _case(pair: Mapping[str, Any]) -> Case:
    image, label = pair.get("image"), pair.get("label")
    if not isinstance(image, str) or not isinstance(label, str):
        cure = "give paths of an image and its label, or leave the list out and set dataset_dir"
        raise ValueError(f"train#dataset#data has an item with {', '.join(pair) or 'nothing'}; {cure}")
    return Case(split_file(Path(image))[0], Path(image), Path(label))


class ListedFiles:
    """A dataset of listed files, whose folder is removed when it is closed or garbage-collected.

    All files are used for the fit, also those for validation: an image has to be protected whatever its use is.

    Args:
        train: dictionaries with the paths ``image`` and ``label``; None if no files are listed.
        validate: more of them.
        root: where the dataset's folder is made, hidden.
        options: what else decides a fit. The folder's name depends on it and on the files' contents, so equal fits
            share a name and others never do.

    Attributes:
        folder: the dataset, all of it in the section ``"train"``; None if no files are listed.

    Raises:
        ValueError: If the lists are empty, if items are not pairs of paths, or if there are several processes, which
            would interfere with each other.
        OSError: If a file cannot be read, or the folder cannot be written.
    """

    def __init__(self, train: Pairs | None, validate: Pairs | None, root: str | Path, options: Sequence[Any]) -> None:
        self.folder: Path | None = None
        stack = ExitStack()
        self._close = weakref.finalize(self, stack.close)
        if train is None and validate is None:
            return
        cases = sorted((_case(pair) for pair in [*(train or ()), *(validate or ())]), key=lambda case: case.id)
        if not cases:
            raise ValueError("no image has a final label; draw some and submit them, or upload them first")
        if rank_count() > 1:
            raise ValueError(
                f"{rank_count()} processes were started for files of a datastore; ask for one, multi_gpu off"
            )
        files = [(case.id, sha256_path(case.image), sha256_path(case.label)) for case in cases]
        name = hashlib.sha256(json.dumps([files, list(options)]).encode("utf-8")).hexdigest()[:12]
        self.folder = stack.enter_context(dataset_of(cases, Path(root) / ".labelled" / f"fit_{name}"))

    def close(self) -> None:
        """Remove the dataset's folder, but not the listed files."""
        self._close()
