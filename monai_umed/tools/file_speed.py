"""Compare protecting files with reading and writing them, and the start of commands with that of Python."""

from __future__ import annotations

import os
import subprocess
import sys
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
from ..io.atomic import write_atomically
from ..io.suffixes import output_name
from ..release.protect import protect_dataset
from .timing import Row, alternate, time_share

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
"""Endings of files that Pillow alone can read and write again."""
LONGEST_START = 1.0
"""CPU time that a command may take before it begins, in seconds."""


def compare_protection(dataset: mu.DatasetDir, checkpoint: Path, repeats: int) -> list[Row]:
    """Compare protecting the training images with only decoding and encoding them, in CPU time of one thread.

    CPU time does not count what other work on the machine or the disk takes. Pillow's decoder and encoder, at its
    fastest level, are the fixed reference of a requirement; what this package takes to read and write is beside it.

    Args:
        dataset: see :func:`monai_umed.find_cases`.
        checkpoint: fitted protector.
        repeats: samples; three at most are taken, since each is a mean over many files already.
    """
    protector, cases = mu.load_protector(checkpoint), mu.find_cases(dataset, "train")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "copies").mkdir()
        key, numbers = mu.new_key(folder / "owner.key"), count()

        def protect(chosen: Sequence[mu.Case]) -> mu.Manifest:
            return protect_dataset(chosen, protector, folder / "protected", num_workers=1, progress=False)

        def release() -> None:
            out = folder / f"out{next(numbers)}"
            with redirect_stdout(StringIO()):
                mu.protect(dataset, out, checkpoint=checkpoint, section="train", seal_key=key, progress=False)

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
        times = alternate(functions, min(repeats, 3), least=0, clock=process_time)
    ours, with_seal, own, *pillow = (time / len(usable) for time in times)
    what = f"protect {len(usable)} images, CPU time of each"
    sealed = f"{what}, with key, verification, sealing"
    rows = [
        time_share(what, "read and write only", ours, own),
        time_share(sealed, "read and write only", with_seal, own),
    ]
    for reference in pillow:
        rows.append(time_share(what, "Pillow: decode, encode", ours, reference, most=1.5))
        rows.append(time_share(sealed, "Pillow: decode, encode", with_seal, reference, most=2.5))
    return rows


def compare_start(repeats: int) -> list[Row]:
    """Compare the CPU time that commands take to start with that of Python alone."""
    with tempfile.TemporaryDirectory() as name:
        commands = {
            "import monai_umed": ["-c", "import monai_umed"],
            "monai-umed --help": ["-m", "monai_umed.cli", "--help"],
            "monai-umed list": ["-m", "monai_umed.cli", "list"],
            "monai-umed new-key": ["-m", "monai_umed.cli", "new-key", f"{name}/missing/owner.key"],
            "monai-umed verify, refused": ["-m", "monai_umed.cli", "verify", f"{name}/missing"],
            "monai-umed protect, refused": ["-m", "monai_umed.cli", "protect", f"{name}/missing", f"{name}/out"],
        }
        functions = [_run(["-c", "pass"]), *(_run(arguments) for arguments in commands.values())]
        alone, *times = alternate(functions, repeats, least=0, clock=_children)
    return [
        Row(what, "python alone", 1e3 * time, 1e3 * alone, "ms", time / alone, "< 1 s", time < LONGEST_START)
        for what, time in zip(commands, times, strict=True)
    ]


def _run(arguments: list[str]) -> Callable[[], object]:
    # Refusals are what is measured, so an exit status does not matter.
    return lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=False)


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system
