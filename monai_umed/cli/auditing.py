"""Verbs that find out how far a protection holds: audit, list."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

from .datasets import Labels, as_arguments, join_labels
from .help import AsJson, only_json, print_json
from .options import (
    Cache,
    IntensityWindow,
    NumClasses,
    OldSize,
    OldWindow,
    Progress,
    SliceAxis,
    chosen,
    parse_names,
    parse_numbers,
    parse_window,
    say_next,
)


class NetworkSize(str, Enum):
    """Sizes of exploiters."""

    small = "small"
    paper = "paper"


def audit(
    protected: Annotated[Path, typer.Argument(help="protected files: images/ and masks/", show_default=False)],
    clean: Annotated[Path, typer.Option(help="folder of their clean originals, names as in PROTECTED")],
    test: Annotated[Path, typer.Option(help="clean files to score on; its test section if it is the --clean folder")],
    labels: Labels = None,
    test_labels: Annotated[Path | None, typer.Option(help="the same for --test, if that is another dataset")] = None,
    output: Annotated[Path | None, typer.Option(help="folder of this audit", show_default="in the bundle")] = None,
    quick: Annotated[bool, typer.Option("--quick/--full", help="three networks, one seed / everything")] = True,
    exploiters: Annotated[str | None, typer.Option(help="names joined by commas; see `monai-umed list`")] = None,
    defenses: Annotated[str | None, typer.Option(help="names joined by commas, combinations by +")] = None,
    seeds: Annotated[str | None, typer.Option(help="numbers joined by commas")] = None,
    grid: Annotated[str | None, typer.Option(help="grid to train on, such as 128,128")] = None,
    size: OldSize = None,
    network_size: Annotated[NetworkSize, typer.Option(help="of the exploiters' networks")] = NetworkSize.small,
    recipe: Annotated[str, typer.Option(help="fast (15 epochs) or paper (150 epochs, lr 1e-4)")] = "fast",
    foreign: Annotated[Path | None, typer.Option(help="other images that exploiters bring along")] = None,
    num_classes: NumClasses = None,
    intensity_window: IntensityWindow = None,
    window: OldWindow = None,
    slice_axis: SliceAxis = None,
    workers: Annotated[int | None, typer.Option(help="trainings at the same time")] = None,
    cache: Cache = True,
    stop_when_decided: Annotated[bool, typer.Option(help="skip what cannot change the verdict any more")] = False,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """Find out what the worst is that someone can do with protected files.

    Trains exploiters on the files under test and on their clean originals, under the same defenses, scores all of them
    on clean test images and writes a verdict, scores.json and report.html. Interrupted, it goes on where it stopped.
    """
    same = test.resolve() == clean.resolve()
    with only_json(as_json):
        scores = mu.audit(
            protected,
            output,
            clean=join_labels(clean, labels),
            test=join_labels(test, test_labels or (labels if same else None)),
            preset="quick" if quick else "full",
            exploiters=parse_names(exploiters),
            defenses=parse_names(defenses),
            seeds=parse_numbers(seeds),
            grid=parse_numbers(chosen(grid, size, old="--size", new="--grid")),
            network_size=network_size.value,
            recipe=recipe,
            foreign=foreign,
            num_classes=num_classes,
            intensity_window=parse_window(intensity_window, window),
            slice_axis=slice_axis,
            workers=workers,
            cache=cache,
            stop_when_decided=stop_when_decided,
            progress=progress,
        )
    if as_json:
        print_json(scores)
    elif scores is not None:
        if scores.verdict == "protected":
            check: list[str | Path] = ["verify", protected, *as_arguments("--original", clean)]
            say_next([("check every file before you publish", check)])
        else:
            say_next([("see what these data can have", ["advise", clean])])


def list_names(as_json: AsJson = False) -> None:
    """Print the names of protectors, exploiters and defenses."""
    print(mu.list_names(as_json=as_json))
    if not as_json:
        names = ["--exploiters", "dynunet", "--defenses", "flips+affine"]
        say_next([("use such names", ["audit", "OUT", "--clean", "DATA", "--test", "DATA", *names])])
