"""The command line ``monai-umed``: one verb a function, each a thin layer over a config of the bundle."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class NetworkSize(str, Enum):
    """Sizes of exploiters."""

    small = "small"
    paper = "paper"


def run_config(name: str, overrides: dict[str, Any]) -> None:
    """Run a config of the bundle with overrides, those left out that were not given.

    Heavy imports happen here, so that ``--help`` answers at once.

    Args:
        name: file below the bundle's ``configs``.
        overrides: values by id; None leaves the config's own.
    """
    import logging

    from monai.bundle import ConfigWorkflow

    from .bundle import bundle_root, show_plain_errors

    logging.getLogger("monai").setLevel(logging.ERROR)  # it warns of configs from strangers; this one is ours
    show_plain_errors()
    given = {key: value for key, value in overrides.items() if value is not None}
    workflow = ConfigWorkflow(f"{bundle_root('umed')}/configs/{name}", logging_file=False, **given)
    workflow.initialize()
    workflow.run()


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str | None) -> list[int] | None:
    names = _names(text)
    try:
        return None if names is None else [int(name) for name in names]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} must be whole numbers joined by commas, such as 0,1,2") from error


@app.callback()
def main() -> None:
    """Publish segmentation datasets that people can look at but nobody can usefully train on."""


@app.command()
def audit(
    protected: Annotated[Path, typer.Argument(help="protected files: images/ and masks/", show_default=False)],
    clean: Annotated[Path, typer.Option(help="folder of their clean originals, names as in PROTECTED")],
    test: Annotated[Path, typer.Option(help="clean files to score on; its test section if it is the --clean folder")],
    output: Annotated[Path | None, typer.Option(help="folder of this audit", show_default="in the bundle")] = None,
    quick: Annotated[bool, typer.Option("--quick/--full", help="three networks, one seed / everything")] = True,
    exploiters: Annotated[str | None, typer.Option(help="names joined by commas; see `monai-umed list`")] = None,
    defenses: Annotated[str | None, typer.Option(help="names joined by commas, combinations by +")] = None,
    seeds: Annotated[str | None, typer.Option(help="numbers joined by commas")] = None,
    size: Annotated[str | None, typer.Option(help="grid to train on, such as 128,128")] = None,
    network_size: Annotated[NetworkSize | None, typer.Option(help="of the exploiters' networks")] = None,
    recipe: Annotated[str | None, typer.Option(help="fast (15 epochs) or paper (150 epochs, lr 1e-4)")] = None,
    foreign: Annotated[Path | None, typer.Option(help="other images that exploiters bring along")] = None,
    num_classes: Annotated[int | None, typer.Option(help="classes of the masks, background included")] = None,
    workers: Annotated[int | None, typer.Option(help="trainings at the same time")] = None,
    progress: Annotated[bool, typer.Option(help="show bars with the time left")] = True,
) -> None:
    """Find out what the worst is that someone can do with protected files.

    Trains exploiters on the files under test and on their clean originals, under the same defenses, scores all of them
    on clean test images and writes a verdict, scores.json and report.html. Interrupted, it goes on where it stopped.
    """
    run_config(
        "evaluate.json",
        {
            "dataset_dir": str(protected),
            "clean_dir": str(clean),
            "test_dir": str(test),
            "test_section": "test" if test.resolve() == clean.resolve() else "all",
            "output_dir": None if output is None else str(output),
            "preset": "quick" if quick else "full",
            "exploiters": _names(exploiters),
            "defenses": _names(defenses),
            "seeds": _numbers(seeds),
            "size": _numbers(size),
            "network_size": None if network_size is None else network_size.value,
            "recipe": recipe,
            "foreign_dir": None if foreign is None else str(foreign),
            "num_classes": num_classes,
            "workers": workers,
            "progress": progress,
        },
    )


@app.command(name="list")
def list_names() -> None:
    """Print the names of exploiters and defenses."""
    from .defenses import DEFENSES
    from .networks.architectures import ARCHITECTURES, exploiter_names

    print("exploiters:")
    for name in exploiter_names():
        print(f"  {name:<22} {ARCHITECTURES[name.split('-')[0]].summary}")
    print("defenses (the verdict counts those marked *; join several by +):")
    for name, entry in DEFENSES.items():
        print(f"  {name:<20} {'*' if entry.cheap else ' '} {entry.summary}")


if __name__ == "__main__":
    sys.exit(app())
