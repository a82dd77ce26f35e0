"""However an audit or a benchmark ends, its processes end with it, and the next run goes on to the same result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

PATIENCE = 120.0  # s until trainings run; processes that import torch start slowly on a busy machine
GRACE = 10.0  # s until all processes have ended


def descendants(pid: int) -> set[int]:
    """Ids of all processes below one."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(line.split()[0]): int(line.split()[1]) for line in listed.splitlines()}
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= more
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "stat="], capture_output=True, text=True).stdout.strip()
    return bool(shown) and not shown.startswith("Z")


class Command:
    """A running ``monai-umed``, what it prints going to a file."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.log = folder / "log.txt"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "monai_umed.cli", *arguments]
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.log.read_text():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()[-2000:]
            time.sleep(0.2)

    def end_by(self, name: str) -> None:
        """Send a signal to the process itself, to no other one, and see that none of its children is left."""
        children = descendants(self.process.pid)
        assert children
        self.process.send_signal(signal.Signals[name])
        assert self.process.wait(GRACE) != 0
        end = time.monotonic() + GRACE
        while survivors := {pid for pid in children if alive(pid)}:
            assert time.monotonic() < end, survivors
            time.sleep(0.2)


@pytest.fixture
def clean_up() -> Iterator[list[Command]]:
    """Commands that are killed if a test fails; they ignore no signal, even if these tests run in the background."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    started: list[Command] = []
    yield started
    for number, handler in before.items():
        signal.signal(number, handler)
    for command in started:
        for pid in [command.process.pid, *descendants(command.process.pid)] if command.process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        command.process.wait()


def audit_arguments(clean: Path, protected: Path) -> list[str]:
    names = ("--exploiters", "unet-batch", "--defenses", "none", "--grid", "32,32")
    places = (str(protected), "--clean", str(clean), "--test", str(clean), "--output", "audit")
    return ["audit", *places, *names, "--recipe", "paper", "--workers", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("signals", [("SIGTERM", "SIGKILL"), ("SIGINT", "SIGHUP")], ids="-".join)
def test_an_audit_ends_with_all_its_processes_and_goes_on_to_the_same_scores(
    clean_dir: Path, protected_dir: Path, tmp_path: Path, clean_up: list[Command], signals: tuple[str, ...]
) -> None:
    arguments = audit_arguments(clean_dir, protected_dir)
    for name in ("ended", "whole"):
        (tmp_path / name).mkdir()
    for name in signals:
        command = Command(arguments, tmp_path / "ended")
        clean_up.append(command)
        command.wait_for("step")
        command.end_by(name)
        assert not (tmp_path / "ended" / "audit" / "scores.json").exists()
    scores = []
    for name in ("ended", "whole"):
        command = Command(arguments, tmp_path / name)
        clean_up.append(command)
        assert command.process.wait(PATIENCE) == 0, command.log.read_text()[-2000:]
        scores.append((tmp_path / name / "audit" / "scores.json").read_bytes())
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("SIGTERM", "training"),
        pytest.param("SIGKILL", "fit", marks=pytest.mark.slow),
        pytest.param("SIGINT", "fit", marks=pytest.mark.slow),
        pytest.param("SIGHUP", "training", marks=pytest.mark.slow),
    ],
)
def test_a_benchmark_ends_with_all_its_processes(
    clean_dir: Path, tmp_path: Path, clean_up: list[Command], name: str, moment: str
) -> None:
    names = ("--protectors", "umed", "--defenses", "none", "--grid", "32,32", "--seeds", "0,1", "--workers", "2")
    recipe = () if moment == "fit" else ("--recipe", "paper")
    command = Command(["benchmark", str(clean_dir), "out", *names, *recipe], tmp_path)
    clean_up.append(command)
    command.wait_for("fit:" if moment == "fit" else "step")
    command.end_by(name)
