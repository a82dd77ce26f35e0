"""The verb that tells what a dataset can have before anything is protected: advise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

from .datasets import Labels
from .help import AsJson, only_json, print_json
from .options import (
    Cache,
    IgnoreLabel,
    IntensityWindow,
    Progress,
    Seed,
    SliceAxis,
    parse_names,
    parse_numbers,
    parse_window,
    say_next,
)


def advise(
    data: Annotated[Path, typer.Argument(help="the dataset, or its images alone", show_default=False)],
    labels: Labels = None,
    output: Annotated[Path | None, typer.Option(help="folder of this advice", show_default="in the bundle")] = None,
    target: Annotated[float, typer.Option(help="share of the clean Dice that exploiters may reach")] = 0.5,
    min_psnr: Annotated[float, typer.Option(help="dB that files must have")] = 40.0,
    accept: Annotated[str | None, typer.Option(help="defenses that may win, joined by commas: blur-2.0")] = None,
    levels: Annotated[str | None, typer.Option(help="changes to try, in 1/255", show_default="4,6,8,12")] = None,
    seed: Seed = None,
    epochs: Annotated[int, typer.Option(min=1, help="epochs of each exploiter")] = 15,
    grid: Annotated[str | None, typer.Option(help="grid that exploiters train on, such as 128,128")] = None,
    ignore_label: IgnoreLabel = None,
    intensity_window: IntensityWindow = None,
    slice_axis: SliceAxis = None,
    cache: Cache = True,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """Find out which setting is the least visible one that holds for a dataset, or that none does.

    Tries a ladder of settings on a part of the training section against cheap exploiters; the test section is never
    read. Writes advice.json and advice.png. Interrupted, it goes on where it stopped. Ends with status 1 if no setting
    holds.
    """
    with only_json(as_json):
        advice = mu.advise(
            data,
            output,
            labels=labels,
            target=target,
            min_psnr=min_psnr,
            accept=parse_names(accept) or (),
            levels=parse_numbers(levels),
            seed=seed or 0,
            epochs=epochs,
            grid=parse_numbers(grid),
            ignore_label=ignore_label,
            intensity_window=parse_window(intensity_window, None),
            slice_axis=slice_axis,
            cache=cache,
            progress=progress,
        )
    if as_json:
        print_json(advice)
    else:
        places = [data] if labels is None else [data, labels]
        if advice.chosen is None:
            aim = "publish all the same, and be able to prove who used it, with a file of new-key"
            say_next([(aim, ["protect", *places, "OUT", "--reserve", "0.2", "--proof-key", "KEY"])])
        else:
            folder = [] if output is None else ["--advice", str(output)]
            say_next([("protect with it", ["protect", *places, "OUT", "--advised", *folder])])
    if advice.chosen is None:
        raise typer.Exit(1)
