"""Verb for annotation servers: label-app."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu


def label_app(
    folder: Annotated[Path, typer.Argument(help="folder to write: new or empty", show_default=False)],
) -> None:
    """Write the app that a MONAI Label server is started with, to protect what annotators label."""
    written = mu.write_label_app(folder)
    print(f"Wrote 1 app to {written}. In the environment of MONAI Label, next:")
    print(f"  python -m monailabel.main start_server --app {written} --studies STUDIES --host 127.0.0.1 --port 8000")
