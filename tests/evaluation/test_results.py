"""Files of finished trainings keep their form: those of earlier versions are read, and new ones have the same keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_umed.evaluation.benchmark.candidate import RECORD, Record, read_record
from monai_umed.evaluation.plan import Cell
from monai_umed.evaluation.results import CellResult, cell_file, read_cell
from monai_umed.training.metrics import Scores

SCORES: dict[str, Any] = {
    "dice": 0.195,
    "jaccard": 0.108,
    "dice_per_image": 0.187,
    "jaccard_per_image": 0.105,
    "cases": 10,
}
TRAINED: dict[str, Any] = {
    "cell": {"exploiter": "unet-batch", "defense": "none", "data": "protected", "seed": 0},
    "train_cases": 12,
    "losses": [1.7255325317382812, 1.6062164306640625],
    "version": "0.1.0+g1a2b3c4",
    "scores": SCORES,
    "case_dice": {"phantom_0012": 0.136986, "phantom_0013": 0.276543},
    "seconds": 4.2,
    "averaged_epochs": 2,
}
HALF = {
    "cell": {"exploiter": "unet-batch", "defense": "none", "data": "clean-half", "seed": 0},
    "train_cases": 6,
    "losses": [1.5],
    "version": "0.1.0",
    "scores": SCORES,
    "scores_on_protected": SCORES,
    "seconds": 1.0,
    "averaged_epochs": 1,
}
RELEASE: dict[str, Any] = {
    "bound": "full",
    "eps": 4 / 255,
    "psnr": 40.7,
    "ssim": None,
    "fit_seconds": 1.5,
    "apply_seconds": 0.2,
    "peak_mb": 512.0,
    "cases": 8,
    "left_out": 0,
    "protector": "UniformNoise()",
    "version": "0.1.0",
}


@pytest.mark.parametrize("kept", [TRAINED, HALF], ids=["whole", "half"])
def test_a_result_on_disk_is_read_and_written_again_as_it_was(kept: dict[str, Any], tmp_path: Path) -> None:
    cell = Cell(**kept["cell"])
    path = cell_file(tmp_path, cell)
    path.parent.mkdir(parents=True)
    text = json.dumps(kept, indent=1) + "\n"
    path.write_text(text)
    result = read_cell(tmp_path, cell)
    assert result is not None and result.cell == cell and result.scores == Scores(**SCORES)
    path.unlink()
    result.write(path)
    assert path.read_text() == text


def test_trainings_older_than_a_field_are_read() -> None:
    old = {name: value for name, value in TRAINED.items() if name not in ("version", "averaged_epochs")}
    result = CellResult.parse(old)
    assert result.version is None and result.averaged_epochs == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"scores": {}}', json.dumps(TRAINED | {"scores": SCORES | {"dice": -1}})])
def test_a_damaged_result_is_kept_aside_and_counts_as_none(text: str, tmp_path: Path) -> None:
    cell = Cell("unet-batch", "none", "protected", 0)
    path = cell_file(tmp_path, cell)
    path.parent.mkdir(parents=True)
    for number in (1, 2):
        path.write_text(text)
        assert read_cell(tmp_path, cell) is None and not path.exists()
        assert path.with_suffix(f".damaged-{number}").read_text() == text


def test_the_record_of_a_protector_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(json.dumps(RELEASE))
    assert read_record(tmp_path) == Record(**RELEASE)
