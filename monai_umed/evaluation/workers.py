"""Processes that end with the one that started them, whatever ends that."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, NoReturn


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a closed terminal) end a block as Ctrl-C does, so that all that is open is closed.

    The exit status is 128 plus the number of the signal. A signal that is ignored stays ignored, as under ``nohup``.
    """

    def end(number: int, frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = [
        getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
    ]  # Windows has no SIGHUP
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        numbers = []
    handled = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def worker_pool(
    workers: int, initializer: Callable[..., None], arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Processes to submit work to; none of them outlives the block or this process.

    An error or a signal ends them at once, in the middle of their work.

    Args:
        workers: how many processes.
        initializer: what each calls first.
        arguments: of the initializer.
    """
    # Spawned: forked processes inherit the locks of torch's threads and hang, and the memory of their parent as well.
    context = multiprocessing.get_context("spawn")
    # Nobody writes into this pipe. Its other end is held by this process alone, so that it closes when this process
    # ends, by SIGKILL as well and on every system.
    lifeline, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _begin, (lifeline, initializer, *arguments))
    try:
        yield pool
        pool.shutdown()
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)
        lifeline.close()


@contextmanager
def without_main() -> Iterator[None]:
    """Keep processes that start in this block from running the user's script once more, which may not be made for it.

    What that script has registered, such as exploiters of its own, is unknown to them.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def attempt(function: Callable[..., None], *arguments: Any) -> str | None:
    """Call a function, and say why if it fails by what its input or the machine is to blame for."""
    try:
        function(*arguments)
    except (ValueError, RuntimeError, OSError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def attempt_alone(function: Callable[..., None], *arguments: Any) -> str | None:
    """As :func:`attempt`, in a new process, which is none of those that ``torchrun`` started."""
    with worker_pool(1, _leave_ranks) as pool:
        try:
            return pool.submit(attempt, function, *arguments).result()
        except BrokenProcessPool:
            return "its process was killed, for want of memory as a rule"


def _begin(lifeline: Connection, initializer: Callable[..., None], *arguments: Any) -> None:
    # Ctrl-C reaches every process of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    initializer(*arguments)


def _end_with_parent(lifeline: Connection) -> None:
    lifeline.poll(None)  # returns when the other end is closed
    os._exit(1)


def _leave_ranks() -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        os.environ.pop(name, None)
