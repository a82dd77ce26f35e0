"""What `fit` and `protect` share: a fit with its options, and which cases it sees."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..workflows.run import run_config
from .datasets import as_settings
from .options import PresetName

if TYPE_CHECKING:
    from ..data.two_folders import DatasetDir

# Options of a fit, by which id of train.json they set.
FIT_OPTIONS = {
    "--eps": "eps",
    "--target-psnr": "target_psnr",
    "--pattern-key": "key",
    "--seed": "seed",
    "--spatial-dims": "spatial_dims",
    "--size": "working_size",
    "--epochs": "max_epochs",
    "--batch-size": "batch_size",
}
# Those that other methods do not have.
_OF_UMED = ("--pattern-key", "--epochs", "--batch-size")
UMED = "umed"
STAMP = "constant-stamp"


class SectionName(str, Enum):
    """Parts of a dataset."""

    train = "train"
    test = "test"
    all = "all"


def run_fit(
    data: DatasetDir,
    out: Path,
    section: SectionName,
    preset: PresetName,
    method: dict[str, Any],
    fitting: tuple[Any, ...],
    settings: dict[str, Any],
) -> None:
    """Fit to the training section and protect a section, unless the folder to write would be refused afterwards."""
    from ..data.cases import find_cases
    from ..release.layout import check_folders

    # Again when files are written, but nobody should learn after a fit of an hour that they cannot be.
    check_folders(find_cases(data, section.value), out / "protected")
    places = {**as_settings(data), "output_dir": str(out), "section": section.value}
    chosen = dict(zip(FIT_OPTIONS.values(), fitting, strict=True))
    overlays = ["method.json"] if method else []
    overlays += [] if preset == PresetName.default else [f"{preset.value}.json"]
    run_config("train.json", {**places, **method, **chosen, **settings}, overlays)


def read_method(protector: str, bound: str | None, preset: PresetName, fitting: tuple[Any, ...]) -> dict[str, Any]:
    """The ids that choose another method than UMed; none for UMed itself."""
    if preset == PresetName.stamp:
        if protector == UMED:
            protector = STAMP
        elif protector.partition(":")[0] != STAMP:
            raise typer.BadParameter(f"--protector {protector}: --preset stamp is {STAMP}; leave one of them out")
    if protector == UMED:
        if bound is not None:
            raise typer.BadParameter(
                f"--bound {bound}: umed has bounds of its own; leave it out or name another method"
            )
        return {}
    if preset == PresetName.contour:
        raise typer.BadParameter(
            f"--preset contour: is where umed may change pixels, not {protector}; leave it out, or use --bound band"
        )
    given = [name for name, value in zip(FIT_OPTIONS, fitting, strict=True) if value is not None and name in _OF_UMED]
    if given:
        cure = "leave it out, or set the method's own arguments with the bundle's method.json"
        raise typer.BadParameter(f"{', '.join(given)}: means umed's generators, not {protector}; {cure}")
    from ..fitting.fit import parse_method

    try:
        return {**parse_method(protector), "bound": bound}
    except ValueError as error:
        raise typer.BadParameter(f"--protector {protector}: {error}") from error


def usual_section(data: DatasetDir) -> SectionName:
    """Whoever named a test section keeps it to test with; where nobody did, a release is meant to be whole."""
    from ..data.cases import find_sections

    _, named = find_sections(data)
    return SectionName.train if named else SectionName.all


def say_fitted(data: DatasetDir, section: SectionName) -> None:
    """Print what the fit saw and what was protected."""
    from ..data.cases import find_sections

    sections, named = find_sections(data)
    count = list(sections.values()).count("train")
    print(f"Fitted to the {count} cases of the section train of {data}; the section {section.value} is protected.")
    if not named:
        print(f"No split.json names sections: the fit left out {len(sections) - count} cases, chosen by their names.")
