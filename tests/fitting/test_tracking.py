"""What a tracked fit leaves in MLflow's local store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow
from monai.utils import set_determinism
from PIL import Image

from monai_umed.data.cases import find_cases
from monai_umed.fitting.tracking import prepare_tracking, track_results
from monai_umed.io.bundle_folder import bundle_root

CONFIG = f"{bundle_root('umed')}/configs/train.json"


@pytest.fixture
def run(tiny_phantom: Path, tmp_path: Path) -> Iterator[Any]:
    """The only run of a small fit with ``--tracking mlflow``, as MLflow's own client reads it."""
    mlflow = pytest.importorskip("mlflow")
    settings: dict[str, Any] = {
        "dataset_dir": str(tiny_phantom),
        "output_dir": str(tmp_path / "out"),
        "working_size": [32, 32],
        "network_def#features": [4, 8],
        "surrogate#channels": [4, 8],
        "surrogate#strides": [2],
        "max_epochs": 3,
        "amp": False,
        "progress": False,
        "quick_check": False,
    }
    workflow = ConfigWorkflow(CONFIG, workflow_type="train", logging_file=False, tracking="mlflow", **settings)
    workflow.initialize()
    workflow.run()
    set_determinism(None)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'out' / 'mlruns.db'}")
    [found] = client.search_runs([client.get_experiment_by_name("monai_umed").experiment_id])
    return SimpleNamespace(client=client, id=found.info.run_id, info=found.info, data=found.data, out=tmp_path / "out")


def test_a_tracked_fit_logs_settings_losses_figures_files_and_pictures(run: Any, tiny_phantom: Path) -> None:
    assert run.info.status == "FINISHED"
    settings = json.loads((run.out / "settings.json").read_text())
    assert settings.keys() <= run.data.params.keys() and run.data.params["dataset_dir"] == str(tiny_phantom)
    assert len(run.client.get_metric_history(run.id, "train_loss")) == 3  # one batch per epoch
    assert run.data.metrics["psnr"] > 30 and 0.9 < run.data.metrics["ssim"] <= 1
    files = {file.path for file in run.client.list_artifacts(run.id)}
    assert {"settings.json", "manifest.json", "pictures"} <= files
    assert any(file.startswith("config_") for file in files)
    assert not any("perturbator" in file or "checkpoint" in file for file in files)  # secret
    pictures = run.client.list_artifacts(run.id, "pictures")
    assert len(pictures) == 3
    case = next(case for case in find_cases(tiny_phantom) if case.id == Path(pictures[0].path).stem)
    with Image.open(run.client.download_artifacts(run.id, pictures[0].path)) as picture, Image.open(case.image) as file:
        assert picture.size == (3 * file.width, file.height)
        assert np.array_equal(np.asarray(picture)[:, : file.width], np.asarray(file))


@dataclass
class Settings:
    seed: int


def test_without_an_mlflow_handler_nothing_is_tracked(tmp_path: Path) -> None:
    handlers = [object()]
    prepare_tracking(handlers, Settings(0))
    track_results(handlers, tmp_path / "nothing", dataset_dir=tmp_path / "nowhere")
    assert not any(tmp_path.iterdir())
