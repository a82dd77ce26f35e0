"""Seal a whole protected folder, and restore the original files from it with the key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..data.case import Case, CaseError, DatasetError
from ..data.dataset_json import DATASET_JSON
from ..data.manifest import CaseRecord, Quarantined
from ..data.parallel import track
from ..io.checksum import sha256_path
from ..io.content import Content, read_content, write_content
from ..io.image_files import is_complete, part_path
from ..io.listing import overlap
from .listing import restore_listing
from .records import open_original, original_name, path_inside, read_inside, read_mask, read_records, sealed_name
from .seal import WrongKeyError, open_case, seal_case


@dataclass(frozen=True)
class CaseReport:
    """What became of each case.

    Attributes:
        done: ids of cases that were written.
        kept: ids of cases whose files were there already, whole and right.
        failed: the others, with reason and cure.
    """

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[Quarantined] = field(default_factory=list)


def seal_dataset(
    cases: Sequence[Case], protected_dir: str | Path, sealed_dir: str | Path, *, key: bytes, progress: bool = True
) -> CaseReport:
    """Seal every case of a protected folder, see :func:`monai_umed.sealing.seal.seal_case`.

    A file that is already sealed with this key is opened and kept if it gives the original, so running again goes on
    where it stopped and checks the rest. A damaged or outdated one is sealed anew; one of another key is
    never overwritten. Sealed files mirror the names of the public images and hence tell nothing new.

    Args:
        cases: the originals, see :func:`monai_umed.data.cases.find_cases`; those not in the manifest are ignored.
        protected_dir: folder that :func:`monai_umed.release.protect.protect_dataset` wrote.
        sealed_dir: folder to write, made if needed; it may lie in ``protected_dir`` beside images and masks.
        key: 32 bytes, see :func:`monai_umed.sealing.keys.new_key`.
        progress: whether to show a progress bar.

    Returns:
        What was sealed, kept and why the others were not sealed.

    Raises:
        DatasetError: the folder to write overlaps with images or masks, or the manifest names no usable files.
        ManifestError: no usable manifest.
        WrongKeyError: all cases are sealed already, with another key.
        ValueError: ``key`` has another length.
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
        original = read_content(originals[record.id])
        protected = read_inside(protected_dir, record.image, record, read_content)
        target = path_inside(sealed_dir, sealed_name(record), record)
        if target.exists():
            try:
                if open_case(target.read_bytes(), protected, record, key) == original:
                    return False
            except WrongKeyError:
                raise
            except CaseError:
                pass  # the original is at hand, so whatever is wrong with the sealed file is cured by a new one
        _write(target, seal_case(original, protected, record, key))
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
    """Give the original files back, bit by bit, under their own names, with their masks.

    A case is written only if its sealed file, its protected image and its mask are all unchanged; all of this is
    authenticated with the key, not just compared with the manifest. Files that are there already are kept if they are
    the originals and otherwise never overwritten, so an interrupted run goes on where it stopped. A ``dataset.json``
    comes last, once all cases are there, see `restore_listing`.

    Args:
        protected_dir: the public folder with its manifest.
        sealed_dir: what :func:`seal_dataset` wrote.
        output_dir: folder to write, made if needed: images and masks lie as in ``protected_dir``.
        key: 32 bytes, see :func:`monai_umed.sealing.keys.read_key`.
        cases: ids of the cases to restore. Default: all.
        progress: whether to show a progress bar.

    Returns:
        What was restored, what was there already and why the others were not restored.

    Raises:
        DatasetError: the folders overlap, the manifest names no usable files, or ``cases`` has an unknown id.
        ManifestError: no usable manifest.
        WrongKeyError: nothing could be restored, because every case was sealed with another key.
        ValueError: ``key`` has another length.
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
        # Also for a mask alone: it shows that the owner of the key vouches for names and checksums.
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
    """What there is of an image whose other files are missing must be right, too."""
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
    """Apply ``function``, which says whether it wrote anything, to one case after the other."""
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
