"""Processes of the evaluation: alone, and never longer than the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monai_umed.evaluation.workers import attempt_alone, orderly_end, worker_pool


def fail() -> None:
    raise ValueError("no such thing")


def fail_by_ranks() -> None:
    raise ValueError([name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK") if name in os.environ])


def vanish() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(pid_file: Path) -> None:
    pid_file.write_text(str(os.getpid()))
    time.sleep(300)


def nothing() -> None:
    pass


def test_a_process_alone_is_none_of_torchruns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert attempt_alone(fail_by_ranks) == "ValueError: []"
    assert os.environ["RANK"] == "1"


def test_what_fails_alone_says_why_as_does_what_was_killed() -> None:
    assert attempt_alone(nothing) is None
    assert attempt_alone(fail) == "ValueError: no such thing"
    assert attempt_alone(vanish) == "its process was killed, for want of memory as a rule"


def test_a_script_that_is_not_made_for_processes_can_have_some(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from monai_umed.evaluation import workers\n"
        "print('once')\n"
        "with workers.without_main(), workers.worker_pool(1, print) as pool:\n"
        "    assert pool.submit(len, 'ab').result() == 2\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["once"]


def test_an_error_ends_workers_in_the_middle_of_their_work(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), worker_pool(1, nothing) as pool:
        pool.submit(sleep, tmp_path / "pid")
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            time.sleep(0.1)
        raise KeyboardInterrupt
    assert time.monotonic() - begin < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_block_and_what_was_ignored_stays_so(name: str) -> None:
    number = signal.Signals[name]
    with pytest.raises(SystemExit) as ended, orderly_end():
        signal.raise_signal(number)
    assert ended.value.code == 128 + number and signal.getsignal(number) is signal.SIG_DFL
    signal.signal(number, signal.SIG_IGN)
    try:
        with orderly_end():
            signal.raise_signal(number)
    finally:
        signal.signal(number, signal.SIG_DFL)
