"""Check a protected folder: every file is the one that the manifest describes, and no pixel left its budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..data.case import Case, CaseError, DatasetError
from ..data.cases import find_cases
from ..data.dataset_json import DATASET_JSON
from ..data.manifest import MANIFEST, UNFINISHED, CaseRecord, Manifest, ManifestError
from ..data.parallel import track
from ..data.two_folders import DatasetDir
from ..functional.eps import check_eps
from ..io.atomic import leftovers
from ..io.checksum import sha256_file, sha256_path
from ..io.image_files import files_of
from ..io.stored import CodecError
from ..sealing.keys import is_key_file
from ..sealing.records import SEALED_SUFFIX, path_inside
from .listing import listing_problems
from .pixels import AGAIN, pixel_problems
from .unfinished import is_mark


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a protected folder.

    Attributes:
        id: id of the case, or the name of the file if it belongs to none.
        what: what is wrong, and the cure.
    """

    id: str
    what: str


def verify_folder(
    protected_dir: str | Path, original_dir: DatasetDir | None = None, progress: bool = True
) -> list[Problem]:
    """Compare a protected folder with its manifest, and with the originals if they are at hand.

    Without originals: all listed images and masks are there with their checksums, shape and type; nothing else
    is there. With them: they are the files that were protected; shape, type and geometry of image and original
    are equal, of NIfTI files the whole header; no stored value moved further than eps of its window, in whole grey
    levels for integers; in every channel that has a window of its own at least half of the perturbation arrived, as
    when it was protected; alpha did not change; the manifest's figures are those of the files; where files tell their
    place in the patient, pixels changed there and nowhere else, as far as the protector keeps to a region. A case in
    which no pixel changed, as the manifest says, is a problem with and without them.

    A manifest is not signed. Whoever can write to the folder can make the manifest fit other files; originals show
    that, and so does :func:`monai_umed.sealing.restore.restore_dataset`, which authenticates names and checksums.
    Budget and window are always taken from the manifest.

    Args:
        protected_dir: folder that :func:`monai_umed.release.protect.protect_dataset` wrote.
        original_dir: the dataset that was protected; it may hold further cases.
        progress: whether to show a progress bar.

    Returns:
        What is wrong: the manifest first, then cases, then files that belong to none. Empty if all is well.

    Raises:
        DatasetError: no such folder, or the originals are no dataset.
    """
    folder = Path(protected_dir)
    if not folder.is_dir():
        raise DatasetError(str(folder), ["no such folder; check the path"])
    try:
        manifest = Manifest.load(folder / MANIFEST)
    except ManifestError as error:
        if (folder / UNFINISHED).exists():
            return [Problem(UNFINISHED, "protection was interrupted; run it again")]
        return [Problem(MANIFEST, str(error).removeprefix(f"{MANIFEST}: "))]
    originals = None if original_dir is None else _originals(original_dir, manifest)
    problems = [Problem(MANIFEST, text) for text in _manifest_problems(manifest)]
    contents = _known_contents(manifest)
    for record in track(manifest.cases, len(manifest.cases), title=f"verify {folder.name}", disable=not progress):
        try:
            found = list(_file_problems(folder, record, contents))
            if not found:  # a file that is the wrong one has pixels of its own, which would only repeat the complaint
                found = list(pixel_problems(folder / record.image, record, manifest, originals))
        except CaseError as error:
            found = [error.reason]
        except (CodecError, OSError) as error:
            found = [f"{error}; {AGAIN}" if isinstance(error, OSError) else str(error)]
        problems += [Problem(record.id, text) for text in found]
    problems += [Problem(DATASET_JSON, f"{text}; {AGAIN}") for text in listing_problems(folder, manifest, originals)]
    return problems + list(_foreign_files(folder, manifest, contents))


def _originals(original_dir: DatasetDir, manifest: Manifest) -> dict[str, Case]:
    return {case.id: case for case in find_cases(original_dir, merge_masks=manifest.merges_masks)}


