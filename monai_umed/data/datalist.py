"""Datasets described by a Decathlon-style list in a JSON file."""

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..io.dicom_sign import split_file
from ..io.image_files import link_out, pair_problem, series_problem
from ..io.suffixes import SUPPORTED
from .case import Case, DatasetError, Found

_TRAIN_KEYS = ("training", "train")
_TEST_KEYS = ("test", "validation")


def read_datalist(path: Path) -> Found:
    """Read a datalist.

    Args:
        path: JSON file ``{"training" or "train": [{"image": str, "label": str}, ...], "test" or "validation": ...}``
            with paths relative to its folder. Test entries without a label are ignored.

    Returns:
        Cases, offenders and, if there are labelled test cases, sections.

    Raises:
        DatasetError: the file is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(str(path), [f"{path.name}: no valid JSON ({error}); repair it"]) from error
    if not isinstance(content, dict):
        raise DatasetError(str(path), [f"{path.name}: must be a JSON object with the list 'training'; repair it"])
    found = Found()
    images: dict[str, str] = {}
    for keys, section in ((_TRAIN_KEYS, "train"), (_TEST_KEYS, "test")):
        for key in keys:
            entries = content.get(key, [])
            if not isinstance(entries, list):
                found.offenders.append(f"{path.name}: {key!r} must be a list; repair it")
                continue
            for number, entry in enumerate(entries):
                _add_entry(found, images, path.parent, f"{key}[{number}]", entry, section)
    if "test" not in found.sections.values():
        found.sections.clear()
    return found


def _add_entry(found: Found, images: dict[str, str], root: Path, name: str, entry: Any, section: str) -> None:
    if section == "test" and (isinstance(entry, str) or (isinstance(entry, dict) and "label" not in entry)):
        return
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("image", "label")):
        found.offenders.append(f"{name}: must hold one image and one label path; one channel per case is supported")
        return
    name_of_image = PurePosixPath(entry["image"]).name
    case_id = name_of_image if (root / entry["image"]).is_dir() else split_file(root / entry["image"])[0]
    reasons = [reason for key in ("image", "label") if (reason := _path_problem(root, entry[key], key))]
    if case_id in images:
        reasons.append(f"{entry['image']}: same name as {images[case_id]}; list each image once, rename equal names")
    images[case_id] = entry["image"]
    if reasons:
        found.offenders.extend(f"{name}: {reason}" for reason in reasons)
        found.broken_ids.add(case_id)
        return
    found.cases.append(Case(case_id, root / entry["image"], root / entry["label"]))
    found.sections[case_id] = section


def _path_problem(root: Path, text: str, key: str) -> str | None:
    if "\0" in text:
        return f"{text!a}: holds a zero byte; repair the entry"
    if PurePosixPath(text).is_absolute() or PureWindowsPath(text).drive or ".." in Path(text).parts:
        return f"{text}: leaves the dataset's folder; use a path relative to it, without '..'"
    target = root / text
    if link := link_out(target, root):
        return f"{text}: {link.name} is a link that leaves the dataset's folder; copy what it points to into it"
    if target.is_dir():
        problem = series_problem(target, root, label=key == "label")
        return problem and f"{text}: {problem}"
    if reasons := pair_problem(target):
        return f"{text}: {'; '.join(reasons)}"
    if not target.is_file():
        return f"{text}: no such file; add it or remove the entry"
    if split_file(target)[1] not in SUPPORTED:
        return f"{text}: unknown file ending; convert it to one of {', '.join(SUPPORTED)}"
    return None
