"""Two processes fit what one process fits: equal batches, equal steps, one checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from socket import socket

import pytest
import torch
from monai.data import DataLoader, Dataset, DistributedSampler
from monai.networks.nets import UNet
from processes import in_parallel
from small_fit import small_items, small_trainer

from monai_umed.fitting.resume import make_resumable
from monai_umed.fitting.umed_trainer import UMedTrainer
from monai_umed.networks import UMedPerturbator
from monai_umed.training.distributed import average_gradients, batch_per_rank, check_ranks, join_ranks, rank, rank_count

BATCH = 2  # of all processes together
TOLERANCE = 1e-3
"""Of any weight: a tenth of one step of Adam, whose learning rate is 0.01 here. Sums over the images of a batch are
added in another order, which Adam may enlarge step by step: to 1e-5 on CPUs with AVX-512, to 3.4e-4 with AVX2 alone."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def surrogate() -> UNet:
    # Without biases: what comes before a normalization does not depend on them, so they drift with rounding errors.
    return UNet(2, 1, 1, channels=(4, 8), strides=(2,), norm="instance", bias=False)


def trainer(max_epochs: int = 6) -> UMedTrainer:
    """As multi_gpu_train.json builds it; with one process as train.json does."""
    device = join_ranks()
    torch.manual_seed(0)
    network = surrogate()
    perturbator = UMedPerturbator(2, 1, features=(4, 8))
    dataset = Dataset(small_items())
    sampler = DistributedSampler(dataset, num_replicas=rank_count(), rank=rank(), seed=3)
    return small_trainer(
        max_epochs,
        train_data_loader=DataLoader(dataset, batch_size=batch_per_rank(BATCH), sampler=sampler),
        network=average_gradients(network, device),
        optimizer=torch.optim.Adam(network.parameters(), 1e-2),
        perturbator=average_gradients(perturbator, device),
        perturbator_optimizer=torch.optim.Adam(perturbator.parameters(), 1e-2),
    )


def fit(folder: Path, max_epochs: int = 6) -> None:
    fitted = trainer(max_epochs)
    make_resumable(fitted, folder / "fit")
    fitted.run()
    states = {
        name: part.state_dict() for name, part in fitted.fit_state().items() if name in ("network", "perturbator")
    }
    torch.save(states, folder / f"rank{rank()}.pt")


def fit_as_rank(number: int, port: int, *arguments: object) -> None:
    torch.set_num_threads(1)
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2", **place}
    fit(*arguments)  # type: ignore[arg-type]


def fit_on_two(*arguments: object) -> None:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    codes = in_parallel(fit_as_rank, [(number, port, *arguments) for number in range(2)])
    assert codes == [0, 0], "see the traceback in the captured output"


def load(folder: Path, number: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    return torch.load(folder / f"rank{number}.pt", weights_only=True)


def assert_close(folder: Path, other: Path, tolerance: float = TOLERANCE) -> None:
    for part, weights in load(folder).items():
        for name, value in weights.items():
            torch.testing.assert_close(value, load(other)[part][name], rtol=0, atol=tolerance, msg=f"{part} {name}")


@pytest.fixture(scope="module")
def on_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    fit(folder)
    return folder


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    fit_on_two(folder)
    return folder


def test_two_processes_learn_what_one_learns_from_equal_batches(on_one: Path, on_two: Path) -> None:
    assert_close(on_two, on_one)


def test_both_processes_end_with_the_very_same_weights_and_one_checkpoint(on_two: Path) -> None:
    for part, weights in load(on_two).items():
        for name, value in weights.items():
            assert torch.equal(value, load(on_two, 1)[part][name]), f"{part} {name}"
    assert [path.name for path in (on_two / "fit").iterdir()] == ["checkpoint_epoch=6.pt"]


def test_a_fit_of_two_processes_that_was_stopped_ends_bit_identical(tmp_path: Path, on_two: Path) -> None:
    fit_on_two(tmp_path, 5)
    fit_on_two(tmp_path)
    assert_close(tmp_path, on_two, tolerance=0)


def test_a_fit_may_go_on_with_another_number_of_processes(tmp_path: Path, on_one: Path) -> None:
    fit(tmp_path, max_epochs=5)
    fit_on_two(tmp_path)
    assert_close(tmp_path, on_one)


def test_one_process_wraps_nothing() -> None:
    network = surrogate()
    assert average_gradients(network, torch.device("cpu")) is network


def test_batch_normalization_over_several_processes_is_refused_on_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"needs graphics cards; use instance normalization"):
        average_gradients(UNet(2, 1, 1, channels=(4, 8), strides=(2,), norm="batch"), torch.device("cpu"))


def test_a_batch_that_cannot_be_divided_is_refused_with_one_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert batch_per_rank(12) == 4
    with pytest.raises(ValueError, match=r"batch_size 16 .* 3 processes; use 18"):
        batch_per_rank(16)


def test_several_processes_without_their_config_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_ranks(1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"2 processes were started.*multi_gpu_train\.json"):
        check_ranks(1)
