"""Several processes protect one dataset: each its shard, one folder, the bytes of a single process."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import gethostname, socket
from typing import Any

import pytest
import torch
from fault_folders import add_dicom, protect, write_dataset
from hypothesis import given
from hypothesis import strategies as st
from processes import in_parallel
from protected_folder import small_protector, tree
from typer.testing import CliRunner

from monai_umed import cli
from monai_umed.data.case import Case, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED, CaseRecord, Manifest
from monai_umed.protectors.checkpoint import save_protector
from monai_umed.release import protect as module
from monai_umed.release.protect import protect_dataset, protect_shard
from monai_umed.release.protect_together import protect_together
from monai_umed.release.unfinished import HeldError, Unfinished, _take
from monai_umed.training.shard import Shard, parse_shard

NAMES = "abcef"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good cases, one of another format, and one that cannot be read."""
    folder = write_dataset(tmp_path_factory.mktemp("data") / "dataset", NAMES)
    add_dicom(folder)
    (folder / "masks" / "c.png").write_bytes(b"damaged")
    return folder


@pytest.fixture(scope="module")
def whole(dataset: Path) -> dict[str, str]:
    """What one process writes."""
    protect(dataset, dataset.parent / "whole")
    return tree(dataset.parent / "whole")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the cases that are protected from now on, not kept."""
    ids: list[str] = []
    protect_case = module.protect_case

    def count(case: Case, *arguments: Any, **named: Any) -> CaseRecord:
        ids.append(case.id)
        return protect_case(case, *arguments, **named)

    monkeypatch.setattr(module, "protect_case", count)
    return ids


def protect_part(dataset: Path, out: Path, shard: str) -> None:
    protect_shard(find_cases(dataset), small_protector(), out, shard=parse_shard(shard), progress=False)


# Shards


@given(st.lists(st.integers()), st.integers(1, 9))
def test_shards_hold_every_item_once_and_differ_in_size_by_one_at_most(items: list[int], count: int) -> None:
    shards = [Shard(index, count).of(items) for index in range(count)]
    assert sorted(item for shard in shards for item in shard) == sorted(items)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.integers(1, 1000).flatmap(lambda count: st.tuples(st.integers(0, count - 1), st.just(count))))
def test_a_shard_is_read_as_it_is_written(numbers: tuple[int, int]) -> None:
    assert parse_shard(f"{numbers[0]}/{numbers[1]}") == Shard(*numbers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4/4", "4/4 is not a shard; use 0/4 to 3/4"),
        ("1/0", "1/0 is not a shard; use 0/1 to 0/1"),
        ("first", "'first' is not a shard; write 0/4 for the first of four"),
        ("-1/4", "write 0/4"),
        ("", "write 0/4"),
    ],
)
def test_what_is_no_shard_is_refused_with_an_example(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_shard(text)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_shards_in_any_order_and_a_last_run_give_the_bytes_of_one_process(
    dataset: Path, tmp_path: Path, whole: dict[str, str], computed: list[str], order: tuple[int, ...]
) -> None:
    for index in order:
        protect_part(dataset, tmp_path / "out", f"{index}/3")
        assert not (tmp_path / "out" / MANIFEST).exists()
    assert sorted(computed) == sorted([*NAMES, "d"])
    computed.clear()
    protect(dataset, tmp_path / "out")
    assert computed == ["c"]  # what could not be protected is tried once more
    assert tree(tmp_path / "out") == whole


def test_what_a_missing_shard_left_undone_is_done_by_the_last_run(
    dataset: Path, tmp_path: Path, whole: dict[str, str], computed: list[str]
) -> None:
    protect_part(dataset, tmp_path / "out", "1/2")
    done = set(computed)
    computed.clear()
    protect(dataset, tmp_path / "out")
    assert set(computed) == {*NAMES, "d"} - done | ({"c"} & done)
    assert tree(tmp_path / "out") == whole


def test_another_number_of_shards_goes_on_with_what_is_there(
    dataset: Path, tmp_path: Path, whole: dict[str, str], computed: list[str]
) -> None:
    for shard in ("0/3", "1/3", "0/2", "1/2"):
        protect_part(dataset, tmp_path / "out", shard)
    assert sorted(name for name in computed if name != "c") == sorted({*NAMES, "d"} - {"c"})
    protect(dataset, tmp_path / "out")
    assert tree(tmp_path / "out") == whole


def test_nobody_loses_the_shards_of_a_run_by_another_option(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    protect_shard(find_cases(dataset), small_protector(), out, shard=Shard(0, 2), seed=5, progress=False)
    before = tree(out)
    message = "it holds shards of a run with other settings, software or processors; go on with the same ones, or del"
    with pytest.raises(DatasetError, match=message):
        protect_part(dataset, out, "1/2")
    with pytest.raises(DatasetError, match=message):
        protect(dataset, out)
    assert tree(out) == before


def test_a_shard_begins_anew_after_a_single_process_with_other_settings(
    dataset: Path, tmp_path: Path, whole: dict[str, str], computed: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Manifest, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        protect_dataset(find_cases(dataset), small_protector(), tmp_path / "out", seed=5, progress=False)
    computed.clear()
    protect_part(dataset, tmp_path / "out", "1/3")
    protect(dataset, tmp_path / "out")
    assert sorted(computed) == sorted([*NAMES, "d"])
    assert tree(tmp_path / "out") == whole


def test_more_shards_than_cases_are_no_error(dataset: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    for index in range(8):
        protect_part(dataset, tmp_path / "out", f"{index}/8")
    protect(dataset, tmp_path / "out")
    assert tree(tmp_path / "out") == whole


def test_a_shard_of_a_finished_folder_is_refused(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    protect(dataset, out)
    before = tree(out)
    with pytest.raises(DatasetError, match="it is finished, a shard of it would spoil it; delete it"):
        protect_together(find_cases(dataset), small_protector(), out, progress=False, shard="0/2")
    assert tree(out) == before


# Locks


@pytest.fixture
def held(dataset: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder that a run of this process is writing."""
    (tmp_path / "out").mkdir()
    with Unfinished(tmp_path / "out", "0").hold(lambda anew: None):
        yield tmp_path / "out"


