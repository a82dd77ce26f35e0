"""The commands of docs/how-to/clusters.md: torchrun with the bundle's configs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image
from protected_folder import small_protector, tree

from monai_umed.data.manifest import MANIFEST, Manifest
from monai_umed.io.bundle_folder import bundle_root
from monai_umed.protectors.checkpoint import save_protector

CONFIGS = Path(bundle_root("umed")) / "configs"
TRAIN, OVERLAY = str(CONFIGS / "train.json"), str(CONFIGS / "multi_gpu_train.json")
SMALL = {
    "working_size": [32, 32],
    "batch_size": 4,
    "max_epochs": 3,
    "amp": False,
    "quick_check": False,
    "network_def#features": [4, 8],
    "surrogate#channels": [4, 8],
    "surrogate#strides": [2],
    "generator_learning_rate": 0.001,
}


def run_module(ranks: int, module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    launcher = [] if ranks == 1 else ["torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", "-m"]
    command = [sys.executable, "-m", *launcher, module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def run_bundle(ranks: int, files: list[str], overrides: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    options = [word for name, value in overrides.items() for word in (f"--{name}", value)]
    return run_module(ranks, "monai.bundle", "run", "--config_file", files, *options)


def test_the_overlay_changes_only_what_train_json_has() -> None:
    train, overlay = (json.loads(Path(file).read_text()) for file in (TRAIN, OVERLAY))
    own = {"is_not_rank0"}  # of the settings that --tracking adds
    for name in overlay.keys() - own:
        node = train
        for part in name.removeprefix("+").split("#"):
            node = node[part]


def test_with_one_process_the_overlay_builds_what_train_json_builds(tiny_phantom: Path, tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config([TRAIN, OVERLAY])
    parser.update({**SMALL, "dataset_dir": str(tiny_phantom), "output_dir": str(tmp_path), "progress": False})
    trainer = parser.get_parsed_content("train#trainer")
    assert trainer.network is parser.get_parsed_content("surrogate")
    assert trainer.perturbator is parser.get_parsed_content("network_def")
    assert trainer.data_loader.batch_size == 4


@pytest.mark.slow
def test_two_processes_fit_and_protect_as_one_does(tiny_phantom: Path, tmp_path: Path) -> None:
    for ranks, files in ((1, [TRAIN]), (2, [TRAIN, OVERLAY])):
        places = {"dataset_dir": tiny_phantom, "output_dir": tmp_path / str(ranks)}
        done = run_bundle(ranks, files, {**SMALL, **places})
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Protected 8 cases") == 1  # one of them talks
    one, two = (torch.load(tmp_path / name / "protector.pt", weights_only=True)["model"] for name in "12")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)
    for path in sorted((tmp_path / "1" / "protected" / "images").iterdir()):
        pixels = [np.asarray(Image.open(tmp_path / name / "protected" / "images" / path.name)) for name in "12"]
        assert np.abs(pixels[0].astype(int) - pixels[1]).max() <= 1
    assert [path.name for path in (tmp_path / "2" / "fit").iterdir()] == ["checkpoint_epoch=3.pt"]


@pytest.mark.slow
def test_two_processes_without_the_overlay_are_refused(tiny_phantom: Path, tmp_path: Path) -> None:
    places = {"dataset_dir": tiny_phantom, "output_dir": tmp_path / "out"}
    done = run_bundle(2, [TRAIN], {**SMALL, **places})
    assert done.returncode and "merge the bundle's multi_gpu_train.json" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_protects_with_two_processes_what_it_protects_with_one(tiny_phantom: Path, tmp_path: Path) -> None:
    checkpoint = save_protector(tmp_path / "protector.pt", small_protector())
    for ranks in (1, 2):
        arguments = ["protect", tiny_phantom, tmp_path / str(ranks), "--checkpoint", checkpoint, "--no-progress"]
        done = run_module(ranks, "monai_umed.cli", *arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Verified 12 cases") == 1
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    assert len(Manifest.load(tmp_path / "2" / "protected" / MANIFEST).cases) == 12
