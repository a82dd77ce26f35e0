"""Verbs of whoever may have the originals: new-key, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

from .options import OldKey, Progress, Released, chosen, parse_names, say_next
from .reports import say_done


def new_key(file: Annotated[Path, typer.Argument(help="file to write; it must not exist", show_default=False)]) -> None:
    """Make a secret key that seals originals and brings them back."""
    mu.new_key(file)
    print(f"Wrote 1 new key of 256 bits to {file}, which you alone can read.")
    print("Who has it gets every original back; who loses it, none. Keep a copy in a safe place, away from the data.")
    say_next([("seal the originals while protecting", ["protect", "DATA", "OUT", "--seal-key", file])])


def restore(
    out: Released,
    output: Annotated[Path, typer.Option(help="folder for the originals", show_default=False)],
    seal_key: Annotated[
        Path | None, typer.Option(help="file of new-key that sealed the dataset", show_default=False)
    ] = None,
    key: OldKey = None,
    cases: Annotated[str | None, typer.Option(help="ids joined by commas", show_default="all")] = None,
    sealed: Annotated[Path | None, typer.Option(help="sealed files", show_default="beside the protected")] = None,
    progress: Progress = True,
) -> None:
    """Get the original files back, bit by bit, each checked before it is written. Nothing is overwritten."""
    secret = chosen(seal_key, key, old="--key", new="--seal-key")
    if secret is None:
        raise typer.BadParameter("--seal-key is missing; name the file of new-key that sealed the dataset")
    protected = mu.find_protected(out)
    found = mu.restore(out, output, key=secret, cases=parse_names(cases), sealed=sealed, progress=progress)
    say_done("Restored", found, output)
    if found.failed:
        raise typer.Exit(1)
    print(f"They equal, bit by bit, the originals whose checksums are in {protected / 'manifest.json'}.")
    say_next([("compare with the protected files", ["verify", protected, "--original", output])])
