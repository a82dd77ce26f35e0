"""Which image belongs to which label, by their names alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["image", "label"]

# What may follow the name of a case after a separator; 0000 is the first channel of nnU-Net.
_MARKS: dict[Kind, tuple[str, ...]] = {
    "image": ("0000", "image", "img"),
    "label": ("seg", "segmentation", "mask", "label", "labels", "gt"),
}
_PATTERNS = {kind: re.compile(rf"(?P<case>.+)[ _.-](?:{'|'.join(marks)})", re.I) for kind, marks in _MARKS.items()}


@dataclass
class Pairing:
    """Which names belong together.

    Attributes:
        pairs: image and label by the id of their case.
        alone: the other images and labels by kind and name, each with all images and labels that may be of its case.
    """

    pairs: dict[str, tuple[str, str]] = field(default_factory=dict)
    alone: dict[tuple[Kind, str], list[tuple[Kind, str]]] = field(default_factory=dict)


def case_names(stem: str, kind: Kind) -> list[str]:
    """What the case of a file may be called: as the file, or as the file without the mark of its kind.

    Args:
        stem: file name without ending.
        kind: ``"image"`` (marks such as ``_0000``) or ``"label"`` (``_seg``, ``_mask``, ``_label``, ``_gt``).
    """
    match = _PATTERNS[kind].fullmatch(stem)
    return [stem, match["case"]] if match else [stem]


def pair_names(images: AbstractSet[str], labels: AbstractSet[str]) -> Pairing:
    """Pair equal names, then those that are equal without their marks if nothing else comes into question.

    A case keeps its files and its id in every part of the dataset that holds whole cases, so a release of some of them
    can be compared with all of them.

    Args:
        images: names of images without ending.
        labels: names of labels without ending.
    """
    found = Pairing({stem: (stem, stem) for stem in images & labels})
    by_case: dict[str, set[tuple[Kind, str]]] = defaultdict(set)
    left: list[tuple[Kind, str]] = []
    stems_of: dict[Kind, AbstractSet[str]] = {"image": images, "label": labels}
    for kind, stems in stems_of.items():
        for stem in sorted(stems):
            settled = stem in found.pairs
            for name in [stem] if settled else case_names(stem, kind):
                by_case[name].add((kind, stem))
            if not settled:
                left.append((kind, stem))
    for kind, stem in left:
        rivals = set().union(*(by_case[name] for name in case_names(stem, kind)))
        found.alone[kind, stem] = sorted(rivals - {(kind, stem)})
    for kind, stem in left:
        match found.alone.get((kind, stem)):
            case [("label", label)] if kind == "image" and found.alone.get(("label", label)) == [("image", stem)]:
                case_id = max(set(case_names(stem, "image")) & set(case_names(label, "label")), key=len)
                found.pairs[case_id] = (stem, label)
                del found.alone["image", stem], found.alone["label", label]
    return found
