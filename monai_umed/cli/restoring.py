"""Verbs of whoever may have the originals: new-key, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Progress, Released, find_protected, parse_names, say_next


def new_key(file: Annotated[Path, typer.Argument(help="file to write; it must not exist", show_default=False)]) -> None:
    """Make a secret key that seals originals and brings them back."""
    from ..sealing import keys as key_file

    key_file.new_key(file)
    print(f"Wrote 1 new key of {8 * key_file.KEY_BYTES} bits to {file}, which you alone can read.")
    print("Who has it gets every original back; who loses it, none. Keep a copy in a safe place, away from the data.")
    say_next([("seal the originals while protecting", ["protect", "DATA", "OUT", "--key", file])])


def restore(
    out: Released,
    key: Annotated[Path, typer.Option(help="file of new-key that sealed the dataset", show_default=False)],
    output: Annotated[Path, typer.Option(help="folder for the originals", show_default=False)],
    cases: Annotated[str | None, typer.Option(help="ids joined by commas", show_default="all")] = None,
    sealed: Annotated[Path | None, typer.Option(help="sealed files", show_default="beside the protected")] = None,
    progress: Progress = True,
) -> None:
    """Get the original files back, bit by bit, each checked before it is written. Nothing is overwritten."""
    from ..sealing.keys import read_key

    protected = find_protected(out)
    sealed = sealed or protected.resolve().parent / "sealed"
    if not sealed.is_dir():
        cure = "pass --sealed DIR, or make them with `monai-umed protect --key`, which takes the originals"
        raise FileNotFoundError(f"{sealed}: no folder of sealed files; {cure}")
    secret = read_key(key)

    from ..data.manifest import MANIFEST
    from ..sealing.restore import report, restore_dataset

    found = restore_dataset(protected, sealed, output, secret, parse_names(cases), progress)
    if report(found, "Restored", output).failed:
        raise typer.Exit(1)
    print(f"They equal, bit by bit, the originals whose checksums are in {protected / MANIFEST}.")
    say_next([("compare with the protected files", ["verify", protected, "--original", output])])
