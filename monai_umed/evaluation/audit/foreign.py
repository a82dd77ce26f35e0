"""Other public images, and their copy protected with this tool: what a determined exploiter brings along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ...data.manifest import MANIFEST
from ...io.bundle_folder import bundle_root
from ...training.distributed import is_first_rank, wait_for_ranks


def protect_foreign(foreign_dir: str, work_dir: Path, size: tuple[int, ...], progress: bool = True) -> str:
    """Fit and apply the default protector to a foreign dataset, as anybody can, by the bundle's own command.

    Done once per audit, by the first process if ``torchrun`` started several; an interrupted run is continued.

    Args:
        foreign_dir: two classes, see :func:`monai_umed.data.cases.find_cases`.
        work_dir: where the fit and the protected files go.
        size: grid of the generators.
        progress: whether to show the fit's progress bar.

    Returns:
        The protected folder.

    Raises:
        RuntimeError: if the command fails; holds the end of what it printed.
    """
    if is_first_rank() and not (work_dir / "protected" / MANIFEST).is_file():
        _run_bundle(foreign_dir, work_dir, size, progress)
    wait_for_ranks()
    return str(work_dir / "protected")


def _run_bundle(foreign_dir: str, work_dir: Path, size: tuple[int, ...], progress: bool) -> None:
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += ["--config_file", f"{bundle_root('umed')}/configs/train.json"]
    command += ["--dataset_dir", repr(foreign_dir), "--output_dir", repr(str(work_dir))]
    command += ["--working_size", str(list(size)), "--spatial_dims", str(len(size))]
    command += ["--quick_check", "False", "--progress", str(progress)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=None if progress else subprocess.STDOUT,
        text=True,
        env={**os.environ, "RANK": "0", "WORLD_SIZE": "1"},  # it is none of the processes of torchrun
    )
    if done.returncode:
        raise RuntimeError(f"Protecting the foreign images {foreign_dir} failed:\n{done.stdout[-2000:]}")
