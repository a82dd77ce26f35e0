"""Volumes of different sizes go through a whole audit: patches to train on, a sliding window to test."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from protected_folder import small_protector

from monai_umed.data.cases import find_cases
from monai_umed.evaluation.audit.plan import Audit
from monai_umed.evaluation.audit.run import run_audit
from monai_umed.release.protect import protect_dataset


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Eight training and ten test volumes of two classes, of which every third is larger than the window."""
    folder, rng = tmp_path / "clean", np.random.default_rng(0)
    names = [f"volume_{number:02d}" for number in range(18)]
    for number, name in enumerate(names):
        shape = (36, 40, 20) if number % 3 == 0 else (20 + number % 2, 24, 18)
        pixels, mask = rng.integers(0, 200, shape).astype(np.int16), np.zeros(shape, np.uint8)
        mask[4:10, 5:12, 6:12], mask[10:15, 5:12, 6:12] = 1, 2
        for kind, array in (("imagesTr", pixels + 100 * mask), ("labelsTr", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nib.Nifti1Image(array.astype(pixels.dtype), np.diag([1, 1, 2, 1])).to_filename(
                folder / kind / f"{name}.nii.gz"
            )
    (folder / "split.json").write_text(json.dumps({"train": names[:8], "test": names[8:]}))
    return folder


@pytest.mark.parametrize(
    ("slice_axis", "grid", "train_cases"),
    # One patch has more voxels than any of the volumes; of slices four patches if they are larger, and one if not.
    [
        (None, (32, 32, 32), 8),
        (None, (16, 32, 16), 3 * 4 + 5 * 2),
        (2, (32, 32), 3 * 4 * 20 + 5 * 18),
        (1, (48, 32), 3 * 23 + 5 * (7 + 16)),
    ],
    ids=["3D", "3D in smaller patches", "slices", "slices of another axis"],
)
def test_volumes_of_any_size_are_audited(
    volumes: Path, tmp_path: Path, slice_axis: int | None, grid: tuple[int, ...], train_cases: int
) -> None:
    protected = tmp_path / "protected"
    protect_dataset(find_cases(volumes, "train"), small_protector(1, 3), protected, num_classes=3, progress=False)
    audit = Audit(
        str(protected),
        str(volumes),
        test_dir=str(volumes),
        grid=grid,
        exploiters=("unet-batch",),
        defenses=("blur-1.0",),
        num_classes=3,
        recipe={"epochs": 1, "batch_size": 16},
        slice_axis=slice_axis,
    )
    scores = run_audit(audit, tmp_path / "audit", workers=1, progress=False)
    assert scores is not None and {row.defense for row in scores.rows} == {"none", "blur-1.0"}
    assert all(row.protected is not None and row.clean_ceiling is not None for row in scores.rows)
    cell = json.loads((tmp_path / "audit" / "cells" / "unet-batch" / "none" / "protected_0.json").read_text())
    assert cell["train_cases"] == train_cases
    assert len(cell["case_dice"]) == 10
    assert scores.utility.clean_trained_on_clean is not None and scores.utility.psnr is not None
    assert scores.utility.detector_auc is None  # eight cases are too few
