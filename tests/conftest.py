"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_umed.data.phantom import write_phantom


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The tensors of tests are too small to share among threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom of eight training and four test cases; read only."""
    return write_phantom(tmp_path_factory.mktemp("data") / "tiny", num_train=8, num_test=4)
