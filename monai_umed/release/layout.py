"""Where protected files go, and which folders are refused: nothing foreign is lost, nothing is written elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..data.case import Case, DatasetError
from ..data.dataset_json import DATASET_JSON
from ..data.manifest import MANIFEST
from ..io.atomic import is_temporary
from ..io.image_files import part_path, parts_of
from ..io.listing import overlap, real_folders
from ..io.suffixes import output_name
from .unfinished import is_mark


def protected_names(case: Case) -> tuple[str, str]:
    """Where the image and the mask of a case go, relative to the protected folder: names and layout are mirrored.

    Cases of a dataset whose folders are kept stay in these folders.
    """
    if case.root is not None:
        image, label = (path.relative_to(case.root) for path in (case.image, case.label))
        return image.with_name(output_name(case.image)).as_posix(), label.as_posix()
    images, masks = ("imagesTr", "labelsTr") if case.image.parent.name == "imagesTr" else ("images", "masks")
    return f"{images}/{output_name(case.image)}", f"{masks}/{case.label.name}"


def check_folders(cases: Sequence[Case], output_dir: Path) -> None:
    """Refuse cases and folders with which files would be lost or written elsewhere.

    Args:
        cases: what is to be protected.
        output_dir: folder to write; it need not exist.

    Raises:
        DatasetError: names that lead out of the folder, that two cases share or that no manifest can hold; an output
            folder that overlaps with the input, or holds links or files of another origin.
        OSError: If a folder cannot be read.
    """
    for problems in (_name_problems, _overlaps, _doubles, _links, _foreign):
        if offenders := list(problems(cases, output_dir)):
            raise DatasetError(str(output_dir), offenders)


def _name_problems(cases: Sequence[Case], output_dir: Path) -> Iterator[str]:
    paths = {PurePosixPath(name) for case in cases for name in protected_names(case)}
    names = {part for path in paths for part in path.parts} | {case.image.name for case in cases}
    # Of a file that has such a name itself nobody could tell that it is one.
    barred = {path.name for case in cases for path in (case.image, case.label) if "|" in path.name and path.exists()}
    for name in sorted(names):
        if name in ("", "..") or PureWindowsPath(name).name != name or name in barred:
            yield f"{name!r}: no plain file name on every system; rename it, without colons, backslashes and bars"
        elif name != name.encode(errors="replace").decode():
            yield f"{name!a}: no UTF-8, other systems could not write this name; rename it"


def _overlaps(cases: Sequence[Case], output_dir: Path) -> Iterator[str]:
    sources = real_folders([path for case in cases for path in (case.image, case.label)])
    roots = {source.parent for source in sources}
    # Cases that are searched for in all of a dataset's subfolders would be found in the output as well.
    sources |= {case.root.resolve() for case in cases if case.root is not None and case.listing is None}
    roots |= {case.root.resolve() for case in cases if case.root is not None}
    if output_dir.resolve() in roots or any(overlap(source, output_dir) for source in sources):
        yield f"{output_dir}: the output folder overlaps with the input images; choose a folder outside of them"


def _doubles(cases: Sequence[Case], output_dir: Path) -> Iterator[str]:
    for name in _repeated(name for case in cases for name in protected_names(case)):
        yield f"{name}: two cases would be written to it; rename one"
    for case_id in _repeated(case.id for case in cases):
        yield f"{case_id}: two cases have this id; rename one"


def _links(cases: Sequence[Case], output_dir: Path) -> Iterator[str]:
    """Any link below the folder: whatever is written through it may end up anywhere."""
    for path in sorted(output_dir.rglob("*")):
        if path.is_symlink():
            name = path.relative_to(output_dir).as_posix()
            yield f"{name}: a link; replace it by what it points to, or choose an empty folder"


def _foreign(cases: Sequence[Case], output_dir: Path) -> Iterator[str]:
    if not output_dir.is_dir():
        return
    expected = {MANIFEST, *(name for case in cases for name in _protected_files(case))}
    expected |= {DATASET_JSON for case in cases if case.listing is not None}
    files = (path.relative_to(output_dir) for path in output_dir.rglob("*") if not path.is_dir())
    # Hidden temporary files and folders are left when a write is killed, or come and go while another process of the
    # same run is at work; they are nobody's data.
    names = {path.as_posix() for path in files if not any(map(is_temporary, path.parts))}
    found = {name for name in names if not is_mark(name)}
    foreign = sorted(found - expected)
    # Equal names alone prove nothing: the folder may be another copy of the originals.
    if not foreign and MANIFEST not in found and found == names:
        foreign = sorted(found)
    for name in foreign:
        yield f"{name}: not written by this program for this dataset; choose an empty folder"


def _protected_files(case: Case) -> Iterator[str]:
    """Files that a case is written to: as `protected_names`, but all parts of an image that consists of several."""
    for source, name in zip((case.image, case.label), protected_names(case), strict=True):
        parts = parts_of(source)
        yield from [name] if parts is None else (part_path(Path(name), part).as_posix() for part in parts)


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
