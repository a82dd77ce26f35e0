"""The verb that checks a release: verify."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

from .datasets import Labels, join_labels, steps_to_audit
from .help import AsJson, only_json, print_json
from .options import Progress, Released, say_next
from .reports import say_verified


def verify(
    out: Released,
    original: Annotated[Path | None, typer.Option(help="the dataset that was protected, to compare pixels")] = None,
    labels: Labels = None,
    progress: Progress = True,
    as_json: AsJson = False,
) -> None:
    """Check that protected files are those of their manifest and, with the originals, that no pixel left its budget."""
    if original is None and labels is not None:
        raise typer.BadParameter(f"--labels {labels}: these belong to images; name them with --original")
    protected = mu.find_protected(out)
    data = None if original is None else join_labels(original, labels)
    with only_json(as_json):
        problems = mu.verify(out, original=data, progress=progress)
    if as_json:
        wrong = [asdict(problem) for problem in problems]
        print_json({"protected": str(protected), "pixels_compared": data is not None, "problems": wrong})
        raise typer.Exit(1 if problems else 0)
    say_verified(problems, protected, data)
    if problems:
        raise typer.Exit(1)
    if data is None:
        say_next([("compare pixels, too", ["verify", out, "--original", "DATA"])])
    else:
        manifest = mu.load_manifest(protected)
        say_next(steps_to_audit(mu.as_dataset(data, merge_masks=manifest.merges_masks), protected, manifest))
