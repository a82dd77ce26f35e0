"""Datasets described by a Decathlon-style list in a JSON file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..io.dicom_sign import split_file
from ..io.image_files import link_out, pair_problem, series_problem
from ..io.joint_path import joint_files, joint_path, joint_stem
from ..io.suffixes import SUPPORTED, split_name
from .case import Case, DatasetError, Found
from .dataset_json import TEST_KEYS, TRAIN_KEYS, ListingError, read_listing
from .manifest import MANIFEST, Manifest, ManifestError

_COCO = {"annotations", "categories"}


def read_datalist(path: Path) -> Found:
    """Read a datalist.

    The id of a case is its image's file name without ending, or the path without ending where several images have one
    file name (``case_00000/imaging``). In a release, which may lack some of them, ids are those of its manifest.

    Args:
        path: JSON file ``{"training" or "train": [{"image": str, "label": str}, ...], "test" or "validation": ...}``
            with paths relative to its folder. Test entries without a label are ignored.

    Returns:
        Cases, offenders and, if there are labelled test cases, sections.

    Raises:
        DatasetError: If the file is no JSON object, or lists no cases but annotations as COCO does.
    """
    try:
        _, content = read_listing(path)
    except ListingError as error:
        raise DatasetError(str(path), [str(error)]) from error
    if not any(key in content for key in (*TRAIN_KEYS, *TEST_KEYS)):
        raise DatasetError(str(path), [_no_list(path, content)])
    found = Found()
    entries: list[tuple[str, Any, str]] = []
    for keys, section in ((TRAIN_KEYS, "train"), (TEST_KEYS, "test")):
        for key in keys:
            listed = content.get(key, [])
            if not isinstance(listed, list):
                found.offenders.append(f"{path.name}: {key!r} must be a list; repair it")
                continue
            entries += [(f"{key}[{number}]", entry, section) for number, entry in enumerate(listed)]
    entries = [(name, entry, section) for name, entry, section in entries if section == "train" or _has_label(entry)]
    images = {image for _, entry, _ in entries if (image := _image_of(entry)) is not None}
    counts = Counter(_stem(path.parent, image) for image in images)
    stems = {image: _stem(path.parent, image) for image in images}
    ids = {image: stem for image, stem in stems.items() if stem and counts[stem] == 1} | _released_ids(path)
    listed_as: dict[PurePosixPath, str] = {}
    for name, entry, section in entries:
        _add_entry(found, ids, listed_as, path, name=name, entry=entry, section=section)
    if "test" not in found.sections.values():
        found.sections.clear()
    return found


def _no_list(path: Path, content: dict[str, Any]) -> str:
    needed = '{"training": [{"image": "a.png", "label": "a_mask.png"}, ...]}'
    if content.keys() >= _COCO:
        cure = "draw its annotations as one mask file per image (pycocotools: COCO.annToMask) and list them as"
        return f"{path.name}: COCO annotations, which are no mask files; {cure} {needed}"
    return f"{path.name}: has no list 'training'; add {needed}, paths relative to it"


def _has_label(entry: Any) -> bool:
    return not (isinstance(entry, str) or (isinstance(entry, dict) and "label" not in entry))


def _image_of(entry: Any) -> PurePosixPath | None:
    """The image of an entry, one file or several channels; None for whatever is no image and label."""
    if not isinstance(entry, dict) or not isinstance(entry.get("label"), str):
        return None
    images = [entry.get("image")] if not isinstance(entry.get("image"), list) else entry["image"]
    paths = [PurePosixPath(image) for image in images if isinstance(image, str)]
    if len(paths) != len(images) or not paths:
        return None
    return joint_path(paths) if len(paths) > 1 else paths[0]


def _stem(root: Path, image: PurePosixPath) -> str:
    if "\0" in image.name:  # no file can have it, and looking for one is an error
        return split_name(image.name)[0]
    if joint_files(image):
        return joint_stem(image)
    return image.name if (root / image).is_dir() else split_file(root / image)[0]


def _released_ids(path: Path) -> dict[PurePosixPath, str]:
    """Ids by image in a release; nothing elsewhere. Whether the manifest is sound is for others to say."""
    try:
        return {PurePosixPath(record.image): record.id for record in Manifest.load(path.parent / MANIFEST).cases}
    except ManifestError:
        return {}


def _add_entry(
    found: Found,
    ids: dict[PurePosixPath, str],
    listed_as: dict[PurePosixPath, str],
    listing: Path,
    *,
    name: str,
    entry: Any,
    section: str,
) -> None:
    root = listing.parent
    image = _image_of(entry)
    if image is None:
        cure = "or a list of image paths, one per channel, in one folder and with one ending"
        found.offenders.append(f"{name}: must hold one image and one label path, {cure}")
        return
    case_id = ids.get(image, (image.parent / _stem(root, image)).as_posix())
    files = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
    problems = (_path_problem(root, file, "image") for file in files)
    reasons = [reason for reason in (*problems, _path_problem(root, entry["label"], "label")) if reason]
    if image in listed_as:
        reasons.append(f"{image}: listed as {listed_as[image]}, too; list each image once")
    listed_as[image] = name
    if reasons:
        found.offenders.extend(f"{name}: {reason}" for reason in reasons)
        found.broken_ids.add(case_id)
        return
    found.cases.append(Case(case_id, root / image, root / entry["label"], root, listing))
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
