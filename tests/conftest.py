"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from protected_folder import small_protector

from monai_umed.data.cases import find_cases
from monai_umed.data.phantom import write_phantom
from monai_umed.evaluation.audit.plan import Audit
from monai_umed.io.user_cache import VARIABLE
from monai_umed.release.protect import protect_dataset

# Trainings that other tests or the user have done say nothing about this one; tests of the cache name a folder.
os.environ[VARIABLE] = ""

# Files that take longest; processes that begin with them do not wait for each other at the end.
LONG = ("test_end_to_end.py", "test_volumes_end_to_end.py", "test_controls.py", "test_endings.py", "test_contract.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The tensors of tests are too small to share among threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom of eight training and four test cases; read only."""
    return write_phantom(tmp_path_factory.mktemp("data") / "tiny", num_train=8, num_test=4)


@pytest.fixture(scope="session")
def clean_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and ten test cases; read only."""
    return write_phantom(tmp_path_factory.mktemp("audit") / "clean", num_train=12, num_test=10)


@pytest.fixture(scope="session")
def protected_dir(clean_dir: Path) -> Path:
    """The training cases, perturbed by random generators; read only."""
    folder = clean_dir.parent / "protected"
    protect_dataset(find_cases(clean_dir, "train"), small_protector(), folder, progress=False)
    return folder


@pytest.fixture
def small_audit(clean_dir: Path, protected_dir: Path) -> Audit:
    """One network, two defenses, one seed, one epoch."""
    return Audit(
        str(protected_dir),
        str(clean_dir),
        test_dir=str(clean_dir),
        grid=(32, 32),
        exploiters=("unet-batch",),
        defenses=("blur-1.0",),
        seeds=(0,),
        recipe={"epochs": 1, "batch_size": 4, "amp": False},
    )
