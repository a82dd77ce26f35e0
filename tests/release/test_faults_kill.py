"""`kill -9` at any moment: what lies under a final name is whole, and running again ends with the same bytes."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fault_folders import add_dicom, protect, write_dataset
from processes import in_parallel
from protected_folder import tree

from monai_umed.data.manifest import MANIFEST, UNFINISHED

KILLS = 50
SEED = 0
TOUCHING = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")  # audit events, raised before the deed

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def run_alone(body: Callable[[Path], None], folder: Path) -> None:
    """Run the body of a test in a process without threads, which may fork."""
    assert in_parallel(body, [(folder,)]) == [0], "see the traceback in the captured output"


def fork_protect(dataset: Path, out: Path, last_step: int | None = None, num_workers: int = 1) -> int:
    """Process id of a fork that protects, and dies by itself before it touches the folder for the n-th time."""
    if child := os.fork():
        return child
    steps = 0

    def count(event: str, arguments: tuple) -> None:
        nonlocal steps
        if event in TOUCHING and str(arguments[0]).startswith(str(out)):
            steps += 1
            if steps == last_step:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(count)
        protect(dataset, out, num_workers=num_workers)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def is_killed(child: int) -> bool:
    """Wait for the end of a fork, which must be a kill or a success."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def prepare(folder: Path) -> tuple[Path, Path, dict[str, str]]:
    """Two good cases of two formats and a damaged one, the output folder, what an uninterrupted run writes."""
    torch.set_num_threads(1)
    dataset = write_dataset(folder / "dataset", "ab")
    add_dicom(dataset)
    (dataset / "masks" / "a.png").write_bytes(b"damaged")
    protect(dataset, folder / "whole")
    return dataset, folder / "out", tree(folder / "whole")


def check_killed(out: Path, whole: dict[str, str]) -> None:
    """Every file under a final name is that of an uninterrupted run; no folder passes for a finished one."""
    found = {name: checksum for name, checksum in tree(out).items() if not name.endswith(".tmp")}
    marks = [name for name in found if name.startswith(UNFINISHED)]
    marked = [found.pop(name) for name in marks]
    assert found.items() <= whole.items()
    assert MANIFEST not in found or found.keys() == whole.keys()
    assert marked or MANIFEST in found or not found


def kill_at_random_moments(folder: Path) -> None:
    dataset, out, whole = prepare(folder)
    begin = time.perf_counter()
    assert not is_killed(fork_protect(dataset, out))
    duration = time.perf_counter() - begin
    assert tree(out) == whole
    generator = random.Random(SEED)
    kills = 0
    while kills < KILLS:
        child = fork_protect(dataset, out, num_workers=2)
        time.sleep(generator.uniform(0, duration))
        os.kill(child, signal.SIGKILL)
        kills += is_killed(child)
        check_killed(out, whole)
    protect(dataset, out)
    assert tree(out) == whole


def kill_before_every_step(folder: Path) -> None:
    dataset, out, whole = prepare(folder)
    last_step = 1
    while is_killed(fork_protect(dataset, out, last_step)):
        check_killed(out, whole)
        last_step += 1
    assert last_step > 15
    assert tree(out) == whole


def kill_a_second_run_before_every_step(folder: Path) -> None:
    """Of a folder that is finished: everything is removed and written anew."""
    dataset, out, whole = prepare(folder)
    last_step = 1
    while True:
        protect(dataset, out)
        killed = is_killed(fork_protect(dataset, out, last_step))
        check_killed(out, whole)
        last_step += 5
        if not killed:
            break
    assert last_step > 20


def kill_while_a_journal_is_replaced(folder: Path) -> None:
    """Of a folder that a version with a journal left: something marks it as ours at any moment."""
    dataset, out, whole = prepare(folder)
    last_step = 1
    while True:
        protect(dataset, out)
        (out / MANIFEST).rename(out / UNFINISHED)
        killed = is_killed(fork_protect(dataset, out, last_step))
        check_killed(out, whole)
        last_step += 1
        if not killed or last_step > 20:
            break
    protect(dataset, out)
    assert last_step > 15 and tree(out) == whole


def test_fifty_kills_at_random_moments_never_leave_half_a_file(tmp_path: Path) -> None:
    run_alone(kill_at_random_moments, tmp_path)


def test_runs_that_are_killed_one_step_later_each_time_come_to_the_same_end(tmp_path: Path) -> None:
    run_alone(kill_before_every_step, tmp_path)


def test_a_kill_at_any_step_of_a_second_run_is_survived(tmp_path: Path) -> None:
    run_alone(kill_a_second_run_before_every_step, tmp_path)


def test_a_kill_while_what_an_older_version_left_is_replaced_is_survived(tmp_path: Path) -> None:
    run_alone(kill_while_a_journal_is_replaced, tmp_path)
