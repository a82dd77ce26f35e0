"""Verbs that name places on the disk: phantom, bundle-path."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

from .options import say_next


def phantom(
    folder: Annotated[Path | None, typer.Argument(help="where to write it", show_default="the cache")] = None,
    spatial_dims: Annotated[int, typer.Option(min=2, max=3, help="2 for images, 3 for volumes")] = 2,
    num_train: Annotated[int | None, typer.Option(min=1, help="training cases", show_default="224 or 120")] = None,
    num_test: Annotated[int | None, typer.Option(min=0, help="test cases", show_default="56 or 30")] = None,
) -> None:
    """Write the synthetic dataset, or say where it is, to try everything without data of one's own."""
    write = mu.phantom_dir if folder is None else partial(mu.write_phantom, folder)
    found = write(spatial_dims=spatial_dims, num_train=num_train, num_test=num_test)
    split = json.loads((found / "split.json").read_text(encoding="utf-8"))
    print(f"{len(split['train'])} training and {len(split['test'])} test cases of synthetic scans are in {found}.")
    dims = ["--spatial-dims", "3"] if spatial_dims == 3 else []
    say_next([("protect them", ["protect", found, "OUT", *dims])])


def bundle_path() -> None:
    """Print the folder of the MONAI bundle, and nothing else, for use in other commands."""
    print(mu.bundle_root())