@needs_locks
@pytest.mark.parametrize("shard", [None, "0/2"])
def test_a_folder_that_another_run_is_writing_is_refused_and_that_run_is_named(
    dataset: Path, held: Path, shard: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai_umed.release.unfinished._GRACE", 0.2)
    name = f"process {os.getpid()} on {gethostname()} is writing it; wait for it, or stop it"
    with pytest.raises(DatasetError, match=name):
        if shard is None:
            protect(dataset, held)
        else:
            protect_part(dataset, held, shard)
    assert tree(held).keys() == {f"{UNFINISHED}/lock", f"{UNFINISHED}/lock.json"}


@needs_locks
@pytest.mark.parametrize(("shard", "run"), [(Shard(1, 3), "same"), (Shard(1, 2), "other"), (Shard(), "same")])
def test_shards_of_another_run_are_kept_out(tmp_path: Path, shard: Shard, run: str) -> None:
    prepared: list[bool] = []
    with Unfinished(tmp_path, "same", Shard(0, 2)).hold(prepared.append):
        with pytest.raises(HeldError, match="is writing it"), Unfinished(tmp_path, run, shard).hold(prepared.append):
            pass
        twice = Unfinished(tmp_path, "same", Shard(0, 2))
        with pytest.raises(HeldError, match=f"shard 0/2: process {os.getpid()}"), twice.hold(prepared.append):
            pass
        with Unfinished(tmp_path, "same", Shard(1, 2)).hold(prepared.append):
            assert prepared == [True]  # by the first of them, and by nobody else while it is at work
    with Unfinished(tmp_path, "same").hold(prepared.append):
        assert prepared == [True, False]


@needs_locks
def test_a_shard_waits_for_one_that_prepares_the_folder(tmp_path: Path) -> None:
    order: list[str] = []

    def come() -> None:
        with Unfinished(tmp_path, "same", Shard(1, 2)).hold(lambda anew: order.append("never")):
            order.append("second")

    with ThreadPoolExecutor() as threads:

        def prepare(anew: bool) -> None:
            threads.submit(come)
            time.sleep(0.3)
            order.append("prepared")

        with Unfinished(tmp_path, "same", Shard(0, 2)).hold(prepare):
            threads.shutdown()
    assert order == ["prepared", "second"]


@needs_locks
def test_a_lock_on_a_file_that_was_removed_meanwhile_is_a_lock_on_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = _take(path)
    assert first is not None and _take(path) is None
    path.unlink()
    second = _take(path)
    assert second is not None and path.exists()
    first.release()
    assert _take(path) is None
    second.release()


@needs_locks
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_where_files_cannot_be_locked_a_warning_says_so(
    dataset: Path, tmp_path: Path, whole: dict[str, str], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.warns(UserWarning, match="out: files cannot be locked there; let only one run at a time write to it"):
        protect_part(dataset, tmp_path / "out", "0/2")
    with pytest.warns(UserWarning, match="files cannot be locked"):
        protect(dataset, tmp_path / "out")
    assert tree(tmp_path / "out") == whole


def die_while_writing(dataset: Path, out: Path, shard: str) -> None:
    protect_case, seen = module.protect_case, []

    def last(case: Case, *arguments: Any, **named: Any) -> CaseRecord:
        seen.append(case)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return protect_case(case, *arguments, **named)

    module.protect_case = last
    protect_part(dataset, out, shard)


@needs_fork
def test_what_a_killed_process_leaves_locks_nobody_out(dataset: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    assert in_parallel(die_while_writing, [(dataset, tmp_path / "out", "0/2")]) == [-signal.SIGKILL]
    assert (tmp_path / "out" / UNFINISHED / "lock-0-of-2").exists()
    protect_part(dataset, tmp_path / "out", "0/2")
    protect(dataset, tmp_path / "out")
    assert tree(tmp_path / "out") == whole


# At the same time


@needs_fork
def test_shards_at_the_same_time_give_the_bytes_of_one_process(
    dataset: Path, tmp_path: Path, whole: dict[str, str]
) -> None:
    parts = [(dataset, tmp_path / "out", f"{index}/3") for index in range(3)]
    assert in_parallel(protect_part, parts) == [0, 0, 0]
    protect(dataset, tmp_path / "out")
    assert tree(tmp_path / "out") == whole


def protect_as_rank(number: int, port: int, dataset: Path, out: Path) -> None:
    torch.set_num_threads(1)
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2", **place}
    manifest = protect_together(find_cases(dataset), small_protector(), out, progress=False)
    assert (manifest is None) == (number > 0)
    assert (out / MANIFEST).exists()  # for whatever follows in any of them


@needs_fork
def test_processes_of_torchrun_write_the_bytes_of_one_process_and_anew_when_run_again(
    dataset: Path, tmp_path: Path, whole: dict[str, str]
) -> None:
    for _ in range(2):
        with socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        ranks = [(number, port, dataset, tmp_path / "out") for number in range(2)]
        assert in_parallel(protect_as_rank, ranks) == [0, 0]
        assert tree(tmp_path / "out") == whole


def test_a_shard_is_not_chosen_twice(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="torchrun has divided the cases already; leave one of them out"):
        protect_together(find_cases(dataset), small_protector(), tmp_path / "out", shard="0/2")
    assert not (tmp_path / "out").exists()


# Command line


def test_the_command_protects_shard_after_shard_and_the_last_run_finishes(
    dataset: Path, tmp_path: Path, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = save_protector(tmp_path / "protector.pt", small_protector())
    command = ["protect", str(dataset), str(tmp_path / "out"), "--checkpoint", str(checkpoint), "--no-progress"]
    for shard, protected in (("0/2", 2), ("1/2", 3)):
        done = CliRunner().invoke(cli.app, [*command, "--shard", shard])
        assert done.exit_code == 0 and f"Shard {shard}: {protected} of 3 cases" in done.output, done.output
    assert not (tmp_path / "out" / "protected" / MANIFEST).exists()
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 1 and "1 cases could not be protected" in done.output  # the damaged one
    one, other = (Manifest.load(folder / MANIFEST) for folder in (dataset.parent / "whole", tmp_path / "out/protected"))
    assert one.cases == other.cases and one.quarantined == other.quarantined


@pytest.mark.parametrize("given", [[], ["--checkpoint", "c.pt", "--seal-key", "k"]])
def test_a_shard_without_generators_or_with_a_key_is_refused(tmp_path: Path, given: list[str]) -> None:
    (tmp_path / "images").mkdir()
    done = CliRunner().invoke(cli.app, ["protect", str(tmp_path), str(tmp_path / "out"), "--shard", "0/2", *given])
    assert done.exit_code == 2 and "pass a checkpoint" in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
