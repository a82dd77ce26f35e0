"""Write a protected copy of a dataset: exact files, checked against the promise, and a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..data.case import Case, CaseError, DatasetError
from ..data.manifest import MANIFEST, TOOL, CaseRecord, Manifest, Quarantined
from ..data.parallel import map_cases
from ..data.unlabeled import count_unlabeled
from ..io.atomic import leftovers, remove, sync_folder
from ..io.provenance import tool_version
from ..io.stored import CodecError, IntensityWindow
from ..protectors import Protector
from ..training.shard import WHOLE, Shard
from .already_protected import refuse_protected
from .case import clear_cases, is_finished, protect_case
from .faults import FAULTS, explain, find_fault
from .layout import check_folders, protected_names
from .listing import check_listing, clear_listing, write_listing
from .run_digest import run_digest
from .unfinished import HeldError, Unfinished


def protect_dataset(
    cases: Sequence[Case],
    protector: Protector,
    output_dir: str | Path,
    *,
    seed: int = 0,
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> Manifest:
    """Protect all cases into a folder of the same layout with a ``manifest.json``.

    The manifest is removed first and written last, so a folder without one is unfinished. Killed at any moment and run
    again, it ends with the same bytes: of each finished case a record is left, and it is kept if protector, settings
    and program are the same and its files on both sides unchanged. A finished folder is protected anew. One that
    holds files but neither a manifest nor the mark of an unfinished run is never touched. Nor is one that another run
    is writing.

    Cases that cannot be used are listed in the manifest and left out; so are those whose files cannot be read or
    written (full disk, missing rights), which leave the records behind: running again redoes only them.

    Args:
        cases: what to protect, see :func:`monai_umed.data.cases.find_cases`.
        protector: the fitted protector.
        output_dir: folder to write; made if needed.
        seed: seed of the fit, for the record.
        num_classes: classes of the masks, background included.
        intensity_window: intensities that map to 0 and 1, see :func:`monai_umed.data.codec.read_image`.
        num_workers: threads, one case each; by default two images at a time, or one volume, which takes gigabytes.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: If the input is protected already, the output folder overlaps with it, holds links or foreign
            files, is being written by another run, or cannot be written, names lead out of it, or no case could be
            used.
    """
    output_dir = Path(output_dir)
    workers = num_workers or (1 if protector.spatial_dims == 3 or protector.slice_axis is not None else 2)
    settings = deciding_settings(cases, seed, num_classes, intensity_window)
    with _opened(cases, protector, output_dir, settings=settings, shard=WHOLE) as unfinished:
        protect = _Protection(protector, output_dir, num_classes, intensity_window, unfinished)
        records, quarantined = map_cases(
            protect, cases, title=f"protect into {output_dir.name}", num_workers=workers, progress=progress
        )
        if not records:
            with suppress(OSError):
                unfinished.remove()
            dataset = cases[0].root or cases[0].image.parent if cases else output_dir
            raise DatasetError(str(dataset), [f"{entry.id}: {entry.reason}" for entry in quarantined])
        manifest = Manifest(
            tool=TOOL,
            version=tool_version(),
            protector=repr(protector),
            seed=seed,
            eps=protector.eps,
            cases=records,
            quarantined=quarantined,
            ignore_label=cases[0].ignore_label,
            unlabeled=count_unlabeled(cases) or None,
        )
        with _named_faults(output_dir, quarantined):
            manifest.dataset_json_sha256 = write_listing(cases, records, output_dir)
            # All files before the manifest: it promises that they are there, after a power cut as well.
            for folder in {(output_dir / name).parent for record in records for name in (record.image, record.label)}:
                sync_folder(folder)
            manifest.save(output_dir / MANIFEST)
            if not protect.faults:
                unfinished.remove()
            sync_folder(output_dir)
    return manifest


def protect_shard(
    cases: Sequence[Case],
    protector: Protector,
    output_dir: str | Path,
    *,
    shard: Shard,
    seed: int = 0,
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> list[Quarantined]:
    """Protect one process's shard of the cases; others may work on theirs at the same time.

    No manifest is written: :func:`protect_dataset` with the same arguments does that when all shards are done. It keeps
    what it finds and protects what is missing, for example the cases of a process that died.

    Args:
        cases: all cases of the dataset, the same ones in every process.
        shard: which of them are this process's.
        protector, output_dir, seed, num_classes, intensity_window, progress: as for :func:`protect_dataset`.
        num_workers: threads, one case each; by default one, because the processes fill the machine.

    Returns:
        Cases of the shard that could not be protected. They will be tried once more when the manifest is written.

    Raises:
        DatasetError: as :func:`protect_dataset`, but not for a shard without usable cases; also if another process has
            the same shard, or other shards or settings.
    """
    output_dir = Path(output_dir)
    settings = deciding_settings(cases, seed, num_classes, intensity_window)
    with _opened(cases, protector, output_dir, settings=settings, shard=shard) as unfinished:
        protect = _Protection(protector, output_dir, num_classes, intensity_window, unfinished)
        return map_cases(
            protect, shard.of(cases), title=f"protect shard {shard}", num_workers=num_workers or 1, progress=progress
        )[1]


class _Protection:
    """Protects case after case, unless it is finished, and remembers it; threads may call it at the same time.

    Attributes:
        faults: ids of cases that failed because of the machine.
    """

    def __init__(
        self,
        protector: Protector,
        output_dir: Path,
        num_classes: int,
        intensity_window: IntensityWindow | None,
        unfinished: Unfinished,
    ) -> None:
        self.faults: list[str] = []
        self._protector, self._output_dir, self._num_classes, self._intensity_window = (
            protector,
            output_dir,
            num_classes,
            intensity_window,
        )
        self._unfinished = unfinished

    def __call__(self, case: Case) -> CaseRecord:
        try:
            kept = self._unfinished.find(case.id)
            if kept is not None and is_finished(kept, case, self._output_dir):
                return kept
            clear_cases([case], self._output_dir)
            record = protect_case(
                case,
                self._protector,
                self._output_dir,
                num_classes=self._num_classes,
                intensity_window=self._intensity_window,
            )
        except (CaseError, CodecError, *FAULTS) as error:
            with suppress(OSError):
                clear_cases([case], self._output_dir)
            if find_fault(error) is not None:
                self.faults.append(case.id)
            raise CaseError(case.id, explain(error, case.image.parent, case.label.parent)) from error
        with suppress(OSError):  # the case is finished; without its record it is merely computed again after a kill
            self._unfinished.add(record)
        return record


def deciding_settings(
    cases: Sequence[Case], seed: int, num_classes: int, intensity_window: IntensityWindow | None
) -> dict[str, Any]:
    """Return what decides the bytes of the files besides the protector."""
    settings: dict[str, Any] = {"seed": seed, "num_classes": num_classes, "window": intensity_window}
    if cases and cases[0].ignore_label is not None:
        settings["ignore_label"] = cases[0].ignore_label
    return settings


@contextmanager
def _opened(
    cases: Sequence[Case], protector: Protector, output_dir: Path, *, settings: dict[str, Any], shard: Shard
) -> Iterator[Unfinished]:
    """Keep other runs out of the folder, and remove what they left."""

    def prepare(anew: bool) -> None:
        for leftover in [output_dir / MANIFEST, *leftovers(output_dir)]:
            remove(leftover)
        clear_listing(cases, output_dir)
        if anew:
            clear_cases(cases, output_dir)

    refuse_protected(shard.of(cases))
    unfinished = Unfinished(output_dir, run_digest(protector, **settings), shard)
    with ExitStack() as stack:
        with _named_faults(output_dir):
            check_folders(cases, output_dir)
            check_listing(cases)
            for folder in {Path(name).parent for case in cases for name in protected_names(case)}:
                (output_dir / folder).mkdir(parents=True, exist_ok=True)
            stack.enter_context(unfinished.hold(prepare))
        yield unfinished


@contextmanager
def _named_faults(output_dir: Path, quarantined: Sequence[Quarantined] = ()) -> Iterator[None]:
    """Turn what keeps a folder, not just a case, from being written into an error that says how to go on."""
    try:
        yield
    except HeldError as error:
        raise DatasetError(str(output_dir), [str(error)]) from error
    except OSError as error:
        others = [f"{entry.id}: {entry.reason}" for entry in quarantined]
        kept = "cases that are finished will be kept"
        raise DatasetError(str(output_dir), [f"{explain(error)}; {kept}", *others]) from error


def report(manifest: Manifest | None, output_dir: str | Path) -> Manifest | None:
    """Print what was protected, how visible it is, what was left out and why, and where everything lies.

    Nothing is printed for a process that has written no manifest.
    """
    if manifest is None:
        return None
    means = manifest.mean_fidelity()
    figures = "" if means["psnr"] is None else f"PSNR {means['psnr']:.2f} dB, "
    figures += f"SSIM {means['ssim']:.4f}"
    color = manifest.mean_ciede2000()
    figures += "" if color is None else f", CIEDE2000 {color:.2f}"
    print(f"Protected {len(manifest.cases)} cases ({figures}) into {output_dir}; the record is {MANIFEST} beside them.")
    if manifest.quarantined:
        print(f"Left out {len(manifest.quarantined)}, which were not written:")
        for entry in manifest.quarantined:
            print(f"  {entry.id}: {entry.reason}")
    if manifest.unlabeled:
        reason = "nothing says where to protect them, and as they are they belong into no release"
        print(f"Left out {manifest.unlabeled} images without a label: {reason}.")
    return manifest
