"""Run functions in processes of their own, which end in any case."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

LIMIT = 300.0  # s; whatever takes so long waits for something that will not come
_PRELOADED = ["monai.bundle", "monai_umed.workflows.fit_steps", "monai_umed.workflows.audit", "small_fit"]


def in_parallel(body: Callable[..., None], argument_lists: Sequence[Sequence[object]]) -> list[int | None]:
    """Exit codes of processes that run at the same time.

    They start without threads, so they may fork, and have imported everything once. One that is still at work after
    :data:`LIMIT` is killed with its forks; its code is -9.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    processes = [context.Process(target=_lead, args=(body, *arguments)) for arguments in argument_lists]
    for process in processes:
        process.start()
    end = time.monotonic() + LIMIT
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive() and process.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.join()
    return [process.exitcode for process in processes]


def _lead(body: Callable[..., None], *arguments: object) -> None:
    os.setpgrp()
    body(*arguments)


def as_typed(
    module: str, *arguments: str | Path, cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module arguments`` in a process of its own that has imported the libraries already.

    Args:
        module: what has a ``__main__``.
        arguments: of the command line.
        cwd: folder in which it runs.
        environment: variables besides those of this process.
    """
    command = [module, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("stdout", "stderr")]
        [code] = in_parallel(_run_module, [(command, cwd, dict(environment), streams)])
        printed = [stream.read_text() for stream in streams]
    return subprocess.CompletedProcess(command, code if code is not None else 1, *printed)


def _run_module(command: list[str], cwd: Path, environment: dict[str, str], streams: list[Path]) -> None:
    os.chdir(cwd)
    os.environ.update(environment)
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    import torch

    torch.set_num_threads(1)
    sys.argv = command
    code = 1
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    sys.exit(code)
