"""Compare protecting files with only reading and writing them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path
from time import process_time

from PIL import Image

import monai_umed as mu

from ..data.codec import read_image, write_image
from ..data.fingerprint import inspect_dataset
from ..io.atomic import write_atomically
from ..io.suffixes import output_name
from ..release.protect import protect_dataset
from .timing import Row, Wanted, alternate, at_most, time_share

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
"""Endings of files that Pillow alone can read and write again."""
VOLUME_LIMIT = 60 / 260
"""CPU time of protecting, verifying and sealing a volume of the hippocampus, 260 in a minute, in seconds."""


def some_cases(dataset: mu.DatasetDir, most: int | None, folder: Path) -> mu.DatasetDir:
    """Copy some training cases, evenly from all of them, into a dataset of their own; all: the dataset as it is.

    Args:
        dataset: its cases must be single files if some are copied.
        most: how many; None for all.
        folder: where the copy goes.
    """
    cases = mu.find_cases(dataset, "train")
    if most is None or most >= len(cases):
        return dataset
    for number in range(most):
        case = cases[number * len(cases) // most]
        for path, name in ((case.image, "images"), (case.label, "masks")):
            (folder / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
    return folder


def compare_images(wanted: Wanted) -> list[Row]:
    """Compare with Pillow's decoder and encoder at its fastest level, the fixed reference, if it can read the files."""
    rows = _compare(*wanted.images, wanted)
    return [*rows[0], *rows[1]] if rows else []


def compare_volumes(wanted: Wanted) -> list[Row]:
    """Compare with a fixed time, in which an archive of small volumes should be done."""
    rows = _compare(*wanted.volumes, wanted)
    if not rows:
        return []
    protect, release = rows[0]
    return [protect, at_most(release, 1e3 * VOLUME_LIMIT)]


def _compare(dataset: Path | None, checkpoint: Path | None, wanted: Wanted) -> tuple[list[Row], list[Row]] | None:
    """Compare protecting training cases with only decoding and encoding them, in CPU time of one thread.

    CPU time does not count what other work on the machine or the disk takes. Three samples at most are taken, since
    each is a mean over many files already.

    Returns:
        Rows of protecting, and of a whole release, against reading and writing of this package; the same against
        Pillow. None without a dataset.
    """
    if dataset is None or checkpoint is None:
        return None
    protector = mu.load_protector(checkpoint)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = some_cases(dataset, wanted.cases, folder / "data")
        cases, classes = mu.find_cases(data, "train"), inspect_dataset(data, "train").num_classes
        (folder / "copies").mkdir()
        key, numbers = mu.new_key(folder / "owner.key"), count()

        def protect(chosen: Sequence[mu.Case]) -> mu.Manifest:
            out = folder / "protected"
            return protect_dataset(chosen, protector, out, num_classes=classes, num_workers=1, progress=False)

        def release() -> None:
            out = folder / f"out{next(numbers)}"
            with redirect_stdout(StringIO()):
                mu.protect(data, out, checkpoint=checkpoint, section="train", seal_key=key, progress=False)

        def copy() -> None:
            for case in usable:
                stored = read_image(case.image)
                write_image(folder / "copies" / output_name(case.image), stored.array, stored)

        def copy_with_pillow() -> None:
            for case in usable:
                with Image.open(case.image) as image, BytesIO() as file:
                    image.save(file, "PNG", compress_level=1)
                    write_atomically(folder / "copies" / f"{case.image.stem}.png", file.getvalue())

        done = {record.id for record in protect(cases).cases}
        usable = [case for case in cases if case.id in done]  # a case that is left out is no work
        functions: list[Callable[[], object]] = [lambda: protect(usable), release, copy]
        if all(case.image.suffix.lower() in PICTURES for case in usable):
            functions.append(copy_with_pillow)
        times = alternate(functions, min(wanted.repeats, 3), least=0, clock=process_time)
    ours, with_seal, own, *pillow = (time / len(usable) for time in times)
    kind = "images" if protector.spatial_dims == 2 and protector.slice_axis is None else "volumes"
    what = f"protect {len(usable)} {kind}, CPU time of each"
    sealed = f"{what}, with key, verification, sealing"
    rows = [
        time_share(what, "read and write only", ours, own),
        time_share(sealed, "read and write only", with_seal, own),
    ]
    by_pillow = []
    for reference in pillow:
        by_pillow.append(time_share(what, "Pillow: decode, encode", ours, reference, most=1.5))
        by_pillow.append(time_share(sealed, "Pillow: decode, encode", with_seal, reference, most=2.5))
    return rows, by_pillow
