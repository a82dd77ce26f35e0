"""Datasets laid out as one folder of images and one of labels."""

import re
from pathlib import Path

from monai_umed.data.image_files import is_pair_header, pair_problem, series_problem
from monai_umed.data.listing import visible
from monai_umed.data.pairs import Case, Found
from monai_umed.data.suffixes import SUPPORTED, split_name

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})$")


def scan_folders(image_dir: Path, label_dir: Path) -> Found:
    """Pair the files of two folders by their names without ending.

    Args:
        image_dir: existing folder of images, each a file, a NIfTI pair or a folder of DICOM slices; nnU-Net's ``_0000``
            at the end of a name is dropped if that gives a case.
        label_dir: folder of labels, each a file or a NIfTI pair.

    Returns:
        Cases and offenders.
    """
    found = Found()
    if not label_dir.is_dir():
        found.offenders.append(f"{label_dir.name}/: no such folder; put one label per image there")
        return found
    labels = _by_stem(label_dir, found, series=False)
    images = _by_case(_by_stem(image_dir, found, series=True), labels, found)
    for stem in sorted(images.keys() | labels.keys()):
        if stem in images and stem in labels:
            found.cases.append(Case(stem, images[stem], labels[stem]))
            continue
        found.broken_ids.add(stem)
        if stem in images:
            name, other = f"{image_dir.name}/{images[stem].name}", f"no label {label_dir.name}/{stem}.*"
        else:
            name, other = f"{label_dir.name}/{labels[stem].name}", f"no image {image_dir.name}/{stem}.*"
        found.offenders.append(f"{name}: {other}; add it, or remove this file")
    return found


def _by_stem(folder: Path, found: Found, series: bool) -> dict[str, Path]:
    """Files by name without ending; with ``series`` also folders of DICOM slices by name."""
    files: dict[str, Path] = {}
    for path in visible(folder):
        if is_pair_header(path):
            continue
        name = f"{folder.name}/{path.name}"
        stem, suffix = (path.name, "") if path.is_dir() else split_name(path.name)
        if problem := _problem(path, suffix, series):
            found.offenders.append(f"{name}: {problem}")
            found.broken_ids.add(stem)
        elif stem in files:
            found.offenders.append(f"{name}: same name as {files[stem].name}; rename one of them, with its pair")
            found.broken_ids.add(stem)
        else:
            files[stem] = path
    return files


def _problem(path: Path, suffix: str, series: bool) -> str | None:
    if path.is_dir():
        if series:
            return series_problem(path, root=path.parent.parent)
        return "a folder; move its files up, subfolders are not searched"
    if problem := pair_problem(path):
        return "; ".join(problem)
    if suffix not in SUPPORTED:
        return f"unknown file ending {suffix!r}; convert it to one of {', '.join(SUPPORTED)} or move it away"
    return None


def _by_case(images: dict[str, Path], labels: dict[str, Path], found: Found) -> dict[str, Path]:
    """Drop the channel numbers of nnU-Net from image names that only then have a label."""
    cases: dict[str, Path] = {}
    for stem, path in images.items():
        match = _CHANNEL.match(stem)
        if stem in labels or match is None or match["case"] not in labels:
            case_id = stem
        elif match["channel"] == "0000":
            case_id = match["case"]
        else:
            name = f"{path.parent.name}/{path.name}"
            found.offenders.append(f"{name}: a further channel of {match['case']}; keep one channel per case")
            continue
        if case_id in cases:
            found.offenders.append(f"{path.parent.name}/{path.name}: same case as {cases[case_id].name}; remove one")
            continue
        cases[case_id] = path
    return cases
