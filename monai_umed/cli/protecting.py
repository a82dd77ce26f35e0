"""Verbs that make a release: fit, protect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

from .datasets import Places, SectionName, as_arguments, read_places, steps_to_audit
from .options import (
    BatchSize,
    BoundName,
    Cache,
    Epochs,
    Eps,
    Grid,
    Groups,
    IgnoreLabel,
    IntensityWindow,
    MergeMasks,
    NumClasses,
    OldKey,
    OldSize,
    OldWindow,
    PatternKey,
    PresetName,
    Progress,
    ProtectorName,
    ReserveKey,
    SealKey,
    Seed,
    SliceAxis,
    SpatialDims,
    TargetPsnr,
    chosen,
    parse_numbers,
    parse_window,
    plain_options,
    say_next,
)
from .proving import say_reserve
from .reports import say_done, say_fitted, say_left_out, say_verified


@mu.reading_once()
def fit(
    places: Places,
    protector: ProtectorName = None,
    bound: BoundName = None,
    preset: PresetName = None,
    eps: Eps = None,
    target_psnr: TargetPsnr = None,
    pattern_key: PatternKey = None,
    seed: Seed = None,
    spatial_dims: SpatialDims = None,
    grid: Grid = None,
    size: OldSize = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    num_classes: NumClasses = None,
    ignore_label: IgnoreLabel = None,
    merge_masks: MergeMasks = False,
    intensity_window: IntensityWindow = None,
    window: OldWindow = None,
    slice_axis: SliceAxis = None,
    quick_check: Annotated[bool, typer.Option(help="two exploiters train on clean and protected files")] = True,
    cache: Cache = True,
    progress: Progress = True,
) -> None:
    """Fit a method, protect the training section with it and check quickly whether that works.

    Writes OUT/protector.pt, OUT/protected and OUT/quick_check.json. Interrupted, it goes on where it stopped; the fit
    of another method than umed begins anew.
    """
    data, out = read_places(places)
    data = mu.as_dataset(data, merge_masks=merge_masks)
    with plain_options():
        done = mu.fit(
            data,
            out,
            quick_check=quick_check,
            cache=cache,
            method=protector,
            bound=bound,
            preset=preset,
            eps=eps,
            target_psnr=target_psnr,
            pattern_key=pattern_key,
            seed=seed,
            spatial_dims=spatial_dims,
            grid=parse_numbers(chosen(grid, size, old="--size", new="--grid")),
            epochs=epochs,
            batch_size=batch_size,
            num_classes=num_classes,
            ignore_label=ignore_label,
            intensity_window=parse_window(intensity_window, window),
            slice_axis=slice_axis,
            progress=progress,
        )
    print(f"The fitted generators are {done.checkpoint}; keep them to yourself.")
    left_out = say_left_out(data, done.manifest)
    check: list[str | Path] = ["verify", out, *as_arguments("--original", data)]
    say_next([("check every file", check), *steps_to_audit(data, done.protected, done.manifest)])
    raise typer.Exit(1 if left_out else 0)


@mu.reading_once()
def protect(
    places: Places,
    checkpoint: Annotated[Path | None, typer.Option(help="protector.pt of a fit; without it, one is fitted")] = None,
    section: Annotated[
        SectionName | None,
        typer.Option(help="what is protected", show_default="all; without --checkpoint train, if DATA has a split"),
    ] = None,
    seal_key: SealKey = None,
    reserve: Annotated[
        float | None, typer.Option(help="fraction of the cases to hold back, to prove training on the rest")
    ] = None,
    proof_key: ReserveKey = None,
    key: OldKey = None,
    groups: Groups = None,
    protector: ProtectorName = None,
    bound: BoundName = None,
    preset: PresetName = None,
    eps: Eps = None,
    target_psnr: TargetPsnr = None,
    pattern_key: PatternKey = None,
    seed: Seed = None,
    spatial_dims: SpatialDims = None,
    grid: Grid = None,
    size: OldSize = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    num_classes: NumClasses = None,
    ignore_label: IgnoreLabel = None,
    merge_masks: MergeMasks = False,
    intensity_window: IntensityWindow = None,
    window: OldWindow = None,
    slice_axis: SliceAxis = None,
    shard: Annotated[str | None, typer.Option(help="with --checkpoint: one of several parts, such as 0/4")] = None,
    dask: Annotated[
        str | None, typer.Option(help="with --checkpoint: scheduler of a Dask cluster, such as tcp://HOST:8786")
    ] = None,
    advised: Annotated[bool, typer.Option("--advised", help="take the setting that `monai-umed advise` names")] = False,
    advice: Annotated[Path | None, typer.Option(help="folder of that advice, if it is a place of your own")] = None,
    progress: Progress = True,
) -> None:
    """Write a protected copy of a dataset into OUT/protected and check every file of it.

    Without --checkpoint, generators are fitted, always to the training section alone. With --seal-key, what brings the
    originals back is sealed into OUT/sealed. Interrupted, it goes on where it stopped. With --shard, several runs
    protect a part each, in any order; one without it then checks all of them and finishes the folder. With --dask, the
    workers of a cluster do, and this run finishes the folder. With --reserve, --proof-key draws cases that are left
    out, and the pattern.
    """
    if reserve is None:
        seal_key = chosen(seal_key, key, old="--key", new="--seal-key")
    else:
        proof_key = chosen(proof_key, key, old="--key", new="--proof-key")
    data, out = read_places(places)
    data = mu.as_dataset(data, merge_masks=merge_masks)
    with plain_options():
        release = mu.protect(
            data,
            out,
            checkpoint=checkpoint,
            section=None if section is None else section.value,
            seal_key=seal_key,
            shard=shard,
            dask=dask,
            reserve=reserve,
            groups=groups,
            proof_key=proof_key,
            advised=advised,
            advice=advice,
            method=protector,
            bound=bound,
            preset=preset,
            eps=eps,
            target_psnr=target_psnr,
            pattern_key=pattern_key,
            seed=seed,
            spatial_dims=spatial_dims,
            grid=parse_numbers(chosen(grid, size, old="--size", new="--grid")),
            epochs=epochs,
            batch_size=batch_size,
            num_classes=num_classes,
            ignore_label=ignore_label,
            intensity_window=parse_window(intensity_window, window),
            slice_axis=slice_axis,
            progress=progress,
        )
    if release.manifest is None:
        return
    if checkpoint is None:
        say_fitted(data, release.section)
    if release.held_back is not None:
        say_reserve(release.held_back)
    say_verified(release.problems, release.protected, data)
    if release.problems:
        raise typer.Exit(1)
    steps = steps_to_audit(data, release.protected, release.manifest)
    if release.sealed is not None:
        say_done("Sealed", release.sealed, out / "sealed")
        if release.sealed.failed:
            raise typer.Exit(1)
        print(f"Without {seal_key} nobody gets the originals back, you included: keep a copy of it in a safe place.")
        back: list[str | Path] = ["restore", out, "--seal-key", str(seal_key), "--output", "ORIGINALS"]
        steps = [("get the originals back", back), *steps]
    held_back = 0 if release.held_back is None else len(release.held_back.held_back)
    if held_back:
        ask: list[str | Path] = ["queries", out, "QUERIES", "--proof-key", str(proof_key or pattern_key)]
        ask += [] if checkpoint is None else ["--checkpoint", checkpoint]
        steps.append(("ask a model that may have been trained on it", ask))
    left_out = say_left_out(data, release.manifest, held_back)
    say_next(steps)
    raise typer.Exit(1 if left_out else 0)
