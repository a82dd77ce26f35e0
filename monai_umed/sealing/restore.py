"""Seal the originals of a whole protected folder, and restore them with the key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..data.case import Case, CaseError, DatasetError
from ..data.dataset_json import DATASET_JSON
from ..data.manifest import CaseRecord, Quarantined
from ..data.parallel import track
from ..io.checksum import CHECKSUM, sha256_path
from ..io.content import Content, read_content, write_content
from ..io.image_files import is_complete, part_path
from ..io.listing import overlap
from ..io.once import recall
from .listing import restore_listing
from .records import open_original, original_name, path_inside, read_inside, read_mask, read_records, sealed_name
from .seal import WrongKeyError, open_case, seal_case


@dataclass(frozen=True)
class CaseReport:
    """The outcome of sealing or restoring, case by case.

    Attributes:
        done: ids of the cases that were written.
        kept: ids of the cases whose files were already there, complete and correct.
        failed: the other cases, with reason and cure.
    """

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[Quarantined] = field(default_factory=list)


def seal_dataset(
    cases: Sequence[Case], protected_dir: str | Path, sealed_dir: str | Path, *, key: bytes, progress: bool = True
) -> CaseReport:
    """Seal every case of a protected folder, see :func:`monai_umed.sealing.seal.seal_case`.

    A file that is already sealed with this key is kept if it opens to the original, so running again continues an
    interrupted run and checks what is there. A damaged or outdated file is sealed again; a file sealed with another
    key is never overwritten. Sealed files have the names of the public images and hence reveal nothing new.

    Args:
        cases: the originals, see :func:`monai_umed.data.cases.find_cases`; those not in the manifest are ignored.
        protected_dir: folder that :func:`monai_umed.release.protect.protect_dataset` wrote.
        sealed_dir: folder to write to, created if needed; it may be in ``protected_dir`` beside images and masks.
        key: 32 bytes, see :func:`monai_umed.sealing.keys.new_key`.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: If ``sealed_dir`` overlaps with images or masks, or the manifest lists files that cannot be used.
        ManifestError: If the manifest is missing or damaged.
        WrongKeyError: If all cases are already sealed with another key.
        ValueError: If ``key`` has another length.
    """
    protected_dir, sealed_dir = Path(protected_dir), Path(sealed_dir)
    records = read_records(protected_dir)
    used = {path.parent for case in cases for path in (case.image, case.label)}
    used |= {(protected_dir / name).parent for record in records for name in (record.image, record.label)}
    _check_apart(sealed_dir, used)
    originals = {case.id: case.image for case in cases}

    def seal(record: CaseRecord) -> bool:
        if record.id not in originals:
            raise CaseError(record.id, "its original is not among the cases; pass the dataset that was protected")
        source, public = originals[record.id], path_inside(protected_dir, record.image, record)
        original, protected = read_content(source), read_inside(protected_dir, record.image, record, read_content)
        # Asked for after the files were read: what is remembered does not hold for files that changed.
        checked = (recall(CHECKSUM, source), recall(CHECKSUM, public)) == (record.sha256_before, record.sha256_after)
        target = path_inside(sealed_dir, sealed_name(record), record)
        if target.exists():
            try:
                if open_case(target.read_bytes(), protected, record, key) == original:
                    return False
            except WrongKeyError:
                raise
            except CaseError:
                pass  # the original is at hand, so a new sealed file cures whatever is wrong with this one
        _write(target, seal_case(original, protected, record, key, checked=checked))
        return True

    return _for_each(seal, records, f"seal into {sealed_dir.name}", progress)


def restore_dataset(
    protected_dir: str | Path,
    sealed_dir: str | Path,
    output_dir: str | Path,
    *,
    key: bytes,
    cases: Sequence[str] | None = None,
    progress: bool = True,
) -> CaseReport:
    """Restore the original files bit by bit, under their own names and with their masks.

    A case is written only if its sealed file, its protected image and its mask are unchanged, which the key
    authenticates. Files that are already there are kept if they are the originals, and are never overwritten, so
    running again continues an interrupted run. A ``dataset.json`` is restored once all cases are, see
    `restore_listing`.

    Args:
        protected_dir: the public folder with its manifest.
        sealed_dir: folder that :func:`seal_dataset` wrote.
        output_dir: folder to write to, created if needed; images and masks are arranged as in ``protected_dir``.
        key: 32 bytes, see :func:`monai_umed.sealing.keys.read_key`.
        cases: ids of the cases to restore. Default: all.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: If the folders overlap, the manifest lists files that cannot be used, or an id is unknown.
        ManifestError: If the manifest is missing or damaged.
        WrongKeyError: If every case was sealed with another key.
        ValueError: If ``key`` has another length.
    """
    protected_dir, sealed_dir, output_dir = Path(protected_dir), Path(sealed_dir), Path(output_dir)
    records = read_records(protected_dir, cases)
    _check_apart(output_dir, (protected_dir, sealed_dir))

    def restore(record: CaseRecord) -> bool:
        image = path_inside(output_dir, original_name(record), record)
        label = path_inside(output_dir, record.label, record)
        missing = [
            path
            for path, sha256 in ((image, record.sha256_before), (label, record.label_sha256))
            if not _is_there(path, sha256, record)
        ]
        if not missing:
            return False
        # Also if only the mask is missing: opening the original authenticates the names and checksums.
        original = open_original(protected_dir, sealed_dir, record, key)
        mask = read_mask(protected_dir, record)
        contents = {path: original if path == image else mask for path in missing}
        for path, content in contents.items():
            _check_rest(path, content, record)
        for path, content in contents.items():
            _write(path, content)
        return True

    report = _for_each(restore, records, f"restore into {output_dir.name}", progress)
    if cases is None and not report.failed:
        try:
            restore_listing(protected_dir, output_dir)
        except CaseError as error:
            report.failed.append(Quarantined(error.case_id, error.reason))
        except OSError as error:
            report.failed.append(Quarantined(DATASET_JSON, f"{error}; repair it and run again"))
    return report


def _check_apart(output_dir: Path, used: Iterable[Path]) -> None:
    offenders = [
        f"{folder}: overlaps with {output_dir}, which would be written; choose a folder outside of it"
        for folder in sorted(used)
        if overlap(folder, output_dir)
    ]
    if offenders:
        raise DatasetError(str(output_dir), offenders)


def _is_there(path: Path, sha256: str, record: CaseRecord) -> bool:
    if not is_complete(path):
        return False
    if sha256_path(path) != sha256:
        raise _other_content(path, record)
    return True


def _check_rest(path: Path, content: Content, record: CaseRecord) -> None:
    """Raise `CaseError` if an existing file of an incomplete image differs from the original."""
    for part, expected in () if isinstance(content, bytes) else content.items():
        file = part_path(path, part)
        if file.exists() and file.read_bytes() != expected:
            raise _other_content(file, record)


def _other_content(path: Path, record: CaseRecord) -> CaseError:
    return CaseError(record.id, f"{path} exists with other content; move it away or choose an empty folder")


def _write(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_content(path, content)


def _for_each(
    function: Callable[[CaseRecord], bool], records: Sequence[CaseRecord], title: str, progress: bool
) -> CaseReport:
    """Apply ``function``, which returns whether it wrote anything, to one case after the other."""
    report = CaseReport()
    wrong_keys = []
    for record in track(records, len(records), title=title, disable=not progress):
        try:
            (report.done if function(record) else report.kept).append(record.id)
        except CaseError as error:
            report.failed.append(Quarantined(error.case_id, error.reason))
            wrong_keys += [error] if isinstance(error, WrongKeyError) else []
        except OSError as error:
            report.failed.append(Quarantined(record.id, f"{error}; repair it and run again"))
    if wrong_keys and len(wrong_keys) == len(records):
        raise wrong_keys[0]
    return report
