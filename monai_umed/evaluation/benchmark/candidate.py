"""Fit one protector and protect one dataset with it, in a process of its own, and note what that cost."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from contextlib import redirect_stdout
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path

import torch

from ...data.cases import find_cases
from ...data.manifest import MANIFEST, Manifest
from ...fitting.target_psnr import reach_psnr
from ...io.atomic import write_json
from ...io.provenance import source_version
from ...protectors.checkpoint import CHECKPOINT, find_checkpoint, load_protector, save_protector
from ...release.protect import protect_dataset
from ..bundle_fit import fit_by_config
from ..results import read_kept
from ..workers import attempt_alone
from .variants import ProtectorSpec

RECORD, LOG = "release.json", "log.txt"

EQUAL_EPS = "eps"
"""Budget of protectors that have the same limit; the others are named by their PSNR, such as ``"45 dB"``."""

MOST = 4.0
"""Largest multiple of the common eps that a protector may get to reach a common PSNR."""


def budget_name(psnr: float | None) -> str:
    """Name of equal eps (None) or of an equal PSNR in dB."""
    return EQUAL_EPS if psnr is None else f"{psnr:g} dB"


@dataclass(frozen=True)
class Record:
    """What protecting has led to.

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


@dataclass(frozen=True)
class Candidate:
    """One protector on one dataset, at equal eps or at equal PSNR.

    Attributes:
        dataset: folder.
        spec: which protector.
        folder: where everything goes.
        eps: its limit.
        grid: working grid.
        num_classes: classes of the masks.
        slice_axis: across which it takes volumes slice by slice; None for images.
        psnr: None to fit at ``eps``; else the mean PSNR to reach with what ``fitted`` holds.
        fitted: folder of the finished candidate at equal eps.
        progress: whether to show progress bars.
    """

    dataset: str
    spec: ProtectorSpec
    _: KW_ONLY
    folder: Path
    eps: float
    grid: tuple[int, ...]
    num_classes: int
    slice_axis: int | None = None
    psnr: float | None = None
    fitted: Path | None = None
    progress: bool = True

    @property
    def budget(self) -> str:
        """What all protectors of a table have in common."""
        return budget_name(self.psnr)

    @property
    def protected(self) -> Path:
        """The protected files."""
        return self.folder / "protected"

    @property
    def trainings(self) -> Path:
        """Folder of the trainings on them."""
        return self.folder / "trainings"

    def record(self) -> Record | None:
        """What protecting has led to; None if it is not finished."""
        return read_record(self.folder)


def read_record(folder: Path) -> Record | None:
    """The record of a finished candidate; None if there is none."""
    return read_kept(folder / RECORD, lambda kept: Record(**kept))


def make_candidate(candidate: Candidate) -> str | None:
    """Fit and protect in a new process, from the start: what an interruption left would spoil its times.

    Returns:
        The reason if it failed.
    """
    shutil.rmtree(candidate.folder, ignore_errors=True)
    candidate.folder.mkdir(parents=True)
    return attempt_alone(_make, candidate)


def _make(candidate: Candidate) -> None:
    make = _fit if candidate.fitted is None else _adjust
    fit_seconds, apply_seconds = make(candidate)
    manifest = Manifest.load(candidate.protected / MANIFEST)
    record = Record(
        bound=candidate.spec.bound,
        eps=manifest.eps,
        **manifest.mean_fidelity(),
        fit_seconds=round(fit_seconds, 2),
        apply_seconds=round(apply_seconds, 2),
        peak_mb=round(_peak_mb(), 1),
        cases=len(manifest.cases),
        left_out=len(manifest.quarantined),
        protector=manifest.protector,
        version=source_version(),
    )
    write_json(candidate.folder / RECORD, asdict(record))


def _fit(candidate: Candidate) -> tuple[float, float]:
    begin = time.time()
    settings = {
        "dataset_dir": candidate.dataset,
        "output_dir": str(candidate.folder),
        "eps": candidate.eps,
        "working_size": list(candidate.grid),
        "slice_axis": candidate.slice_axis,
        "num_classes": candidate.num_classes,
        "quick_check": False,
        "progress": candidate.progress,
        **candidate.spec.overrides,
    }
    config, *overlays = candidate.spec.configs
    fit_by_config(settings, candidate.folder / LOG, config=config, overlays=overlays)
    fitted = (candidate.folder / CHECKPOINT).stat().st_mtime  # written between the fit and its use
    return fitted - begin, time.time() - fitted


def _adjust(candidate: Candidate) -> tuple[float, float]:
    """Stretch what was fitted to the common PSNR: another fit per step of the search would take days."""
    fitted, classes = candidate.fitted, candidate.num_classes
    earlier = None if fitted is None else read_record(fitted)
    if fitted is None or earlier is None or candidate.psnr is None:
        raise ValueError(f"{fitted} holds no finished fit at equal eps; run that first.")
    with (candidate.folder / LOG).open("w", encoding="utf-8") as log, redirect_stdout(log):
        cases = find_cases(candidate.dataset, "train")
        protector = load_protector(find_checkpoint(fitted), "cuda" if torch.cuda.is_available() else "cpu")
        reach_psnr(protector, cases, candidate.psnr, num_classes=classes, most=MOST)
        save_protector(candidate.folder / CHECKPOINT, protector, {"fitted": str(fitted)})
        begin = time.time()
        protect_dataset(cases, protector, candidate.protected, num_classes=classes, progress=candidate.progress)
    return earlier.fit_seconds, time.time() - begin


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux counts the memory of whoever started a process into its ru_maxrss.
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
