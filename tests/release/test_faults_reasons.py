"""Faults of the machine are told from damaged files, and every reason reads the same on every machine."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from fault_folders import NAMES, SHAPE, protect, write_dataset
from protected_folder import noise, square, write_array

from monai_umed.data.case import CaseError
from monai_umed.data.manifest import UNFINISHED
from monai_umed.io.stored import CodecError
from monai_umed.protectors import UMed
from monai_umed.protectors.perturbation import Part
from monai_umed.release.faults import explain, find_fault


def test_equal_errors_read_the_same_wherever_they_happen(tmp_path: Path) -> None:
    """Otherwise two runs that leave out the same case would write different manifests."""
    for error, text in (
        (
            CaseError("a", f"{tmp_path}/a.tif: <BytesIO object at 0x7f65> and Reader(0x7f65); fetch it again"),
            "a.tif: <",
        ),
        (OSError(errno.ENOSPC, "No space left", str(tmp_path / ".0f.tmp")), "No space left; free space"),
        (OSError(errno.EIO, "Input/output error", str(tmp_path / "a.png")), "a.png: Input/output error; check the"),
        (OSError("cannot identify image file"), "cannot identify image file; repair it, and run again"),
    ):
        found = explain(error, tmp_path)
        assert found.startswith(text) and "0x" not in found and str(tmp_path) not in found


def test_only_what_no_content_can_cause_is_a_fault_of_the_machine() -> None:
    damaged = CodecError("a.png", "cannot be read", "fetch it again")
    for cause, expected in (
        (PermissionError(errno.EACCES, "Permission denied"), True),
        (OSError(errno.EINVAL, "Invalid argument"), False),  # an offset in a damaged file
        (OSError("truncated"), False),
        (MemoryError(), False),  # a damaged size
    ):
        damaged.__cause__ = cause
        assert (find_fault(damaged) is not None) is expected
    assert find_fault(MemoryError()) is not None


@pytest.mark.parametrize("error", [MemoryError("1 TiB"), torch.cuda.OutOfMemoryError("CUDA out of memory")], ids=str)
def test_a_case_that_does_not_fit_into_memory_is_left_out(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write_dataset(tmp_path / "dataset")
    write_array(dataset / "images" / "big.bmp", noise((100, 100)).astype(np.uint8))
    write_array(dataset / "masks" / "big.png", square((100, 100)))
    generate = UMed.noises

    def allocate(self: UMed, parts: Sequence[Part]) -> list[torch.Tensor]:
        if max(parts[0].image.shape) > max(SHAPE):
            raise error
        return generate(self, parts)

    monkeypatch.setattr(UMed, "noises", allocate)
    manifest = protect(dataset, tmp_path / "out")
    [left_out] = manifest.quarantined
    assert left_out.id == "big" and left_out.reason.startswith("not enough memory; lower the number of workers")
    assert [record.id for record in manifest.cases] == [*NAMES] and (tmp_path / "out" / UNFINISHED).exists()
