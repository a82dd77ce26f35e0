"""An output folder belongs to runs of equal settings and says what differs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_umed.io.run_folder import claim_output


def test_an_output_folder_is_kept_for_runs_of_equal_settings(tmp_path: Path) -> None:
    settings = {"seed": 0, "size": (128, 128), "window": None, "device": torch.device("cpu"), "rate": 1e-3}
    assert claim_output(tmp_path / "a" / "run", settings) == tmp_path / "a" / "run"
    (tmp_path / "a" / "run" / "fit.pt").write_text("half done")
    assert claim_output(tmp_path / "a" / "run", dict(settings)) == tmp_path / "a" / "run"
    assert (tmp_path / "a" / "run" / "fit.pt").read_text() == "half done"


def test_an_output_folder_of_other_settings_is_refused_and_what_differs_is_named(tmp_path: Path) -> None:
    claim_output(tmp_path, {"seed": 0, "eps": 0.01, "size": (128, 128)})
    record = (tmp_path / "settings.json").read_bytes()
    with pytest.raises(ValueError, match=r"\(eps, seed; eps was 0.01, now 0.02\).*another --output_dir"):
        claim_output(tmp_path, {"seed": 1, "eps": 0.02, "size": (128, 128)})
    with pytest.raises(ValueError, match=r"\(amp; amp was None, now True\)"):
        claim_output(tmp_path, {"seed": 0, "eps": 0.01, "size": (128, 128), "amp": True})
    assert (tmp_path / "settings.json").read_bytes() == record
