"""Run a config of the bundle as its own command would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def run_config(name: str, overrides: dict[str, Any], overlays: Sequence[str] = ()) -> None:
    """Run a config of the bundle with overrides; heavy imports happen here, so that ``--help`` is fast.

    Args:
        name: file in the bundle's ``configs``.
        overrides: values by id; None keeps that of the config.
        overlays: further files there, merged in this order; later ones take precedence.
    """
    import logging

    from monai.bundle import ConfigWorkflow

    from ..io.bundle_folder import bundle_root

    # They warn of untrusted configs and of the missing logging file; each logger has a level of its own.
    for module in ("monai", "monai.bundle.scripts", "monai.bundle.workflows"):
        logging.getLogger(module).setLevel(logging.ERROR)
    given = {key: value for key, value in overrides.items() if value is not None}
    files = [f"{bundle_root('umed')}/configs/{name}" for name in (name, *overlays)]
    workflow = ConfigWorkflow(files, logging_file=False, **given)
    workflow.initialize()
    workflow.run()
