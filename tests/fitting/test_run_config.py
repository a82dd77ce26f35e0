"""The bundle's own configs run without a search through MONAI."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle.config_item import ComponentLocator

import monai_umed as mu


def test_protecting_with_a_checkpoint_does_not_look_through_all_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mu.write_phantom(tmp_path / "data", num_train=2, num_test=1)
    made = mu.protect(data, tmp_path / "out", preset="stamp", progress=False)

    def fail(*_: object) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr(ComponentLocator, "_find_classes_or_functions", fail)
    again = mu.protect(data, tmp_path / "again", checkpoint=made.checkpoint, section="train", progress=False)
    assert again.manifest is not None and len(again.manifest.cases) == 2
