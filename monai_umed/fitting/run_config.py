"""Run a config of the bundle as its own command would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def run_config(name: str, overrides: dict[str, Any], overlays: Sequence[str] = ()) -> None:
    """Run a config of the bundle with overrides, those left out that were not given.

    Heavy imports happen here, so that ``--help`` answers at once.

    Args:
        name: file below the bundle's ``configs``.
        overrides: values by id; None leaves the config's own.
        overlays: further files there, merged in this order; later ones win.
    """
    import logging

    from monai.bundle import ConfigWorkflow

    from ..io.bundle_folder import bundle_root

    # They warn of configs from strangers and of the missing logging file; each logger has a level of its own.
    for module in ("monai", "monai.bundle.scripts", "monai.bundle.workflows"):
        logging.getLogger(module).setLevel(logging.ERROR)
    given = {key: value for key, value in overrides.items() if value is not None}
    files = [f"{bundle_root('umed')}/configs/{name}" for name in (name, *overlays)]
    workflow = ConfigWorkflow(files, logging_file=False, **given)
    workflow.initialize()
    workflow.run()
