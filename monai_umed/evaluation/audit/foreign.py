"""Other public images, and their copy protected with this tool: what a determined exploiter brings along."""

from __future__ import annotations

from pathlib import Path

from ...data.manifest import MANIFEST
from ...training.distributed import is_first_rank, wait_for_ranks
from ..bundle_fit import fit_by_config
from ..workers import attempt_alone


def protect_foreign(foreign_dir: str, work_dir: Path, *, grid: tuple[int, ...], progress: bool = True) -> str:
    """Fit and apply the default protector to a foreign dataset, as anybody can, in a process of its own.

    Done once per audit, by the first process if ``torchrun`` started several; an interrupted run is continued.

    Args:
        foreign_dir: two classes, see :func:`monai_umed.data.cases.find_cases`.
        work_dir: where the fit, its log and the protected files go.
        grid: grid of the generators.
        progress: whether to show the fit's progress bar.

    Returns:
        The protected folder.

    Raises:
        RuntimeError: If the fit fails; holds the reason.
    """
    if is_first_rank() and not (work_dir / "protected" / MANIFEST).is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        settings = {
            "dataset_dir": foreign_dir,
            "output_dir": str(work_dir),
            "working_size": list(grid),
            "spatial_dims": len(grid),
            "quick_check": False,
            "progress": progress,
        }
        log = work_dir / "log.txt"
        if (reason := attempt_alone(fit_by_config, settings, log)) is not None:
            raise RuntimeError(
                f"The foreign images {foreign_dir} cannot be protected: {reason}. See {log}, or give "
                "others by --foreign."
            )
    wait_for_ranks()
    return str(work_dir / "protected")
