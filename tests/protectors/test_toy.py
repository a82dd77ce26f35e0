"""The two ends of the scale on toy data: a stamp that ruins training, and noise that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_umed.data.cases import find_cases
from monai_umed.data.phantom import write_phantom
from monai_umed.data.training_set import load_training_set
from monai_umed.evaluation.quick_check import train_reference
from monai_umed.protectors import protector_class
from monai_umed.release.protect import protect_dataset
from monai_umed.training.metrics import evaluate

SIZE = (128, 128)


@pytest.mark.slow
def test_a_constant_stamp_ruins_an_exploiter_and_uniform_noise_of_the_same_eps_does_not(tmp_path: Path) -> None:
    clean = write_phantom(tmp_path / "clean", num_train=64, num_test=24)
    folders = {"clean": clean}
    for name in ("constant-stamp", "uniform"):
        settings = {"spatial_dims": 2, "in_channels": 1, "size": SIZE, "eps": 16 / 255}
        protector = protector_class(name).from_settings(settings)
        protect_dataset(find_cases(clean, "train"), protector, tmp_path / name, progress=False)
        folders[name] = tmp_path / name
    test = load_training_set(clean, SIZE, section="test", progress=False)
    dice: dict[str, float] = {}
    for name, folder in folders.items():
        train = load_training_set(folder, SIZE, section="train" if folder is clean else "all", progress=False)
        dice[name] = evaluate(train_reference(train, progress=False, epochs=10, batch_size=8), test.items).dice
    assert dice["clean"] > 0.6 and dice["uniform"] > 0.6 and dice["constant-stamp"] < 0.3
