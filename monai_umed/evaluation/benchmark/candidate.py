"""Fit one protector and protect one dataset with it, in a process of its own, and note what that cost."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ...data.cases import find_cases
from ...data.manifest import MANIFEST, Manifest
from ...fitting.target_psnr import reach_psnr
from ...io.atomic import write_json
from ...io.provenance import source_version
from ...protectors.checkpoint import CHECKPOINT, find_checkpoint, load_protector, save_protector
from ...release.protect import protect_dataset
from ..bundle_fit import fit_by_config
from ..cell import set_aside
from ..quick_check import mean_fidelity
from ..workers import attempt_alone
from .variants import Variant

RECORD, LOG, PROTECTED = "release.json", "log.txt", "protected"

MOST = 4.0
"""Largest multiple of the common eps that a protector may get to reach a common PSNR."""


@dataclass(frozen=True)
class Job:
    """One protector on one dataset.

    Attributes:
        dataset: folder.
        variant: which protector.
        folder: where everything goes.
        eps: its limit.
        size: working grid.
        num_classes: classes of the masks.
        slice_axis: across which it takes volumes slice by slice; None for images.
        psnr: None to fit at ``eps``; else the mean PSNR to reach with what ``fitted`` holds.
        fitted: folder of the finished job at equal eps.
        progress: whether to show progress bars.
    """

    dataset: str
    variant: Variant
    folder: Path
    eps: float
    size: tuple[int, ...]
    num_classes: int
    slice_axis: int | None = None
    psnr: float | None = None
    fitted: Path | None = None
    progress: bool = True


@dataclass(frozen=True)
class Release:
    """What became of a job.

    Attributes:
        bound: where changes are allowed.
        eps: limit that was used.
        psnr, ssim: means over the files that were written; None if nothing changed.
        fit_seconds: from the start to the fitted protector, the training set's reading included.
        apply_seconds: for all files of the training section.
        peak_mb: largest memory of the process in MB, without a GPU's.
        cases: files that were written.
        left_out: cases that could not be protected.
        protector: its ``repr``.
        version: of this package, with its commit.
    """

    bound: str
    eps: float
    psnr: float | None
    ssim: float | None
    fit_seconds: float
    apply_seconds: float
    peak_mb: float
    cases: int
    left_out: int
    protector: str
    version: str


def read_release(folder: Path) -> Release | None:
    """The record of a finished job; a damaged one is kept aside and counts as none."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return Release(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        set_aside(path)
        return None


def make_release(job: Job) -> str | None:
    """Do a job in a new process, from the start: what an interruption left would spoil its times.

    Args:
        job: what to do.

    Returns:
        The reason if it failed.
    """
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    return attempt_alone(_make, job)


def _make(job: Job) -> None:
    fit_seconds, apply_seconds = _fit(job) if job.fitted is None else _adjust(job, job.fitted)
    _record(job, fit_seconds, apply_seconds)


def _fit(job: Job) -> tuple[float, float]:
    begin = time.time()
    settings = {
        "dataset_dir": job.dataset,
        "output_dir": str(job.folder),
        "eps": job.eps,
        "working_size": list(job.size),
        **({} if job.slice_axis is None else {"slice_axis": job.slice_axis}),
        "num_classes": job.num_classes,
        "quick_check": False,
        "progress": job.progress,
    }
    config, *overlays = job.variant.configs
    fit_by_config({**settings, **job.variant.overrides}, job.folder / LOG, config=config, overlays=overlays)
    fitted = (job.folder / CHECKPOINT).stat().st_mtime  # written between the fit and its use
    return fitted - begin, time.time() - fitted


def _adjust(job: Job, fitted: Path) -> tuple[float, float]:
    """Stretch what was fitted to the common PSNR: another fit per step of the search would take days."""
    earlier = read_release(fitted)
    if earlier is None or job.psnr is None:
        raise ValueError(f"{fitted} holds no finished fit at equal eps; run that first.")
    cases = find_cases(job.dataset, "train")
    protector = load_protector(find_checkpoint(fitted), "cuda" if torch.cuda.is_available() else "cpu")
    reach_psnr(protector, cases, job.psnr, job.num_classes, most=MOST)
    save_protector(job.folder / CHECKPOINT, protector, {"fitted": str(fitted)})
    begin = time.time()
    with (job.folder / LOG).open("w", encoding="utf-8") as log, redirect_stdout(log):
        protect_dataset(cases, protector, job.folder / PROTECTED, num_classes=job.num_classes, progress=job.progress)
    return earlier.fit_seconds, time.time() - begin


def _record(job: Job, fit_seconds: float, apply_seconds: float) -> None:
    manifest = Manifest.load(job.folder / PROTECTED / MANIFEST)
    release = Release(
        bound=job.variant.bound,
        eps=manifest.eps,
        **mean_fidelity(job.folder / PROTECTED),
        fit_seconds=round(fit_seconds, 2),
        apply_seconds=round(apply_seconds, 2),
        peak_mb=round(_peak_mb(), 1),
        cases=len(manifest.cases),
        left_out=len(manifest.quarantined),
        protector=manifest.protector,
        version=source_version(),
    )
    write_json(job.folder / RECORD, asdict(release))


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux counts the memory of whoever started a process into its ru_maxrss.
        fields: dict[str, Any] = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
