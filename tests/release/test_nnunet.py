"""nnU-Net v2 reads a release without a word of ours: its own check of a dataset passes, as on the original."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from channel_datasets import SCALES, write_nnunet, write_nnunet_pictures
from protected_folder import small_protector

from monai_umed.data.cases import find_cases
from monai_umed.release.protect import protect_dataset

nnunet: Any = pytest.importorskip(
    "nnunetv2.experiment_planning.verify_dataset_integrity",
    reason="nnU-Net lives in an environment of its own, see .ci/nnunet",
)


@pytest.mark.parametrize(
    ("write", "channels", "dims"),
    [
        (lambda root: write_nnunet(root, 3, SCALES[:1]), 1, 3),
        (lambda root: write_nnunet(root, 3, SCALES[:3]), 3, 3),
        (lambda root: write_nnunet_pictures(root, 3, 1), 1, 2),
        (lambda root: write_nnunet_pictures(root, 3, 2), 2, 2),
    ],
    ids=["volumes", "volumes of three channels", "pictures", "pictures of two channels"],
)
def test_nnunet_finds_nothing_wrong_with_a_release(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    write: Callable[[Path], None],
    channels: int,
    dims: int,
) -> None:

    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    cases = find_cases(tmp_path / "data")
    protect_dataset(cases, small_protector(channels, dims), tmp_path / "out", progress=False)
    for folder in ("data", "out"):
        nnunet.verify_dataset_integrity(str(tmp_path / folder), 1)
        said = capfd.readouterr().out
        assert "Done" in said and "Warning" not in said and "Error" not in said
