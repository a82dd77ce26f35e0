"""Write a protected copy of a dataset: exact files, checked against the promise, and a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean

import torch

from .already_protected import refuse_protected
from .data import (
    Case,
    CaseError,
    CaseRecord,
    CodecError,
    DatasetError,
    Manifest,
    Quarantined,
    add_delta,
    load_case,
    measure,
    output_name,
    sha256_path,
    write_image,
)
from .data.atomic import leftovers, remove, sync_folder
from .data.content import read_content, write_content
from .data.image_files import files_of, is_complete
from .faults import FAULTS, explain, find_fault
from .fingerprint import fingerprint
from .journal import Journal
from .output_folder import MANIFEST, TOOL, UNFINISHED, check_folders, protected_names
from .protectors import UMed
from .training_set import map_cases


def tool_version() -> str:
    """Version of the installed package, ``"unknown"`` when it runs from a folder that was never installed."""
    try:
        return version("monai_umed")
    except PackageNotFoundError:
        return "unknown"


def protect_case(
    case: Case, protector: UMed, output_dir: Path, num_classes: int = 2, window: tuple[float, float] | None = None
) -> CaseRecord:
    """Protect one case at its native size and describe what was written.

    The image is written all at once or not at all; the mask is copied byte for byte. Figures are taken from the
    stored grey levels, not from the tensors before rounding.

    Raises:
        CaseError: if the case cannot be used; nothing is written then.
    """
    loaded = load_case(case, num_classes, window)
    stored = loaded.stored
    image, label = torch.from_numpy(stored.scaled()), torch.from_numpy(loaded.label)
    try:
        delta, bound = protector(image, label, stored.spacing, stored.levels)
    except ValueError as error:
        raise CaseError(case.id, str(error)) from error
    protected = add_delta(stored, delta.numpy(), bound.numpy())
    fidelity = measure(stored.color, protected[: len(stored.color)], stored.width)
    image_name, label_name = protected_names(case)
    write_image(output_dir / image_name, protected, stored)
    write_content(output_dir / label_name, read_content(case.label))
    notes = []
    if output_name(case.image) != case.image.name:
        notes.append("lossy input was written as PNG")
    if fidelity.max_abs_delta == 0:
        notes.append("nothing changed: every bound is below one grey level")
    return CaseRecord(
        id=case.id,
        image=image_name,
        label=label_name,
        source=case.image.name,
        sha256_before=sha256_path(case.image),
        sha256_after=sha256_path(output_dir / image_name),
        label_sha256=sha256_path(output_dir / label_name),
        shape=protected.shape,
        dtype=str(protected.dtype),
        window=stored.window,
        max_abs_delta=fidelity.max_abs_delta,
        psnr=fidelity.psnr,
        ssim=fidelity.ssim,
        perturbed_fraction=fidelity.perturbed_fraction,
        note="; ".join(notes) or None,
    )


def _is_finished(record: CaseRecord, case: Case, output_dir: Path) -> bool:
    """Whether the files on both sides are still those that the record describes."""
    image_name, label_name = protected_names(case)
    if (record.image, record.label, record.source) != (image_name, label_name, case.image.name):
        return False
    expected = {
        output_dir / image_name: record.sha256_after,
        output_dir / label_name: record.label_sha256,
        case.image: record.sha256_before,
        case.label: record.label_sha256,
    }
    return all(is_complete(path) and sha256_path(path) == sha256 for path, sha256 in expected.items())


def _clear(cases: Iterable[Case], output_dir: Path) -> None:
    for case in cases:
        for name in protected_names(case):
            path = output_dir / name
            for file in (*files_of(path), path):
                remove(file)


def _prepare(cases: Sequence[Case], output_dir: Path, journal: Journal) -> dict[str, CaseRecord]:
    """Make the folders, remove what other runs left, and return what this one has finished already."""
    for folder in {Path(name).parent for case in cases for name in protected_names(case)}:
        (output_dir / folder).mkdir(parents=True, exist_ok=True)
    finished = journal.read()
    if finished is None:
        journal.start()
    for leftover in [output_dir / MANIFEST, *leftovers(output_dir)]:
        remove(leftover)
    if finished is None:
        _clear(cases, output_dir)
    return finished or {}


@contextmanager
def _named_faults(output_dir: Path, quarantined: Sequence[Quarantined] = ()) -> Iterator[None]:
    """Turn the machine's faults outside of any case into a `DatasetError` that says how to go on."""
    try:
        yield
    except OSError as error:
        others = [f"{entry.id}: {entry.reason}" for entry in quarantined]
        kept = "cases that are finished will be kept"
        raise DatasetError(str(output_dir), [f"{explain(error)}; {kept}", *others]) from error


