"""Datasets laid out as images in one place and labels in another."""

from collections.abc import Sequence
from pathlib import Path

from ..io.dicom_sign import split_file
from ..io.image_files import is_pair_header, pair_problem, series_problem
from ..io.listing import visible
from ..io.suffixes import SUPPORTED
from .case import Case, Found
from .channel_groups import channel_of, group_channels, labelled_names
from .pairing import Kind, Pairing, case_names, further_label, merge_further, pair_names


def scan_folders(images: Path, labels: Path, *, channels: int | None = None, merge_masks: bool = False) -> Found:
    """Pair images and labels in two places by their names without ending, see `pair_names` and `group_channels`.

    Args:
        images: existing folder of images, each a file, a NIfTI pair or a folder of DICOM slices; or a single one of
            these if ``labels`` is a file. A single case is for training.
        labels: folder of labels, each a file, a NIfTI pair, or a folder of a series or of one picture per slice; or a
            file.
        channels: files of each case, if somebody says so.
        merge_masks: whether several masks of an image are its label together.

    Returns:
        Cases and offenders.
    """
    found = Found()
    if problem := _misplaced(images, labels):
        found.offenders.append(problem)
        return found
    single = labels.is_file()
    files: dict[Kind, dict[str, Path]] = {
        "image": _by_stem([images] if single else _entries(images), found, label=False),
        "label": _by_stem([labels] if single else _entries(labels), found, label=True),
    }
    files["image"] = group_channels(files["image"], files["label"], channels)
    pairing = pair_names(files["image"].keys(), files["label"].keys())
    if merge_masks:
        files["label"] = merge_further(pairing, files["label"])
    for case_id, (image, label) in pairing.pairs.items():
        found.cases.append(Case(case_id, files["image"][image], files["label"][label]))
        if single:
            found.sections[case_id] = "train"
    for kind, stem in pairing.alone:
        found.broken_ids.update(case_names(stem, kind))
    folders: dict[Kind, str] = {"image": (images.parent if single else images).name}
    folders["label"] = (labels.parent if single else labels).name
    found.offenders.extend(_explain(pairing, files, folders))
    return found


def _misplaced(images: Path, labels: Path) -> str | None:
    if not labels.exists():
        return f"{labels.name}/: no such folder; put one label per image there"
    if images.is_file() and labels.is_dir():
        return f"{images.name} is a file, {labels.name}/ a folder; give two folders or two files"
    if images.resolve() == labels.resolve():
        return f"{images.name}: given for images and for labels; move the labels into a folder of their own"
    return None


def _explain(pairing: Pairing, files: dict[Kind, dict[str, Path]], folders: dict[Kind, str]) -> list[str]:
    """What is wrong with names that are no pair, sorted by case."""
    names = {(kind, stem): f"{folders[kind]}/{path.name}" for kind in files for stem, path in files[kind].items()}
    known = labelled_names(files["label"])
    offenders = []
    for (kind, stem), rivals in sorted(pairing.alone.items(), key=lambda entry: entry[0][::-1]):
        second = further_label(stem, files["label"]) if kind == "label" else None
        channel = channel_of(stem)
        if second:
            problem = second
        elif rivals:
            others = ", ".join(names[rival] for rival in rivals)
            problem = f"may belong to the same case as {others}; keep one image and one label of it, or rename"
        elif kind == "image" and channel and channel[0] in known:
            cure = "save all channels of it as single files with one ending, as NAME_0000, NAME_0001 and so on"
            problem = f"a further channel of {channel[0]}; {cure}"
        else:
            other: Kind = "label" if kind == "image" else "image"
            problem = f"no {other} {folders[other]}/{stem}.*; add it, or remove this file"
        offenders.append(f"{names[kind, stem]}: {problem}")
    return offenders


def _entries(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if not is_pair_header(path)]


def _by_stem(paths: Sequence[Path], found: Found, label: bool) -> dict[str, Path]:
    """Files by name without ending, and folders of slices by name."""
    files: dict[str, Path] = {}
    for path in paths:
        name = f"{path.parent.name}/{path.name}"
        stem, suffix = (path.name, "") if path.is_dir() else split_file(path)
        if problem := _problem(path, suffix, label):
            found.offenders.append(f"{name}: {problem}")
            found.broken_ids.add(stem)
        elif stem in files:
            found.offenders.append(f"{name}: same name as {files[stem].name}; rename one of them, with its pair")
            found.broken_ids.add(stem)
        else:
            files[stem] = path
    return files


def _problem(path: Path, suffix: str, label: bool) -> str | None:
    if path.is_dir():
        return series_problem(path, root=path.parent.parent, label=label)
    if problem := pair_problem(path):
        return "; ".join(problem)
    if suffix not in SUPPORTED:
        return f"unknown file ending {suffix!r}; convert it to one of {', '.join(SUPPORTED)} or move it away"
    return None
