"""The verb that compares protectors: benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

from .auditing import NetworkSize
from .options import Cache, OldSize, Progress, chosen, parse_names, parse_numbers, say_next


def benchmark(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA... OUT",
            help="folders with images/ and masks/, each with a training and a test section; then a folder to write",
            show_default=False,
        ),
    ],
    protectors: Annotated[str, typer.Option(help="names joined by commas: em,em@roi,constant-stamp:period=2")],
    exploiters: Annotated[str, typer.Option(help="names joined by commas; see `monai-umed list`")] = "unet-batch",
    defenses: Annotated[str, typer.Option(help="names joined by commas")] = "none,blur-1.0,jpeg-60",
    seeds: Annotated[str, typer.Option(help="numbers joined by commas, one training each")] = "0",
    eps: Annotated[str, typer.Option(help="largest change, the same for all protectors")] = "4/255",
    psnr: Annotated[
        float | None, typer.Option(help="compare at this PSNR in dB as well, each with its own eps")
    ] = None,
    bound: Annotated[str | None, typer.Option(help="of protectors that name none: full, roi, band, lbp")] = None,
    grid: Annotated[str | None, typer.Option(help="grid of fits and trainings, such as 128,128")] = None,
    size: OldSize = None,
    network_size: Annotated[NetworkSize, typer.Option(help="of the exploiters' networks")] = NetworkSize.small,
    recipe: Annotated[str, typer.Option(help="fast (15 epochs) or paper (150 epochs, lr 1e-4)")] = "fast",
    workers: Annotated[int | None, typer.Option(help="trainings at the same time")] = None,
    cache: Cache = True,
    progress: Progress = True,
) -> None:
    """Compare protectors on the same files: what exploiters still learn, how visible it is, what it costs.

    Writes OUT/results.csv, OUT/results.md and OUT/dice_over_psnr.png. Interrupted, it goes on where it stopped.
    """
    if len(places) < 2:
        raise typer.BadParameter("one place was given; give DATA... OUT, where OUT is a folder to write")
    *datasets, out = places
    rows = mu.benchmark(
        datasets,
        out,
        protectors=parse_names(protectors) or [],
        exploiters=parse_names(exploiters) or [],
        defenses=parse_names(defenses) or [],
        seeds=parse_numbers(seeds) or [],
        eps=eps,
        psnr=psnr,
        bound=bound,
        grid=parse_numbers(chosen(grid, size, old="--size", new="--grid")),
        network_size=network_size.value,
        recipe=recipe,
        workers=workers,
        cache=cache,
        progress=progress,
    )
    if rows == []:
        raise typer.Exit(1)
    if rows is not None:
        best = "the one that leaves least at a visibility you can accept"
        say_next([(f"protect with {best}", ["protect", datasets[0], "OUT", "--protector", "NAME"])])
