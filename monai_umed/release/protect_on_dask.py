"""Hand the shards of a dataset to the workers of a Dask cluster; its package is the extra ``monai_umed[dask]``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..data.case import Case, DatasetError
from ..data.parallel import track
from ..io.atomic import write_atomically
from ..io.image_files import is_complete
from ..io.once import reading_once
from ..io.provenance import tool_version
from ..io.stored import IntensityWindow
from ..protectors import Protector
from ..training.shard import Shard
from .layout import check_folders
from .protect import deciding_settings, protect_shard
from .run_digest import run_digest
from .unfinished import HeldError

if TYPE_CHECKING:
    from distributed import Client

CONNECT = 10.0
"""Longest wait for the scheduler to answer, in seconds."""
ARRIVAL = 60.0
"""Longest wait for the first worker, in seconds."""
RELEASE = 150.0
"""Longest wait for a shard that a lost worker had, in seconds: servers keep the locks of lost clients for a while."""
SHARDS_PER_THREAD = 4
"""So many, because threads differ in speed and a shard is begun again when its worker is lost."""


class ClusterError(ValueError):
    """A Dask cluster cannot be used, or did not finish. The message has the reason and the cure."""


@dataclass(frozen=True)
class _Work:
    """What a worker must know; the arguments of `protect_shard`, with paths that hold on every machine.

    Attributes:
        run: what the worker's own installation must make of it, see `run_digest`.
    """

    cases: Sequence[Case]
    protector: Protector
    output_dir: Path
    seed: int
    num_classes: int
    intensity_window: IntensityWindow | None
    run: str


def protect_on_dask(
    cases: Sequence[Case],
    protector: Protector,
    output_dir: str | Path,
    *,
    address: str,
    seed: int = 0,
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
    progress: bool = True,
) -> None:
    """Protect all cases on the workers of a Dask cluster, as shards of one run that anybody can finish.

    Each shard is protected by :func:`monai_umed.release.protect.protect_shard`, so locks, records of finished cases and
    bytes are those of any other run. Dask gives a shard whose worker is lost to another one, which keeps what is
    finished. No manifest is written; :func:`monai_umed.release.protect.protect_dataset` does that.

    Args:
        cases, protector, seed, num_classes, intensity_window: as for
            :func:`monai_umed.release.protect.protect_dataset`. The protector is sent to the workers.
        output_dir: folder to write, under the same path on all machines, as are the files of the cases.
        address: of the scheduler, such as ``"tcp://10.0.0.5:8786"`` or, encrypted as Dask is configured, ``"tls://..."``.
        progress: whether to show a progress bar.

    Raises:
        ClusterError: If Dask is not installed, nothing answers at the address, workers do not come, have another
            installation or do not see the folders, or die of a shard.
        DatasetError: as `protect_shard`.
    """
    output_dir = Path(output_dir).absolute()
    settings = deciding_settings(cases, seed, num_classes, intensity_window)
    everywhere = [_absolute(case) for case in cases]
    run = run_digest(protector, **settings)
    work = _Work(everywhere, protector, output_dir, seed, num_classes, intensity_window, run)
    check_folders(everywhere, output_dir)
    with _connected(address) as client:
        _check_workers(client, work)
        count = min(len(cases), SHARDS_PER_THREAD * sum(client.nthreads().values()))
        # A task, not scattered data: Dask computes it again if the worker that keeps it is lost.
        sent = client.submit(_same, work, pure=False)
        parts = [client.submit(_protect_part, sent, Shard(index, count), pure=False) for index in range(count)]
        _wait(parts, output_dir, progress)


def _same(work: _Work) -> _Work:
    return work


def _absolute(case: Case) -> Case:
    paths = {name: getattr(case, name) for name in ("image", "label", "root", "listing")}
    return replace(case, **{name: path.absolute() for name, path in paths.items() if path is not None})


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError("Dask is not installed here; run `pip install 'monai_umed[dask]'`.") from error
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except ValueError as error:
        raise ClusterError(f"{address!r} is no address of a scheduler ({error}); write tcp://HOST:8786.") from error
    except OSError as error:
        cure = "start `dask scheduler`, or give the address that it prints"
        raise ClusterError(f"No Dask scheduler answers at {address} within {CONNECT:g} s; {cure}.") from error
    with client, client.as_current():
        yield client


def _check_workers(client: Client, work: _Work) -> None:
    """Refuse workers that would write other bytes, or the right ones where nobody finds them."""
    try:
        client.wait_for_workers(1, timeout=ARRIVAL)
    except TimeoutError as error:
        cure = "start `dask worker ADDRESS` on the machines that shall work"
        raise ClusterError(f"No worker has come to the scheduler within {ARRIVAL:g} s; {cure}.") from error
    work.output_dir.mkdir(parents=True, exist_ok=True)
    token = uuid4().hex
    probe = work.output_dir / f".{token}.tmp"  # the name of a file that is being written, which no run minds
    write_atomically(probe, token.encode("ascii"))
    try:
        found = client.run(_refusal, work, probe, on_error="return")
    finally:
        probe.unlink(missing_ok=True)
    if refusals := {worker: reason for worker, reason in found.items() if reason is not None}:
        worker, reason = next(iter(refusals.items()))
        raise ClusterError(f"{len(refusals)} of {len(found)} workers cannot help. {worker}: {_explain(reason)}")


def _explain(reason: Any) -> str:
    """A worker without this module, or with another version of Dask, answers with an error of its own."""
    if isinstance(reason, str):
        return reason
    return f"{type(reason).__name__}: {reason}; install monai_umed[dask] {tool_version()} there"


def _refusal(work: _Work, probe: Path | None = None) -> str | None:
    """Why the worker that runs this cannot help, with the cure; None if it can."""
    settings = deciding_settings(work.cases, work.seed, work.num_classes, work.intensity_window)
    if run_digest(work.protector, **settings) != work.run:
        what = f"it would write other bytes with its monai_umed {tool_version()}"
        return f"{what}; install the same monai_umed and packages below it there, on the same kind of processor"
    image, written = work.cases[0].image, work.output_dir if probe is None else probe
    for seen, folder in ((is_complete(image), image.parent), (written.exists(), work.output_dir)):
        if not seen:
            return f"it does not see {folder} as it is here; mount that folder under the same path there"
    return None


def _protect_part(work: _Work, shard: Shard) -> tuple[str, ...]:
    """Protect a shard on a worker.

    Returns:
        What keeps all of it from being protected, because the error itself cannot be sent; cases that are left out are
        tried once more, and named, by who writes the manifest.
    """
    if reason := _refusal(work):
        return (reason,)
    begin = time.monotonic()
    while True:
        try:
            with reading_once():
                protect_shard(
                    work.cases,
                    work.protector,
                    work.output_dir,
                    shard=shard,
                    seed=work.seed,
                    num_classes=work.num_classes,
                    intensity_window=work.intensity_window,
                    progress=False,
                )
        except DatasetError as error:
            if not isinstance(error.__cause__, HeldError) or time.monotonic() - begin > RELEASE:
                return error.offenders
            time.sleep(1)
        else:
            return ()


def _wait(parts: Sequence[Any], output_dir: Path, progress: bool) -> None:
    """Wait for all shards, and raise what kept some from being protected when the others are done."""
    from distributed import KilledWorker, as_completed

    lost, offenders = 0, dict[str, None]()
    done = track(as_completed(parts), len(parts), title="protect on Dask", unit="shard", disable=not progress)
    for part in done:
        try:
            offenders |= dict.fromkeys(part.result())
        except KilledWorker:
            lost += 1
        except CancelledError as error:
            cure = "start the cluster, and run again; cases that are finished are kept"
            raise ClusterError(f"The scheduler forgot what it was doing, or is gone; {cure}.") from error
    if lost:
        cure = "give workers more memory or one thread each, and run again; cases that are finished are kept"
        raise ClusterError(f"{lost} of {len(parts)} shards were given up after several workers died of each; {cure}.")
    if offenders:
        raise DatasetError(str(output_dir), list(offenders))
