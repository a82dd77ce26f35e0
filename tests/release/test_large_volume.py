"""A CT of 512 x 512 x 300 voxels is protected within 4 GiB of memory, and files take little of the time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SHAPE = (512, 512, 300)
LIMIT_GIB = 4

# In a process of its own: the peak of this one is that of all tests before.
PROTECT = """
import resource, sys, time
import torch
from monai_umed.data.cases import find_cases
from monai_umed.data.codec import write_image
from monai_umed.data.loading import load_case
from monai_umed.networks.generators import UMedPerturbator
from monai_umed.release.protect import protect_dataset
from monai_umed.protectors.umed import UMed

folder, output, window = sys.argv[1], sys.argv[2], (-160.0, 240.0)
protector = UMed(UMedPerturbator(3, 1), (96, 96, 96), native=True)
begin = time.monotonic()
manifest = protect_dataset(find_cases(folder), protector, output, intensity_window=window, progress=False)
total = time.monotonic() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
begin = time.monotonic()
loaded = load_case(find_cases(folder)[0], 2, window)
write_image(output + "/again.nii.gz", loaded.stored.array, loaded.stored)
files = time.monotonic() - begin
print(peak, total, files / total, manifest.cases[0].max_abs_delta, manifest.cases[0].perturbed_fraction)
"""


@pytest.mark.slow
def test_a_large_ct_is_protected_within_four_gib(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*[np.linspace(-1, 1, side, dtype=np.float32) for side in SHAPE], indexing="ij", sparse=True)
    body = np.broadcast_to((axes[0] / 0.8) ** 2 + (axes[1] / 0.6) ** 2 < 1, SHAPE)  # the largest structure there is
    scan = np.where(body, np.int16(40), np.int16(-1000)) + rng.integers(-30, 31, SHAPE, dtype=np.int16)
    for kind, array in (("images", scan), ("masks", body.astype(np.uint8))):
        (tmp_path / "before" / kind).mkdir(parents=True)
        volume = nib.Nifti1Image(np.ascontiguousarray(array), np.diag([0.8, 0.8, 1.0, 1.0]))
        volume.to_filename(tmp_path / "before" / kind / "ct.nii.gz")
    arguments = [sys.executable, "-c", PROTECT, str(tmp_path / "before"), str(tmp_path / "after")]
    printed = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    peak, seconds, share, change, fraction = map(float, printed.split())
    print(f"peak {peak:.2f} GiB, {seconds:.0f} s, reading and writing {share:.0%} of it")
    assert peak < LIMIT_GIB
    assert 0 < change <= np.floor(4 / 255 * 400 + 1e-3) and fraction > 0.3
