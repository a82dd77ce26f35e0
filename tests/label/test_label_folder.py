"""The app's folder, and what the rest of the package needs of MONAI Label: nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_umed.cli import app
from monai_umed.label.folder import write_label_app


def test_the_verb_writes_an_app_and_says_how_to_start_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["label-app", str(tmp_path / "app")])
    assert result.exit_code == 0
    assert f"start_server --app {tmp_path / 'app'} --studies STUDIES --host 127.0.0.1" in result.output
    assert [path.name for path in (tmp_path / "app").iterdir()] == ["main.py"]


def test_an_empty_folder_is_filled_and_any_other_is_left_as_it_is(tmp_path: Path) -> None:
    write_label_app(tmp_path)
    before = (tmp_path / "main.py").read_bytes()
    (tmp_path / "main.py").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="is not empty; name a new or an empty folder"):
        write_label_app(tmp_path)
    assert (tmp_path / "main.py").read_bytes() == b"mine" != before
    with pytest.raises(FileExistsError, match="is not empty"):
        write_label_app(tmp_path / "main.py")


def test_the_command_line_loads_neither_monai_label_nor_the_dicom_modules() -> None:
    code = "import sys, monai_umed.cli, monai_umed.release.protect, monai_umed.label.folder; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "monai_umed.release.protect" in names
    assert not {"monailabel", "fastapi", "monai_umed.dicom.image"} & set(names)
