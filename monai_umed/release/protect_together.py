"""Protect a dataset with several processes: those of ``torchrun`` or of a Dask cluster, or shards of a scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.case import Case, DatasetError
from ..data.manifest import MANIFEST, UNFINISHED, Manifest
from ..io.stored import IntensityWindow
from ..protectors import Protector
from ..training.distributed import is_first_rank, rank_count, shard_of_this_process, wait_for_ranks
from ..training.shard import Shard, parse_shard
from .protect import protect_dataset, protect_shard


def protect_together(
    cases: Sequence[Case],
    protector: Protector,
    output_dir: str | Path,
    *,
    seed: int = 0,
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
    num_workers: int | None = None,
    progress: bool = True,
    shard: str | None = None,
    dask: str | None = None,
) -> Manifest | None:
    """Protect all cases, alone, with other processes of ``torchrun`` or Dask, or as one of several that never meet.

    However the work is divided, the folder ends with the same bytes. Processes of ``torchrun`` take a shard each, wait
    for each other, and the first checks all files and writes the manifest. With ``shard`` only that shard is protected,
    whenever and wherever that happens; a last run without ``shard`` writes the manifest. Cases of processes that died
    are protected by the next run, whatever its number of processes. Workers of a Dask cluster take shards until none is
    left; those of a worker that dies go to others.

    Args:
        cases: all cases of the dataset, the same ones in every process.
        protector, output_dir, seed, num_classes, intensity_window: as for
            :func:`monai_umed.release.protect.protect_dataset`.
        num_workers: threads of each process; None for its usual number alone, one among several processes.
        progress: whether to show a progress bar; among processes of ``torchrun`` the first has one.
        shard: which shard this process takes, such as ``"0/4"``; None for all, or for what ``torchrun`` says.
        dask: address of the scheduler of a Dask cluster that protects, see
            :func:`monai_umed.release.protect_on_dask.protect_on_dask`; None for none.

    Returns:
        The manifest if this process has written it.

    Raises:
        DatasetError: as :func:`monai_umed.release.protect.protect_dataset`, or a shard is to be added to a finished
            folder.
        ClusterError: a Dask cluster cannot be used, or did not finish.
        ValueError: ``shard`` is no shard, or more than one of ``shard``, ``dask`` and ``torchrun`` divide the cases.
    """
    output_dir = Path(output_dir)
    for name, value in (("shard", shard), ("dask", dask)):
        if value is not None and rank_count() > 1:
            raise ValueError(f"{name} is {value!r}, but torchrun has divided the cases already; leave one of them out.")
    if shard is not None and dask is not None:
        raise ValueError(f"shard is {shard} and dask {dask}, which divides the cases itself; leave one of them out.")
    alone = shard is None and rank_count() == 1
    own = shard_of_this_process() if shard is None else parse_shard(shard)
    if shard is not None and (output_dir / MANIFEST).exists() and not (output_dir / UNFINISHED).exists():
        cure = "delete it to begin anew, or choose another folder"
        raise DatasetError(str(output_dir), [f"it is finished, a shard of it would spoil it; {cure}"])
    if dask is not None:
        from .protect_on_dask import protect_on_dask

        protect_on_dask(
            cases,
            protector,
            output_dir,
            address=dask,
            seed=seed,
            num_classes=num_classes,
            intensity_window=intensity_window,
            progress=progress,
        )
    elif not alone:
        shown = progress and is_first_rank()
        left_out = protect_shard(
            cases,
            protector,
            output_dir,
            shard=own,
            seed=seed,
            num_classes=num_classes,
            intensity_window=intensity_window,
            num_workers=num_workers,
            progress=shown,
        )
        if shard is not None:
            _report_shard(len(own.of(cases)), len(left_out), own, output_dir)
            return None
        wait_for_ranks()
    manifest = None
    if is_first_rank():
        manifest = protect_dataset(
            cases,
            protector,
            output_dir,
            seed=seed,
            num_classes=num_classes,
            intensity_window=intensity_window,
            num_workers=num_workers,
            progress=progress,
        )
    wait_for_ranks()
    return manifest


def _report_shard(cases: int, left_out: int, own: Shard, output_dir: Path) -> None:
    print(f"Shard {own.index}/{own.count}: {cases - left_out} of {cases} cases are protected in {output_dir}.")
    print(
        "When all shards are, run the same command once more without a shard: it checks them and writes the manifest."
    )
