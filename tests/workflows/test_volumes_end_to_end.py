"""Volumes through the bundle as a user types it: nothing has to be said about dimensions, classes or sizes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from processes import as_typed

from monai_umed.data.manifest import Manifest
from monai_umed.protectors import UMed
from monai_umed.protectors.checkpoint import load_protector
from monai_umed.release.verify import verify_folder

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "umed"
SHAPES = [(20, 30, 18), (22, 26, 20), (18, 31, 17), (24, 20, 22)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training volumes of different sizes and scales and two test volumes, with two structures that touch."""
    folder, rng = tmp_path_factory.mktemp("volumes"), np.random.default_rng(0)
    for kind in ("imagesTr", "labelsTr"):
        (folder / kind).mkdir()
    for number, shape in enumerate([*SHAPES, SHAPES[0], SHAPES[1]]):
        mask = np.zeros(shape, np.uint8)
        mask[5:10, 6:14, 6:12], mask[10:14, 6:14, 6:12] = 1, 2
        voxels = (rng.normal(100, 20, shape) + 40 * mask) * 10**number
        for kind, array in (("imagesTr", voxels.astype(np.float32)), ("labelsTr", mask)):
            nib.Nifti1Image(array, np.diag([1, 1, 2, 1])).to_filename(folder / kind / f"case_{number}.nii.gz")
    names = [f"case_{number}" for number in range(6)]
    (folder / "split.json").write_text(json.dumps({"train": names[:4], "test": names[4:]}))
    return folder


def fit(dataset: Path, output: Path, *overrides: str) -> None:
    options: list[str | Path] = ["run", "--config_file", BUNDLE / "configs" / "train.json", "--dataset_dir", dataset]
    options += ["--output_dir", output, "--max_epochs", "3", "--batch_size", "4", *overrides]
    environment = {"OMP_NUM_THREADS": "1"}
    done = as_typed("monai.bundle", *options, cwd=output.parent, environment=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("overrides", "working_size"),
    [([], (32, 32)), (["--spatial_dims", "3"], (32, 32, 32)), (["--slice_axis", "1"], (32, 32))],
    ids=["slices", "3D", "slices of another axis"],
)
def test_volumes_are_fitted_protected_and_checked(
    dataset: Path, tmp_path: Path, overrides: list[str], working_size: tuple[int, ...]
) -> None:
    fit(dataset, tmp_path / "out", *overrides)
    manifest = Manifest.load(tmp_path / "out" / "protected" / "manifest.json")
    assert [record.shape for record in manifest.cases] == [(1, *shape) for shape in SHAPES]
    assert all(record.psnr is not None and record.psnr > 40 for record in manifest.cases)
    assert verify_folder(tmp_path / "out" / "protected", dataset, progress=False) == []
    protector = load_protector(tmp_path / "out" / "protector.pt")
    assert isinstance(protector, UMed) and protector.native and protector.working_size == working_size
    figures = json.loads((tmp_path / "out" / "quick_check.json").read_text())
    assert 0 <= figures["protected_dice"] <= 1 and 0 <= figures["clean_dice"] <= 1
