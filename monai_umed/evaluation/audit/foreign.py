"""Other public images that a determined exploiter has, and copies of them protected with this tool."""

from __future__ import annotations

from pathlib import Path

from ...data.manifest import MANIFEST
from ...training.distributed import is_first_rank, wait_for_ranks
from ..bundle_fit import fit_by_config
from ..workers import attempt_alone


def protect_foreign(foreign_dir: str, work_dir: Path, *, grid: tuple[int, ...], progress: bool = True) -> str:
    """Protect a foreign dataset with the default protector, as anybody can, and return the protected folder.

    This runs once per audit in a separate process, started by the first rank, and continues an interrupted run.

    Args:
        foreign_dir: dataset of two classes, see :func:`monai_umed.data.cases.find_cases`.
        work_dir: folder for the fit, its log and the protected files.
        grid: grid of the generators.
        progress: whether to show the fit's progress bar.

    Raises:
        RuntimeError: If the fit fails; the message has the reason.
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
