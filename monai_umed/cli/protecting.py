"""Verbs that make a release and check it: fit, protect, verify."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import (
    BatchSize,
    Data,
    Epochs,
    Eps,
    NumClasses,
    Out,
    Progress,
    Released,
    Seed,
    Size,
    SliceAxis,
    SpatialDims,
    Window,
    find_protected,
    parse_numbers,
    parse_window,
    say_next,
)
from .workflow import run_config

# Options of a fit, by which id of train.json they set.
_FIT_OPTIONS = {
    "--eps": "eps",
    "--seed": "seed",
    "--spatial-dims": "spatial_dims",
    "--size": "working_size",
    "--epochs": "max_epochs",
    "--batch-size": "batch_size",
}


class SectionName(str, Enum):
    """Parts of a dataset."""

    train = "train"
    test = "test"
    all = "all"


def fit(
    data: Data,
    out: Out,
    eps: Eps = None,
    seed: Seed = None,
    spatial_dims: SpatialDims = None,
    size: Size = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    num_classes: NumClasses = None,
    window: Window = None,
    slice_axis: SliceAxis = None,
    quick_check: Annotated[bool, typer.Option(help="train one network on clean, one on protected files")] = True,
    progress: Progress = True,
) -> None:
    """Fit generators, protect the training section with them and check quickly whether that works.

    Writes OUT/perturbator.pt, OUT/protected and OUT/quick_check.json. Interrupted, it goes on where it stopped.
    """
    fitting = (eps, seed, spatial_dims, parse_numbers(size), epochs, batch_size)
    reading = {"num_classes": num_classes, "window": parse_window(window), "slice_axis": slice_axis}
    _fit(data, out, fitting, reading, quick_check, progress)
    print(f"The fitted generators are {out / 'perturbator.pt'}; keep them to yourself.")
    left_out = _count_left_out(data, out / "protected")
    say_next([("check every file", ["verify", out, "--original", data]), *_after(data, out / "protected")])
    raise typer.Exit(1 if left_out else 0)


def protect(
    data: Data,
    out: Out,
    checkpoint: Annotated[Path | None, typer.Option(help="perturbator.pt of a fit; without it, one is fitted")] = None,
    section: Annotated[SectionName | None, typer.Option(help="what --checkpoint protects", show_default="all")] = None,
    key: Annotated[Path | None, typer.Option(help="file of new-key, to seal what brings the originals back")] = None,
    eps: Eps = None,
    seed: Seed = None,
    spatial_dims: SpatialDims = None,
    size: Size = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    num_classes: NumClasses = None,
    window: Window = None,
    slice_axis: SliceAxis = None,
    progress: Progress = True,
) -> None:
    """Write a protected copy of a dataset into OUT/protected and check every file of it.

    Without --checkpoint, generators are fitted to the training section, and that section is protected. With --key,
    what brings the originals back is sealed into OUT/sealed. Interrupted, it goes on where it stopped.
    """
    protected, sealed = out / "protected", out / "sealed"
    secret = None if key is None else _read_key(key, protected, sealed)
    fitting = (eps, seed, spatial_dims, parse_numbers(size), epochs, batch_size)
    reading = {"num_classes": num_classes, "window": parse_window(window), "slice_axis": slice_axis}
    if checkpoint is None:
        if section not in (None, SectionName.train):
            cure = "leave it out, and protect other sections with the --checkpoint of this fit afterwards"
            raise typer.BadParameter(f"--section {section.value}: a fit protects the section train; {cure}")
        _fit(data, out, fitting, reading, quick_check=False, progress=progress)
    else:
        given = [name for name, value in zip(_FIT_OPTIONS, fitting, strict=True) if value is not None]
        if given:
            raise typer.BadParameter(f"{', '.join(given)}: settled when --checkpoint was fitted; leave it out, or fit")
        chosen = (section or SectionName.all).value
        places = {"dataset_dir": str(data), "checkpoint": str(checkpoint), "output_dir": str(protected)}
        run_config("inference.json", {**places, **reading, "section": chosen, "progress": progress})
    _verify(protected, data, progress)
    steps = _after(data, protected)
    if secret is not None and key is not None:
        _seal(data, protected, sealed, secret, progress)
        print(f"Without {key} nobody gets the originals back, you included: keep a copy of it in a safe place.")
        steps = [("get the originals back", ["restore", out, "--key", key, "--output", "ORIGINALS"]), *steps]
    left_out = _count_left_out(data, protected)
    say_next(steps)
    raise typer.Exit(1 if left_out else 0)


def verify(
    out: Released,
    original: Annotated[Path | None, typer.Option(help="the dataset that was protected, to compare pixels")] = None,
    progress: Progress = True,
) -> None:
    """Check that protected files are those of their manifest and, with the originals, that no pixel left its budget."""
    protected = find_protected(out)
    _verify(protected, original, progress)
    if original is None:
        say_next([("compare pixels, too", ["verify", out, "--original", "DATA"])])
    else:
        say_next(_after(original, protected))


def _fit(
    data: Path, out: Path, fitting: tuple[Any, ...], reading: dict[str, Any], quick_check: bool, progress: bool
) -> None:
    settings = dict(zip(_FIT_OPTIONS.values(), fitting, strict=True))
    places = {"dataset_dir": str(data), "output_dir": str(out)}
    run_config("train.json", {**places, **settings, **reading, "quick_check": quick_check, "progress": progress})


def _read_key(key: Path, *published: Path) -> bytes:
    """Before anything takes minutes."""
    from ..key_file import check_unpublished, read_key

    check_unpublished(key, published)
    return read_key(key)


def _verify(protected: Path, original: Path | None, progress: bool) -> None:
    from ..verify import report, verify_folder

    if report(verify_folder(protected, original, progress), protected, original):
        raise typer.Exit(1)


def _seal(data: Path, protected: Path, sealed: Path, secret: bytes, progress: bool) -> None:
    from ..data import find_cases
    from ..restore import report, seal_dataset

    if report(seal_dataset(find_cases(data), protected, sealed, secret, progress), "Sealed", sealed).failed:
        raise typer.Exit(1)


def _after(data: Path, protected: Path) -> list[tuple[str, list[str | Path]]]:
    return [("find out how far it holds", ["audit", protected, "--clean", data, "--test", data])]


def _count_left_out(data: Path, protected: Path) -> int:
    """Say which cases are still unprotected; those that could not be protected are what is counted."""
    from ..data import Manifest, find_cases
    from ..protect import MANIFEST

    manifest = Manifest.load(protected / MANIFEST)
    others = len(find_cases(data)) - len(manifest.cases) - len(manifest.quarantined)
    if others:
        cure = "--checkpoint and --section protect them into another folder"
        print(f"{others} cases of {data} are in other sections and have no protected copy there; {cure}.")
    if manifest.quarantined:
        print(f"{len(manifest.quarantined)} cases could not be protected, see above.")
    return len(manifest.quarantined)
