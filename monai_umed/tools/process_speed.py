"""Measure whole processes: commands that start, one against two that protect, and the memory of a large volume."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median

import nibabel as nib
import numpy as np

from ..io.bundle_folder import bundle_root
from .file_speed import some_cases
from .timing import Row, Wanted, alternate, at_most, speed_up, time_share

LONGEST_START = 1.0
"""CPU time that a command may take before it begins, in seconds."""
CT_SHAPE = (512, 512, 300)
CT_WINDOW = (-160.0, 240.0)
CT_SECONDS, CT_GIB = 15.0, 1.5
LEAST_SPEED_UP = 1.85

# Prints seconds of the processor and the peak of memory in GiB, of all that the process ever had.
_PROTECT = """
from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed
from monai_umed.release.protect import protect_dataset
protector = UMed(UMedPerturbator(3, 1), (96, 96, 96), native=True)  # weights are no matter of speed
protect_dataset(mu.find_cases(folder), protector, out, intensity_window=window, num_workers=1, progress=False)
"""
_COPY = """
from pathlib import Path
from monai_umed.data.codec import read_image, write_image
[case] = mu.find_cases(folder)
Path(out).mkdir()
stored = read_image(case.image, window)
write_image(Path(out) / case.image.name, stored.array, stored)
"""
_MEASURED = """
import resource, sys, time
import torch
import monai_umed as mu
folder, out, window = sys.argv[1], sys.argv[2], ({low}, {high})
begin = time.process_time()
{code}
print(time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def write_ct(folder: Path, shape: tuple[int, ...] = CT_SHAPE) -> None:
    """Write a noisy CT of a body and the mask of an organ in it, as large as a liver: 1.5 liters at full size."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*[np.linspace(-1, 1, side, dtype=np.float32) for side in shape], indexing="ij", sparse=True)
    body = np.broadcast_to((axes[0] / 0.8) ** 2 + (axes[1] / 0.6) ** 2 < 1, shape)
    organ = ((axes[0] - 0.3) / 0.42) ** 2 + (axes[1] / 0.33) ** 2 + (axes[2] / 0.42) ** 2 < 1
    scan = np.where(body, np.int16(40), np.int16(-1000)) + np.where(organ, np.int16(50), np.int16(0))
    scan += rng.integers(-30, 31, shape, dtype=np.int16)
    for name, array in (("images", scan), ("masks", organ.astype(np.uint8))):
        (folder / name).mkdir(parents=True)
        nib.Nifti1Image(array, np.diag([0.8, 0.8, 1.0, 1.0])).to_filename(folder / name / "ct.nii.gz")


def compare_large_volume(wanted: Wanted, shape: tuple[int, ...] = CT_SHAPE) -> list[Row]:
    """Protect a CT in a process of its own, and read and write it in another one, in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), count()
        write_ct(folder / "data", shape)

        def measure(code: str) -> tuple[float, float]:
            program = _MEASURED.format(low=CT_WINDOW[0], high=CT_WINDOW[1], code=code)
            command = [sys.executable, "-c", program, str(folder / "data"), str(folder / f"out{next(numbers)}")]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            return float(printed[-2]), float(printed[-1])

        pairs = [(measure(_PROTECT), measure(_COPY)) for _ in range(min(wanted.repeats, 3))]
    (ours, our_peak), (other, other_peak) = (np.median(side, axis=0).tolist() for side in zip(*pairs, strict=True))
    what = f"CT {' x '.join(map(str, shape))}, an organ"
    memory = Row(f"{what}, peak memory", "read and write only", our_peak, other_peak, "GiB", our_peak / other_peak)
    return [at_most(time_share(what, "read and write only", ours, other), 1e3 * CT_SECONDS), at_most(memory, CT_GIB)]


def compare_processes(wanted: Wanted) -> list[Row]:
    """Protect images with two processes and with one, a thread each, from the first file to the manifest."""
    dataset, checkpoint = wanted.images
    if dataset is None or checkpoint is None:
        return []
    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), count()
        data = some_cases(dataset, wanted.cases, folder / "data")

        def protect(processes: int) -> float:
            out = folder / f"out{next(numbers)}"
            start = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
            config = ["-m", "monai.bundle", "run", "--config_file", f"{bundle_root()}/configs/inference.json"]
            names = {"dataset_dir": data, "output_dir": out, "checkpoint": checkpoint, "section": "train"}
            options = [text for name, value in names.items() for text in (f"--{name}", str(value))]
            # A process alone would take two threads, so that it would be compared with itself.
            options += ["--progress", "False", *(["--num_workers", "1"] if processes == 1 else [])]
            command = [sys.executable, *start, *config, *options]
            subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            manifest = out / "manifest.json"
            written = [path.stat().st_mtime for path in manifest.parent.rglob("*") if path.is_file()]
            return manifest.stat().st_mtime - min(written)

        pairs = [(protect(2), protect(1)) for _ in range(min(wanted.repeats, 3))]
    two, one = (median(column) for column in zip(*pairs, strict=True))
    return [speed_up("protect with two processes", "one process", two, one, least=LEAST_SPEED_UP)]


def compare_start(wanted: Wanted) -> list[Row]:
    """Compare the CPU time that commands take to start with that of Python alone."""
    with tempfile.TemporaryDirectory() as name:
        commands = {
            "import monai_umed": ["-c", "import monai_umed"],
            "monai-umed --help": ["-m", "monai_umed.cli", "--help"],
            "monai-umed list": ["-m", "monai_umed.cli", "list"],
            "monai-umed new-key": ["-m", "monai_umed.cli", "new-key", f"{name}/missing/owner.key"],
            "monai-umed verify, refused": ["-m", "monai_umed.cli", "verify", f"{name}/missing"],
            "monai-umed protect, refused": ["-m", "monai_umed.cli", "protect", f"{name}/missing", f"{name}/out"],
        }
        functions = [_run(["-c", "pass"]), *(_run(arguments) for arguments in commands.values())]
        alone, *times = alternate(functions, wanted.repeats, least=0, clock=_children)
    rows = [time_share(what, "python alone", time, alone) for what, time in zip(commands, times, strict=True)]
    return [at_most(row, 1e3 * LONGEST_START) for row in rows]


def _run(arguments: list[str]) -> Callable[[], object]:
    # Refusals are what is measured, so an exit status does not matter.
    return lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=False)


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system
