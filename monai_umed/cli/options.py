"""What several verbs share: options with their help, lists within one option, and what to do next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

import monai_umed as mu

T = TypeVar("T")


def _describe_presets() -> str:
    """One line for all presets, from their table."""
    return "; ".join(f"{name}: {preset.summary}" for name, preset in mu.PRESETS.items())


Released = Annotated[Path, typer.Argument(help="OUT of protect, or the protected folder itself", show_default=False)]


ProtectorName = Annotated[
    str | None,
    typer.Option(help="method of `monai-umed list`: em, constant-stamp:period=2", show_default="that of the preset"),
]
BoundName = Annotated[
    str | None,
    typer.Option("--bound", help="where other methods than umed may change pixels: full, roi, band, lbp or roi*lbp"),
]
PresetName = Annotated[str | None, typer.Option("--preset", help=_describe_presets(), show_default="default")]
Eps = Annotated[str | None, typer.Option(help="largest change, a share of the window, such as 4/255")]
TargetPsnr = Annotated[float | None, typer.Option(help="dB that files must have at least; eps gives way")]
PatternKey = Annotated[Path | None, typer.Option(help="file of new-key, for a pattern that nobody else can make")]
SealKey = Annotated[
    Path | None, typer.Option(help="file of new-key, to seal what brings the originals back", show_default=False)
]
OldKey = Annotated[Path | None, typer.Option("--key", hidden=True)]
_PROOF_KEY = "file of new-key that draws the reserve; it proves, so keep it"
ProofKey = Annotated[Path, typer.Option("--proof-key", "--key", help=_PROOF_KEY, show_default=False)]
ReserveKey = Annotated[Path | None, typer.Option("--proof-key", help=_PROOF_KEY, show_default=False)]
Groups = Annotated[
    Path | None,
    typer.Option(help="CSV of case,group: what belongs together, such as a patient", show_default="look-alikes"),
]
Seed = Annotated[int | None, typer.Option(help="seed of the fit")]
SpatialDims = Annotated[int | None, typer.Option(min=2, max=3, help="2 for images, 3 for volumes")]
Grid = Annotated[str | None, typer.Option(help="grid of the generators, such as 128,128")]
OldSize = Annotated[str | None, typer.Option("--size", hidden=True)]
Epochs = Annotated[int | None, typer.Option(min=1, help="epochs of the fit")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="cases in a step of the fit")]
NumClasses = Annotated[int | None, typer.Option(help="classes of the masks, background included")]
IgnoreLabel = Annotated[
    int | None, typer.Option(min=1, help="value of the masks that is no class, such as 255; its pixels stay untouched")
]
MergeMasks = Annotated[
    bool, typer.Option("--merge-masks", help="several masks of one image, such as x_mask_1.png, are its mask together")
]
IntensityWindow = Annotated[
    str | None,
    typer.Option(
        help="displayed values of black and white, such as -160,240, or ct-soft, ct-lung, ct-bone; of each channel if "
        "several are joined by semicolons"
    ),
]
OldWindow = Annotated[str | None, typer.Option("--window", hidden=True)]
SliceAxis = Annotated[int | None, typer.Option(min=0, max=2, help="take volumes slice by slice across this axis")]
Cache = Annotated[bool, typer.Option(help="use trainings on clean files that earlier runs here have done")]
Progress = Annotated[bool, typer.Option(help="show bars with the time left")]


def parse_names(text: str | None) -> list[str] | None:
    """Names joined by commas; None stays None, here and below."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def parse_numbers(text: str | None) -> list[int] | None:
    """Whole numbers joined by commas.

    Raises:
        typer.BadParameter: one of them is none.
    """
    names = parse_names(text)
    try:
        return None if names is None else [int(name) for name in names]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} must be whole numbers joined by commas, such as 0,1,2") from error


def parse_window(text: str | None, old: str | None) -> list[float] | list[list[float]] | None:
    """Two numbers joined by a comma or a preset's name, or several of these, from the option or from its old name.

    Raises:
        typer.BadParameter: there is no such preset, or there are not two different numbers.
    """
    try:
        intensity_window = mu.as_window(chosen(text, old, old="--window", new="--intensity-window"))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return None if intensity_window is None else json.loads(json.dumps(intensity_window))


def chosen(given: T | None, under_old_name: T | None, *, old: str, new: str) -> T | None:
    """An option under its name, or under the name that it had in version 0.1, with a word about it."""
    if under_old_name is not None:
        typer.echo(f"{old} is called {new} now; the old name will go with the next version.", err=True)
    return under_old_name if given is None else given


@contextmanager
def plain_options() -> Iterator[None]:
    """Tell of options that contradict each other as of any that cannot be read."""
    try:
        yield
    except mu.OptionError as error:
        # The command line calls a method a protector.
        names = ("protector" if name == "method" else name.replace("_", "-") for name in error.options)
        raise typer.BadParameter(f"{', '.join(f'--{name}' for name in names)}: {error.reason}") from error


def say_next(steps: Sequence[tuple[str, Sequence[str | Path]]]) -> None:
    """Print the commands that may follow, each with its purpose and ready to be pasted."""
    print("Next:")
    for purpose, arguments in steps:
        print(f"  {purpose}: monai-umed {shlex.join(map(str, arguments))}")
