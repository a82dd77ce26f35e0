"""Which image belongs to which label, by their names alone."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..io.image_files import files_of
from ..io.joint_path import joint_path

Kind = Literal["image", "label"]

# What may follow the name of a case after a separator; 0000 is the first channel of nnU-Net.
_MARKS: dict[Kind, tuple[str, ...]] = {
    "image": ("0000", "image", "img"),
    "label": ("seg", "segmentation", "mask", "label", "labels", "gt"),
}
# What may stand before it (LiTS).
_LEADING: dict[Kind, tuple[str, ...]] = {
    "image": ("volume", "image", "img"),
    "label": ("segmentation", "seg", "mask", "labels", "label", "gt"),
}
_NUMBERED = re.compile(r"(?P<first>.+)[ _.-]\d+")
_PATTERNS = {kind: re.compile(rf"(?P<case>.+)[ _.-](?:{'|'.join(marks)})", re.I) for kind, marks in _MARKS.items()}
_LEADING_PATTERNS = {
    kind: re.compile(rf"(?:{'|'.join(marks)})[ _.-](?P<case>.+)", re.I) for kind, marks in _LEADING.items()
}


@dataclass
class Pairing:
    """Which names belong together.

    Attributes:
        pairs: image and label by the id of their case.
        alone: the other images and labels by kind and name, each with all images and labels that may be of its case.
    """

    pairs: dict[str, tuple[str, str]] = field(default_factory=dict)
    alone: dict[tuple[Kind, str], list[tuple[Kind, str]]] = field(default_factory=dict)


def case_names(stem: str, kind: Kind, *, leading: bool = False) -> list[str]:
    """What the case of a file may be called: as the file, or as the file without the mark of its kind.

    Args:
        stem: file name without ending.
        kind: ``"image"`` (marks such as ``_0000``) or ``"label"`` (``_seg``, ``_mask``, ``_label``, ``_gt``).
        leading: whether marks may stand before the name, too (``volume-0``, ``segmentation-0``).
    """
    patterns = (_PATTERNS, _LEADING_PATTERNS) if leading else (_PATTERNS,)
    matches = [match for pattern in patterns if (match := pattern[kind].fullmatch(stem))]
    return [stem, *(match["case"] for match in matches)]


def bare_mark(stem: str, kind: Kind) -> bool:
    """Whether the whole name of a file only says of which kind it is: ``imaging``, ``segmentation``."""
    return stem.lower() in {*_MARKS[kind], *_LEADING[kind], *(("imaging", "scan") if kind == "image" else ())}


def is_label(stem: str) -> bool:
    """Whether the name of a file says that it is a label: ``x_mask``, ``x_mask_1``, ``segmentation-0``, ``label``."""
    numbered = _NUMBERED.fullmatch(stem)
    stems = [stem, numbered["first"]] if numbered else [stem]
    return any(bare_mark(name, "label") or len(case_names(name, "label", leading=True)) > 1 for name in stems)


def further_label(stem: str, labels: Mapping[str, Path]) -> str | None:
    """Reason and cure for a label that is a second one of a case (``x_mask_1`` beside ``x_mask``); None if it is none.

    Args:
        stem: name of the label without ending.
        labels: all labels by such names.
    """
    match = _NUMBERED.fullmatch(stem)
    if match is None or match["first"] not in labels:
        return None
    first, second = labels[match["first"]].name, labels[stem].name
    merge = "--merge-masks (merge_masks=True), which takes masks of one ending"
    return f"a second mask beside {first}; unite both with {merge}, or move {second} away"


def merge_further(pairing: Pairing, labels: Mapping[str, Path]) -> dict[str, Path]:
    """Put second masks of a case (``x_mask_1`` beside ``x_mask``) to the first, and take them out of ``pairing.alone``.

    Args:
        pairing: of images and ``labels``; changed.
        labels: all labels by their names without ending.

    Returns:
        The labels by the same names, a first one with its further ones in one path, see
        `monai_umed.io.joint_path`; those whose names cannot be joined stay alone.
    """
    paired = {label for _, label in pairing.pairs.values()}
    merged = dict(labels)
    for kind, stem in sorted(pairing.alone):
        match = _NUMBERED.fullmatch(stem) if kind == "label" else None
        if match is None or match["first"] not in paired:
            continue
        if joined := joint_path([*files_of(merged[match["first"]]), labels[stem]]):
            merged[match["first"]] = joined
            del pairing.alone[kind, stem]
    return merged


def pair_names(images: AbstractSet[str], labels: AbstractSet[str]) -> Pairing:
    """Pair equal names, then those that are equal without their marks if nothing else comes into question.

    Marks behind the name come first, then those before it. Where files are left over, names that merely look equal,
    because their accents are encoded in two ways (composed, or decomposed as on macOS), count as equal.

    A case keeps its files and its id in every part of the dataset that holds whole cases, so a release of some of them
    can be compared with all of them.

    Args:
        images: names of images without ending.
        labels: names of labels without ending.
    """
    found = _pair(images, labels)
    if found.alone:
        looks = {name: unicodedata.normalize("NFC", name) for name in images | labels}
        by_look: tuple[dict[str, str], ...] = tuple({looks[name]: name for name in names} for names in (images, labels))
        # Two files of one kind that look alike must stay two.
        if (len(by_look[0]), len(by_look[1])) == (len(images), len(labels)):
            alike = _pair(by_look[0].keys(), by_look[1].keys())
            if len(alike.alone) < len(found.alone):
                return _spelled(alike, *by_look)
    return found


def _spelled(pairing: Pairing, images: dict[str, str], labels: dict[str, str]) -> Pairing:
    """A pairing of composed names, with the names of the files; a case is spelled as its image."""
    spelling: dict[Kind, dict[str, str]] = {"image": images, "label": labels}
    found = Pairing()
    for look, (image, label) in pairing.pairs.items():
        names = case_names(images[image], "image", leading=True)
        case_id = next(name for name in names if unicodedata.normalize("NFC", name) == look)
        found.pairs[case_id] = (images[image], labels[label])
    for (kind, stem), rivals in pairing.alone.items():
        found.alone[kind, spelling[kind][stem]] = [(other, spelling[other][name]) for other, name in rivals]
    return found


def _pair(images: AbstractSet[str], labels: AbstractSet[str]) -> Pairing:
    found = Pairing({stem: (stem, stem) for stem in images & labels})
    _pair_marked(found, images, labels, leading=False)
    if found.alone:
        _pair_marked(found, images, labels, leading=True)
    return found


def _pair_marked(found: Pairing, images: AbstractSet[str], labels: AbstractSet[str], *, leading: bool) -> None:
    """Pair what ``found`` has not settled yet."""
    found.alone.clear()
    settled_as = {("image", image): case for case, (image, _) in found.pairs.items()}
    settled_as |= {("label", label): case for case, (_, label) in found.pairs.items()}
    by_case: dict[str, set[tuple[Kind, str]]] = defaultdict(set)
    left: list[tuple[Kind, str]] = []
    stems_of: dict[Kind, AbstractSet[str]] = {"image": images, "label": labels}
    for kind, stems in stems_of.items():
        for stem in sorted(stems):
            settled = settled_as.get((kind, stem))
            for name in case_names(stem, kind, leading=leading) if settled is None else [settled]:
                by_case[name].add((kind, stem))
            if settled is None:
                left.append((kind, stem))
    for kind, stem in left:
        rivals = set().union(*(by_case[name] for name in case_names(stem, kind, leading=leading)))
        found.alone[kind, stem] = sorted(rivals - {(kind, stem)})
    for kind, stem in left:
        match found.alone.get((kind, stem)):
            case [("label", label)] if kind == "image" and found.alone.get(("label", label)) == [("image", stem)]:
                names = set(case_names(label, "label", leading=leading))
                case_id = max(names.intersection(case_names(stem, "image", leading=leading)), key=len)
                found.pairs[case_id] = (stem, label)
                del found.alone["image", stem], found.alone["label", label]
