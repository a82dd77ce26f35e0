"""Run a config of the bundle as its own command would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def run_config(names: str | Sequence[str], overrides: dict[str, Any]) -> None:
    """Run configs of the bundle, merged, with overrides, those left out that were not given.

    Heavy imports happen here, so that ``--help`` answers at once.

    Args:
        names: file below the bundle's ``configs``, or several, of which later ones win.
        overrides: values by id; None leaves the config's own.
    """
    import logging

    from monai.bundle import ConfigWorkflow

    from ..bundle import bundle_root

    # They warn of configs from strangers and of the missing logging file; each logger has a level of its own.
    for module in ("monai", "monai.bundle.scripts", "monai.bundle.workflows"):
        logging.getLogger(module).setLevel(logging.ERROR)
    given = {key: value for key, value in overrides.items() if value is not None}
    files = [f"{bundle_root('umed')}/configs/{name}" for name in ([names] if isinstance(names, str) else names)]
    workflow = ConfigWorkflow(files, logging_file=False, **given)
    workflow.initialize()
    workflow.run()
