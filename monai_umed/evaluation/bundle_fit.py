"""Fit and protect by the bundle's train.json: the one place of the evaluation that runs a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from ..fitting.run_config import run_config
from ..io.causes import first_cause


def fit_by_config(
    settings: Mapping[str, Any], log: Path, *, config: str = "train.json", overlays: Sequence[str] = ()
) -> None:
    """Run a config of the bundle in this process, what it prints going into a file.

    Args:
        settings: values by id.
        log: the file.
        config: name of the config.
        overlays: further configs, merged in this order.

    Raises:
        Exception: The first cause of what failed, without the chain that configs put around it.
    """
    try:
        with log.open("w", encoding="utf-8") as file, redirect_stdout(file):
            run_config(config, dict(settings), overlays)
    except RuntimeError as error:
        raise first_cause(error) from None
