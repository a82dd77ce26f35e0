"""Workers of a Dask cluster protect one dataset: the bytes of one process, also if one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from itertools import count
from logging import CRITICAL
from pathlib import Path
from socket import socket
from threading import Event
from typing import Any

import numpy as np
import pytest
from fault_folders import protect, write_dataset
from protected_folder import noise, small_protector, square, tree, write_array
from typer.testing import CliRunner

from monai_umed import cli
from monai_umed.data.case import Case, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import UNFINISHED, CaseRecord, Manifest
from monai_umed.protectors.checkpoint import save_protector
from monai_umed.release import protect as engine
from monai_umed.release import protect_on_dask as module
from monai_umed.release.protect_on_dask import ClusterError
from monai_umed.release.protect_together import protect_together
from monai_umed.training.shard import Shard

distributed = pytest.importorskip("distributed", reason="the extra `dask`")


def start(workers: int, *, processes: bool) -> Any:
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=processes,
        protocol="tcp://",
        dashboard_address=":0",
        host="127.0.0.1",
        silence_logs=CRITICAL,
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers in this process, which saves each of them ten seconds of imports."""
    with start(2, processes=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that take a moment each, and one that cannot be read."""
    folder = write_dataset(tmp_path_factory.mktemp("data") / "dataset", "z")
    (folder / "masks" / "z.png").write_bytes(b"damaged")
    for number in range(40):
        write_array(folder / "images" / f"{number}.png", noise((320, 320), seed=number).astype(np.uint8))
        write_array(folder / "masks" / f"{number}.png", square((320, 320)))
    return folder


@pytest.fixture(scope="module")
def whole(dataset: Path) -> dict[str, str]:
    """What one process writes."""
    protect(dataset, dataset.parent / "whole")
    return tree(dataset.parent / "whole")


def on_dask(dataset: Path, out: Path, address: str) -> Manifest | None:
    return protect_together(find_cases(dataset), small_protector(), out, progress=False, dask=address)


def kill_one_at_work(out: Path, ended: Event) -> int | None:
    """Kill the worker that has a shard in hand, once a case is finished; None if the run ended before."""
    while not ended.wait(0.001):
        signed = list((out / UNFINISHED).glob("lock-*-of-*.json"))
        if signed and any(len(path.stem) == 64 for path in (out / UNFINISHED).glob("*.json")):
            process = json.loads(signed[0].read_bytes())["process"]
            os.kill(process, signal.SIGKILL)
            return process
    return None


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_bytes_are_those_of_one_process(
    dataset: Path, tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[str] = []
    one = engine.protect_case

    def protect_case(case: Case, *arguments: Any, **named: Any) -> CaseRecord:
        here.append(case.id)
        return one(case, *arguments, **named)

    monkeypatch.setattr(engine, "protect_case", protect_case)
    ended = Event()
    with start(2, processes=True) as cluster, ThreadPoolExecutor() as threads:
        before = {nanny.pid for nanny in cluster.workers.values()}
        killed = threads.submit(kill_one_at_work, tmp_path / "out", ended)
        try:
            manifest = on_dask(dataset, tmp_path / "out", cluster.scheduler_address)
        finally:
            ended.set()
    assert killed.result() in before
    assert manifest is not None and [entry.id for entry in manifest.quarantined] == ["z"]
    assert here == ["z"]  # tried once more by who writes the manifest; the workers did all others
    assert tree(tmp_path / "out") == whole


def test_the_command_takes_an_address_and_relative_paths(
    cluster: Any, dataset: Path, tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = save_protector(tmp_path / "protector.pt", small_protector())
    monkeypatch.chdir(dataset.parent)
    out = os.path.relpath(tmp_path / "out")
    command = ["protect", "dataset", out, "--checkpoint", str(checkpoint), "--no-progress"]
    done = CliRunner().invoke(cli.app, [*command, "--dask", cluster.scheduler_address])
    assert done.exit_code == 1 and "1 cases could not be protected" in done.output, done.output  # the damaged one
    images = {name: sha256 for name, sha256 in whole.items() if name.startswith("images/")}
    assert images.items() <= tree(tmp_path / "out" / "protected").items()


def test_workers_of_another_version_are_refused(
    cluster: Any, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = count()
    monkeypatch.setattr("monai_umed.release.run_digest._program", lambda: str(next(versions)))
    with pytest.raises(ClusterError, match=r"2 of 2 workers cannot help.*other bytes.*install the same monai_umed"):
        on_dask(dataset, tmp_path / "out", cluster.scheduler_address)
    assert not tree(tmp_path / "out")


def test_workers_that_do_not_see_the_folders_are_refused(
    cluster: Any, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", lambda *_: None)  # as if it were on a disk of this machine alone
        with pytest.raises(ClusterError, match=f"does not see {tmp_path / 'out'} as it is here; mount that folder"):
            on_dask(dataset, tmp_path / "out", cluster.scheduler_address)
    cases = find_cases(dataset)
    missing = [module.replace(cases[0], image=tmp_path / "elsewhere" / "a.png"), *cases[1:]]
    with pytest.raises(ClusterError, match=f"does not see {tmp_path / 'elsewhere'} as"):
        protect_together(missing, small_protector(), tmp_path / "out", progress=False, dask=cluster.scheduler_address)
    assert not tree(tmp_path / "out")


def test_what_keeps_a_whole_shard_from_being_protected_is_told_once(
    cluster: Any, dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / UNFINISHED).mkdir()
    (tmp_path / "out" / UNFINISHED / "lock").mkdir()  # so no lock can be taken
    with pytest.raises(DatasetError, match="1 problem") as caught:
        on_dask(dataset, tmp_path / "out", cluster.scheduler_address)
    assert "cases that are finished will be kept" in str(caught.value)


def test_a_cluster_without_workers_is_not_waited_for(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ARRIVAL", 0.1)
    with (
        start(0, processes=False) as empty,
        pytest.raises(ClusterError, match=r"No worker has come .* start `dask worker ADDRESS`"),
    ):
        on_dask(dataset, tmp_path / "out", empty.scheduler_address)


def test_nothing_at_the_address_is_told(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT", 0.5)
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"No Dask scheduler answers at {address} within 0.5 s; start `dask "):
            on_dask(dataset, tmp_path / "out", address)
    with pytest.raises(ClusterError, match=r"'cluster' is no address .* write tcp://HOST:8786"):
        on_dask(dataset, tmp_path / "out", "cluster")
    assert not (tmp_path / "out").exists()


class Ended:
    """A shard that ended as told."""

    def __init__(self, end: BaseException) -> None:
        self.end = end

    def result(self) -> None:
        raise self.end


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (lambda: distributed.KilledWorker("part", None, 3), "1 of 1 shards were given up after several workers died"),
        (CancelledError, "The scheduler forgot what it was doing, or is gone; start the cluster, and run again"),
    ],
)
def test_a_cluster_that_ends_before_the_work_says_how_to_go_on(
    end: Callable[[], BaseException], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "as_completed", list)
    with pytest.raises(ClusterError, match=message):
        module._wait([Ended(end())], tmp_path, progress=False)


def test_a_shard_that_a_lost_worker_still_holds_is_waited_for(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, protector = find_cases(dataset)[:2], small_protector()
    run = module.run_digest(protector, **module.deciding_settings(cases, 0, 2, None))
    work, tries = module._Work(cases, protector, tmp_path / "out", 0, 2, None, run), count()
    (tmp_path / "out").mkdir()

    def held(*_: object, **__: object) -> None:
        if not next(tries):
            raise DatasetError("out", ["another process is writing it"]) from module.HeldError("held")

    monkeypatch.setattr(module, "protect_shard", held)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    assert module._protect_part(work, Shard(0, 1)) == () and next(tries) == 2
    monkeypatch.setattr(module, "RELEASE", -1.0)
    tries = count()
    assert module._protect_part(work, Shard(0, 1)) == ("another process is writing it",)


def test_without_dask_the_cure_is_its_installation(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"not installed here; run `pip install 'monai_umed\[dask\]'`"):
        on_dask(dataset, tmp_path / "out", "tcp://127.0.0.1:8786")


def test_a_cluster_divides_the_cases_alone_and_with_a_fitted_protector(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dask tcp://host:1, which divides the cases itself; leave one of them out"):
        protect_together(find_cases(dataset), small_protector(), tmp_path / "out", shard="0/2", dask="tcp://host:1")
    done = CliRunner().invoke(cli.app, ["protect", str(dataset), str(tmp_path / "out"), "--dask", "tcp://host:1"])
    assert done.exit_code == 2 and "pass a checkpoint" in " ".join(done.output.replace("│", " ").split())