def _manifest_problems(manifest: Manifest) -> Iterator[str]:
    try:
        check_eps(manifest.eps)
    except ValueError as error:
        yield str(error)
    if not manifest.cases:
        yield "lists no case; restore it from a copy"
    counts = Counter(name for record in manifest.cases for name in (record.image, record.label))
    for name in sorted(name for name, count in counts.items() if count > 1):
        yield f"lists {name} {counts[name]} times; restore it from a copy"


def _known_contents(manifest: Manifest) -> dict[str, str]:
    """What a file is, by its checksum; the protected image counts where it equals its original."""
    cure = "put the files back under their own names"
    contents = {
        record.sha256_before: f"the unprotected original of case {record.id!r}; remove it before anything is published"
        for record in manifest.cases
    }
    contents |= {record.label_sha256: f"the mask of case {record.id!r}; {cure}" for record in manifest.cases}
    contents |= {record.sha256_after: f"the protected image of case {record.id!r}; {cure}" for record in manifest.cases}
    return contents


def _file_problems(folder: Path, record: CaseRecord, contents: dict[str, str]) -> Iterator[str]:
    for name, expected in ((record.image, record.sha256_after), (record.label, record.label_sha256)):
        path = path_inside(folder, name, record)
        missing = [file.relative_to(folder).as_posix() for file in files_of(path) if not file.exists()]
        yield from (f"{file} is missing; {AGAIN}" for file in missing)
        if not missing and (found := sha256_path(path)) != expected:
            known = contents.get(found, f"not the file that {MANIFEST} describes; {AGAIN}")
            yield f"{_changed_files(path, name, record)} is {known}"


def _changed_files(path: Path, name: str, record: CaseRecord) -> str:
    """The files of channels that are not those of the manifest; the whole image if that does not know them."""
    files, known = files_of(path), record.channel_sha256 or ()
    if name != record.image or len(files) != len(known):
        return name
    changed = [file.name for file, sha256 in zip(files, known, strict=True) if sha256_file(file) != sha256]
    return f"{', '.join(changed)} of {name}" if changed else name


def _foreign_files(folder: Path, manifest: Manifest, contents: dict[str, str]) -> Iterator[Problem]:
    """What lies in the folder and belongs to no case; many sealed files, or marks of a run, are one problem."""
    images = (folder / name for record in manifest.cases for name in (record.image, record.label))
    listed = {folder / MANIFEST, *(file for image in images for file in files_of(image))}
    listed |= {folder / DATASET_JSON} if manifest.dataset_json_sha256 is not None else set()
    killed = set(leftovers(folder))
    marked, sealed = False, []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path in killed:
            yield Problem(name, "left behind by an interrupted write; remove it")
        elif path.is_symlink():
            yield Problem(name, "a link, which breaks where the folder goes; replace it by what it points to")
        elif path.is_file() and path not in listed and not killed & set(path.parents):
            if path.name.endswith(SEALED_SUFFIX):
                sealed.append(name)
            elif is_mark(name):
                marked = True
            else:
                yield Problem(name, _explain_foreign(path, contents))
    if marked:
        reason = "a run was interrupted after its last file, or could not reach every file; protect again"
        yield Problem(UNFINISHED, reason)
    if sealed:
        cure = "move them beside this folder, where `monai-umed restore` looks for them"
        yield Problem(
            f"{sealed[0].split('/')[0]}/", f"{len(sealed)} sealed files, which a new run would refuse; {cure}"
        )


def _explain_foreign(path: Path, contents: dict[str, str]) -> str:
    try:
        if is_key_file(path):
            return "A SECRET KEY, which restores every original; move it away and publish nothing before"
        known = contents.get(sha256_path(path))
    except OSError as error:
        return f"it cannot be read ({error}) and is not in {MANIFEST}; remove it"
    if known:
        return known
    if path.name.startswith("."):
        return "a hidden file, such as operating systems leave behind; remove it"
    return f"not in {MANIFEST}; remove it, or protect again with it"
