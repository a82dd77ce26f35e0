"""Verbs that make a release and check it: fit, protect, verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..workflows.run import run_config
from .datasets import Labels, Places, as_arguments, as_settings, join_labels, read_places
from .fitting import FIT_OPTIONS, UMED, SectionName, read_method, run_fit, say_fitted, usual_section
from .options import (
    BatchSize,
    BoundName,
    Epochs,
    Eps,
    NumClasses,
    PatternKey,
    Preset,
    PresetName,
    Progress,
    ProtectorName,
    Released,
    Seed,
    Size,
    SliceAxis,
    SpatialDims,
    TargetPsnr,
    Window,
    find_protected,
    parse_numbers,
    parse_window,
    say_next,
)

if TYPE_CHECKING:
    from ..data.two_folders import DatasetDir


def fit(
    places: Places,
    protector: ProtectorName = UMED,
    bound: BoundName = None,
    preset: Preset = PresetName.default,
    eps: Eps = None,
    target_psnr: TargetPsnr = None,
    pattern_key: PatternKey = None,
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
    """Fit a method, protect the training section with them and check quickly whether that works.

    Writes OUT/perturbator.pt, OUT/protected and OUT/quick_check.json. Interrupted, it goes on where it stopped; the fit
    of another method than umed begins anew.
    """
    data, out = read_places(places)
    pattern = None if pattern_key is None else str(pattern_key)
    fitting = (eps, target_psnr, pattern, seed, spatial_dims, parse_numbers(size), epochs, batch_size)
    reading = {"num_classes": num_classes, "window": parse_window(window), "slice_axis": slice_axis}
    method = read_method(protector, bound, preset, fitting)
    settings = {**reading, "quick_check": quick_check, "progress": progress}
    run_fit(data, out, SectionName.train, preset, method, fitting, settings)
    print(f"The fitted generators are {out / 'perturbator.pt'}; keep them to yourself.")
    protected = out / "protected"
    left_out = _count_left_out(data, protected)
    say_next([("check every file", ["verify", out, *as_arguments("--original", data)]), *_after(data, protected)])
    raise typer.Exit(1 if left_out else 0)


def protect(
    places: Places,
    checkpoint: Annotated[Path | None, typer.Option(help="perturbator.pt of a fit; without it, one is fitted")] = None,
    section: Annotated[
        SectionName | None,
        typer.Option(help="what is protected", show_default="all; without --checkpoint train, if DATA has a split"),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="file of new-key, to seal what brings the originals back")] = None,
    protector: ProtectorName = UMED,
    bound: BoundName = None,
    preset: Preset = PresetName.default,
    eps: Eps = None,
    target_psnr: TargetPsnr = None,
    pattern_key: PatternKey = None,
    seed: Seed = None,
    spatial_dims: SpatialDims = None,
    size: Size = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    num_classes: NumClasses = None,
    window: Window = None,
    slice_axis: SliceAxis = None,
    shard: Annotated[str | None, typer.Option(help="with --checkpoint: one of several shares, such as 0/4")] = None,
    progress: Progress = True,
) -> None:
    """Write a protected copy of a dataset into OUT/protected and check every file of it.

    Without --checkpoint, generators are fitted, always to the training section alone. With --key, what brings the
    originals back is sealed into OUT/sealed. Interrupted, it goes on where it stopped. With --shard, several runs
    protect a share each, in any order; one without it then checks all of them and finishes the folder.
    """
    if shard is not None and (checkpoint is None or key is not None):
        cure = "pass --checkpoint, and --key only to the last run, which has no --shard"
        raise typer.BadParameter(f"--shard {shard}: a share is protected with generators that are fitted; {cure}")
    data, out = read_places(places)
    protected, sealed = out / "protected", out / "sealed"
    secret = None if key is None else _read_key(key, protected, sealed)
    pattern = None if pattern_key is None else str(pattern_key)
    fitting = (eps, target_psnr, pattern, seed, spatial_dims, parse_numbers(size), epochs, batch_size)
    reading = {"num_classes": num_classes, "window": parse_window(window), "slice_axis": slice_axis}
    if checkpoint is None:
        section = section or usual_section(data)
        method = read_method(protector, bound, preset, fitting)
        run_fit(data, out, section, preset, method, fitting, {**reading, "quick_check": False, "progress": progress})
        say_fitted(data, section)
    else:
        given = [name for name, value in zip(FIT_OPTIONS, fitting, strict=True) if value is not None]
        given += ["--preset"] if preset != PresetName.default else []
        given += ["--protector"] if protector != UMED else []
        given += ["--bound"] if bound is not None else []
        if given:
            raise typer.BadParameter(f"{', '.join(given)}: settled when --checkpoint was fitted; leave it out, or fit")
        settings = {**as_settings(data), "checkpoint": str(checkpoint), "output_dir": str(protected), **reading}
        settings["section"] = (section or SectionName.all).value
        run_config("inference.json", {**settings, "shard": shard, "progress": progress})
        if shard is not None or not _is_first_rank():
            return
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
    labels: Labels = None,
    progress: Progress = True,
) -> None:
    """Check that protected files are those of their manifest and, with the originals, that no pixel left its budget."""
    protected = find_protected(out)
    if original is None:
        if labels is not None:
            raise typer.BadParameter(f"--labels {labels}: these belong to images; name them with --original")
        _verify(protected, None, progress)
        say_next([("compare pixels, too", ["verify", out, "--original", "DATA"])])
    else:
        data = join_labels(original, labels)
        _verify(protected, data, progress)
        say_next(_after(data, protected))


def _is_first_rank() -> bool:
    from ..training.distributed import is_first_rank

    return is_first_rank()


def _read_key(key: Path, *published: Path) -> bytes:
    """Before anything takes minutes."""
    from ..sealing.keys import check_unpublished, read_key

    check_unpublished(key, published)
    return read_key(key)


def _verify(protected: Path, original: DatasetDir | None, progress: bool) -> None:
    from ..release.verify import report, verify_folder

    if report(verify_folder(protected, original, progress), protected, original):
        raise typer.Exit(1)


def _seal(data: DatasetDir, protected: Path, sealed: Path, secret: bytes, progress: bool) -> None:
    from ..data.cases import find_cases
    from ..sealing.restore import report, seal_dataset

    if report(seal_dataset(find_cases(data), protected, sealed, secret, progress), "Sealed", sealed).failed:
        raise typer.Exit(1)


def _after(data: DatasetDir, protected: Path) -> list[tuple[str, list[str | Path]]]:
    """An audit, with the test section of the originals if no protected copy of it could be trained on."""
    from ..data.cases import find_sections
    from ..data.manifest import MANIFEST, Manifest

    released = {record.id for record in Manifest.load(protected / MANIFEST).cases}
    test = {id for id, section in find_sections(data)[0].items() if section == "test"}
    audit = ["audit", protected, *as_arguments("--clean", data), "--test"]
    if test and not test & released:
        return [("find out how far it holds", [*audit, as_settings(data)["dataset_dir"]])]
    return [("find out how far it holds, where TEST are clean cases without a protected copy", [*audit, "TEST"])]


def _count_left_out(data: DatasetDir, protected: Path) -> int:
    """Say which cases are still unprotected; those that could not be protected are what is counted."""
    from ..data.cases import find_cases
    from ..data.manifest import MANIFEST, Manifest

    manifest = Manifest.load(protected / MANIFEST)
    others = len(find_cases(data)) - len(manifest.cases) - len(manifest.quarantined)
    if others:
        cure = "protect again with --section all, or them alone with --checkpoint and --section into another folder"
        print(f"{others} cases of {data} are in other sections and have no protected copy there; {cure}.")
    if manifest.quarantined:
        print(f"{len(manifest.quarantined)} cases could not be protected, see above.")
    return len(manifest.quarantined)
