"""What arrives of a pattern on another grid: all on its own, less on coarser ones, and clear refusals."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from protected_folder import square, write_array

from monai_umed.tools.arrival import main


def write_board(folder: Path, amplitude: int) -> Path:
    """Four images of 256 pixels a side with squares of 4 pixels."""
    rows = np.arange(256) // 4 % 2 * 2 - 1
    board, ramp = amplitude * np.outer(rows, rows), 64 + np.arange(256) // 2
    for index in range(4):
        label = square((256, 256))
        write_array(folder / "images" / f"{index}.png", (ramp + board * (label > 0)).astype(np.uint8))
        write_array(folder / "masks" / f"{index}.png", label)
    return folder


def test_a_board_of_two_pixels_on_the_grid_arrives_there_and_less_on_a_coarser_one(tmp_path: Path) -> None:
    original, protected = write_board(tmp_path / "a", 0), write_board(tmp_path / "b", 6)
    out = tmp_path / "out.csv"
    main(["--original", str(original), "--protected", str(protected), "--output", str(out)])
    rows = {(row["resizer"], int(row["grid"])): float(row["arrives"]) for row in csv.DictReader(out.open())}
    assert rows["area", 128] == pytest.approx(6, abs=0.05) and rows["area", 256] == pytest.approx(6, abs=0.05)
    assert rows["area", 96] < 5 and rows["antialias", 96] < rows["area", 96]


def test_folders_without_a_common_case_are_refused(tmp_path: Path) -> None:
    original = write_board(tmp_path / "a", 0)
    write_array(tmp_path / "b" / "images" / "other.png", square((256, 256)) + 1)
    write_array(tmp_path / "b" / "masks" / "other.png", square((256, 256)))
    arguments = ["--original", str(original), "--protected", str(tmp_path / "b"), "--output", str(tmp_path / "o.csv")]
    with pytest.raises(SystemExit, match="holds no image of the original dataset"):
        main(arguments)
