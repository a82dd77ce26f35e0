"""Run functions in processes of their own, which end in any case."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context

LIMIT = 300.0  # s; whatever takes so long waits for something that will not come


def in_parallel(body: Callable[..., None], argument_lists: Sequence[Sequence[object]]) -> list[int | None]:
    """Exit codes of processes that run at the same time.

    They start without threads, so they may fork, and have imported everything once. One that is still at work after
    :data:`LIMIT` is killed with its forks; its code is -9.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["monai_umed.fitting.resume", "monai_umed.release.protect_together", "small_fit"])
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
