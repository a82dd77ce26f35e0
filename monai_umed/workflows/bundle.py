"""Helpers of the bundle's commands: checked overrides, plain errors, bounds as fractions."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from ..io.causes import first_cause

T = TypeVar("T")

# Options of `python -m monai.bundle run` itself, which are not ids of a config.
RUN_OPTIONS = (
    "run_id",
    "init_id",
    "final_id",
    "meta_file",
    "config_file",
    "logging_file",
    "tracking",
    "args_file",
    "workflow_type",
    "workflow_name",
    "properties_path",
)


def mention_public_model(checkpoint: str | Path, bundle: str | Path) -> None:
    """Print a notice if images are protected with the bundle's own generators, which are public."""
    if Path(checkpoint).resolve() == (Path(bundle) / "models" / "model.pt").resolve():
        print(
            "The generators are the bundle's own, which were fitted to the phantom and are public: anybody "
            "can know the pattern. To publish images, fit your own with train.json and give its --checkpoint."
        )


def _bundle_arguments() -> list[str]:
    """Return the arguments of ``python -m monai.bundle``; none in another program, whose options are its own."""
    return sys.argv[1:] if Path(sys.argv[0]).parent.name == "bundle" else []


def check_overrides(config_file: str | Path | Sequence[str | Path], arguments: Sequence[str] | None = None) -> None:
    """Refuse command-line overrides of ids that are not in the configs; MONAI would silently add them.

    Args:
        config_file: the config, or several that were merged.
        arguments: command line, by default that of this process if it is ``python -m monai.bundle``.

    Raises:
        ValueError: If an override is unknown; the message names the nearest known id.
    """
    files = [config_file] if isinstance(config_file, str | Path) else list(config_file)
    known: set[str] = set()
    for file in files:
        known |= json.loads(Path(file).read_text(encoding="utf-8")).keys()
    unknown = []
    for argument in _bundle_arguments() if arguments is None else arguments:
        if not re.match(r"--?[A-Za-z_]", argument):  # Fire takes one dash as well as two; -3 is a value
            continue
        name = argument.lstrip("-").split("=", 1)[0].split("#", 1)[0].split("::", 1)[0].replace("-", "_")
        if name not in known and name not in RUN_OPTIONS:
            nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
            unknown.append(f"--{name}" + (f" (did you mean --{nearest[0]}?)" if nearest else ""))
    if unknown:
        names = ", ".join(sorted(name for name in known if not name.startswith("_")))
        raise ValueError(f"Unknown override: {', '.join(unknown)}. Known: {names}.")


def show_plain_errors() -> None:
    """Print the first cause of an uncaught error as one message instead of MONAI's chain of tracebacks.

    Errors other than those of input keep their traceback. Set ``MONAI_UMED_TRACEBACK=1`` to see all tracebacks.

    Example:
        >>> mu.show_plain_errors()
    """

    def report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        cause = first_cause(error)
        if isinstance(cause, ValueError | OSError | ImportError) and not os.environ.get("MONAI_UMED_TRACEBACK"):
            print(f"error: {cause}", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, traceback)

    sys.excepthook = report


def as_fraction(value: float | str) -> float:
    """Convert a number, or a fraction such as ``"8/255"``, to float.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(value, str):
        numerator, slash, denominator = value.partition("/")
        try:
            return float(numerator) / (float(denominator) if slash else 1.0)
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{value!r} is not a number; write it as 0.0157 or as 4/255.") from error
    return float(value)


def renamed(*, old: str, new: str, value: T | None) -> T | None:
    """Return the value of a config's id that was renamed, and print a notice if it was given."""
    if value is not None:
        print(f"--{old} is called --{new} now; the old name will go with the next version.", file=sys.stderr)
    return value


def prepare_run(*, bundle_root: str, configs: Sequence[str]) -> None:
    """Show plain errors, and check overrides of the merged configs.

    Args:
        bundle_root: folder of the bundle.
        configs: names of the configs that were merged.

    Raises:
        ValueError: For the reasons of :func:`check_overrides`.
    """
    show_plain_errors()
    check_overrides([f"{bundle_root}/configs/{name}" for name in configs])
