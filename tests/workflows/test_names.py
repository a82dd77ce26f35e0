"""The list of names: kept as a file, because the registries take seconds to load."""

from __future__ import annotations

import json
import subprocess
import sys

from monai_umed.workflows.names import collect_names, list_names


def test_the_list_is_what_the_registries_say() -> None:
    cure = "run python -m monai_umed.workflows.names"
    assert json.loads(list_names(as_json=True)) == collect_names(), cure


def test_listing_loads_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from monai_umed.cli import app;"
        "assert CliRunner().invoke(app, ['list']).exit_code == 0;"
        "print([name for name in ('torch', 'monai', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