def protect_dataset(
    cases: Sequence[Case],
    protector: UMed,
    output_dir: str | Path,
    seed: int = 0,
    num_classes: int = 2,
    window: tuple[float, float] | None = None,
    num_workers: int | None = None,
    progress: bool = True,
) -> Manifest:
    """Protect all cases into a folder of the same layout with a ``manifest.json``.

    The manifest is removed first and written last, so a folder without one is unfinished. Killed at any moment and run
    again, it ends with the same bytes: a journal lists each finished case, which is kept if protector, settings and
    program are the same and its files on both sides unchanged. A finished folder is protected anew. One that
    holds files but neither a manifest nor the mark of an unfinished run is never touched.

    Cases that cannot be used are listed in the manifest and left out; so are those whose files cannot be read or
    written (full disk, missing rights), which leave the journal behind: running again redoes only them.

    Args:
        cases: what to protect, see :func:`monai_umed.data.find_cases`.
        protector: the fitted protector.
        output_dir: folder to write; made if needed.
        seed: seed of the fit, for the record.
        num_classes: classes of the masks, background included.
        window: intensities that map to 0 and 1, see :func:`monai_umed.data.read_image`.
        num_workers: threads, one case each; by default two images at a time, or one volume, which takes gigabytes.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: if the input is protected already, the output folder overlaps with it, holds links or foreign
            files, or cannot be written, names lead out of it, or no case could be used.
    """
    output_dir = Path(output_dir)
    refuse_protected(cases)
    journal = Journal(
        output_dir / UNFINISHED, fingerprint(protector, seed=seed, num_classes=num_classes, window=window)
    )
    with _named_faults(output_dir):
        check_folders(cases, output_dir)
        finished = _prepare(cases, output_dir, journal)
    faults: list[str] = []

    def protect(case: Case) -> CaseRecord:
        try:
            kept = finished.get(case.id)
            if kept is not None and _is_finished(kept, case, output_dir):
                return kept
            _clear([case], output_dir)
            record = protect_case(case, protector, output_dir, num_classes, window)
        except (CaseError, CodecError, *FAULTS) as error:
            with suppress(OSError):
                _clear([case], output_dir)
            if find_fault(error) is not None:
                faults.append(case.id)
            raise CaseError(case.id, explain(error, case.image.parent, case.label.parent)) from error
        with suppress(OSError):  # the case is finished; without its line it is merely computed again after a kill
            journal.add(record)
        return record

    workers = num_workers or (1 if protector.spatial_dims == 3 or protector.slice_axis is not None else 2)
    records, quarantined = map_cases(protect, cases, f"protect into {output_dir.name}", workers, progress)
    if not records:
        with suppress(OSError):
            remove(journal.path)
        raise DatasetError(str(output_dir), [f"{entry.id}: {entry.reason}" for entry in quarantined])
    manifest = Manifest(
        tool=TOOL,
        version=tool_version(),
        protector=repr(protector),
        seed=seed,
        eps=protector.eps,
        cases=records,
        quarantined=quarantined,
    )
    with _named_faults(output_dir, quarantined):
        # All files before the manifest: it promises that they are there, after a power cut as well.
        for folder in {(output_dir / name).parent for record in records for name in (record.image, record.label)}:
            sync_folder(folder)
        manifest.save(output_dir / MANIFEST)
        if not faults:
            remove(journal.path)
        sync_folder(output_dir)
    return manifest


def report(manifest: Manifest, output_dir: str | Path) -> Manifest:
    """Print what was protected, how visible it is, what was left out and why, and where everything lies."""
    psnr = [case.psnr for case in manifest.cases if case.psnr is not None]
    figures = f"PSNR {mean(psnr):.2f} dB, " if psnr else ""
    figures += f"SSIM {mean(case.ssim for case in manifest.cases):.4f}"
    print(f"Protected {len(manifest.cases)} cases ({figures}) into {output_dir}; the record is {MANIFEST} beside them.")
    if manifest.quarantined:
        print(f"Left out {len(manifest.quarantined)}, which were not written:")
        for entry in manifest.quarantined:
            print(f"  {entry.id}: {entry.reason}")
    return manifest
