"""Datasets whose images and labels lie side by side: in one folder, in a few, or in one folder per case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..io.image_files import is_pair_header, link_out, pair_problem
from ..io.joint_path import joint_files
from ..io.listing import visible
from ..io.suffixes import SUPPORTED, split_name
from .case import Case, Found
from .channel_groups import group_folders
from .pairing import Kind, Pairing, bare_mark, further_label, is_label, merge_further, pair_names

_DOCUMENTS = (".json", ".txt", ".csv", ".tsv", ".md", ".pdf", ".xlsx", ".html", ".yaml", ".yml")


def scan_mixed(dataset: Path, *, merge_masks: bool = False) -> Found:
    """Find cases in a folder, or in its subfolders, that hold images beside their labels.

    Labels are told by their marks (``x_mask.png``, ``segmentation-0.nii``, ``label.nii.gz``). They are paired with
    images by name, see `pair_names`; one image and one label alone in a folder are a pair. The id of a case is the name
    of its image, with its subfolder if it is in one (``benign/benign (1)``), or of the subfolder alone if all that the
    image's name says is that it is one (``case_00000/imaging.nii.gz``). Several images with one label are channels of
    a case where their names say so (``c/c_t1.nii.gz``, ``c/c_t2.nii.gz``, ``c/c_seg.nii.gz``, with the id ``c``), see
    `group_folders`. Documents such as tables are passed over.

    Args:
        dataset: existing folder.
        merge_masks: whether several masks of an image are its label together.

    Returns:
        Cases, which a release leaves in their folders, and offenders; neither if no folder holds images and labels.

    Raises:
        OSError: If a folder cannot be read.
    """
    found = Found()
    entries = visible(dataset)
    folders = [path for path in entries if path.is_dir()]
    if any(_is_image(path) for path in entries):
        found.offenders += [f"{path.name}/: a folder beside images; move it away" for path in folders]
        folders = [dataset]
    contents = []
    for folder in folders:
        if link_out(folder, dataset):
            found.offenders.append(f"{folder.name}: a link that leaves the dataset's folder; copy what it points to")
        else:
            contents.append(_scan_one(found, dataset, folder))
    if dataset not in folders:
        for files, images in zip(contents, group_folders([(it["image"], it["label"]) for it in contents]), strict=True):
            files["image"] = dict(images)
    for files in contents:
        found.cases += _pairs(found, files, dataset, merge_masks)
    return found if any(files["image"] and files["label"] for files in contents) else Found()


def _is_image(path: Path) -> bool:
    return path.is_file() and split_name(path.name)[1] in SUPPORTED


def _scan_one(found: Found, dataset: Path, folder: Path) -> dict[Kind, dict[str, Path]]:
    """The images and labels in a folder by name without suffix."""
    files: dict[Kind, dict[str, Path]] = {"image": {}, "label": {}}
    for path in visible(folder):
        name = path.relative_to(dataset).as_posix()
        stem, suffix = split_name(path.name)
        if is_pair_header(path) or (path.is_dir() and folder == dataset) or suffix in _DOCUMENTS:
            continue
        kind: Kind = "label" if is_label(stem) else "image"
        if path.is_dir():
            found.offenders.append(
                f"{name}/: a folder in the folder of a case; move it away, or list all cases in a dataset.json"
            )
        elif link_out(path, dataset):
            found.offenders.append(f"{name}: a link that leaves the dataset's folder; copy what it points to into it")
        elif problem := pair_problem(path):
            found.offenders.append(f"{name}: {'; '.join(problem)}")
        elif suffix not in SUPPORTED:
            cure = f"convert it to one of {', '.join(SUPPORTED)} or move it away"
            found.offenders.append(f"{name}: unknown file ending {suffix!r}; {cure}")
        elif stem in files[kind]:
            found.offenders.append(f"{name}: same name as {files[kind][stem].name}; rename one of them, with its pair")
        else:
            files[kind][stem] = path
    return files


def _pairs(found: Found, files: dict[Kind, dict[str, Path]], dataset: Path, merge_masks: bool) -> Iterator[Case]:
    images, labels = files["image"], files["label"]
    pairing = pair_names(images.keys(), labels.keys())
    if len(images) == len(labels) == 1:
        [stem], [label_stem] = images, labels
        pairing = Pairing({next(iter(pairing.pairs), stem): (stem, label_stem)})
    if merge_masks:
        labels = merge_further(pairing, labels)
    for name, (stem, label_stem) in pairing.pairs.items():
        image = images[stem]
        folder = image.parent.relative_to(dataset)
        is_named_by_folder = bare_mark(stem, "image") or (joint_files(image) and name == folder.name)
        case_id = (folder if is_named_by_folder and folder != Path() else folder / name).as_posix()
        yield Case(case_id, image, labels[label_stem], dataset)
    for kind, stem in sorted(pairing.alone, key=lambda entry: entry[::-1]):
        name = files[kind][stem].relative_to(dataset).as_posix()
        if kind == "image":
            cure = "add it as NAME_mask.*, move the image away, or list all cases in a dataset.json"
            if len(labels) == 1 and len(images) > 1:
                cure += ', channels of one ending as {"image": ["t1.nii.gz", "t2.nii.gz"], "label": "seg.nii.gz"}'
            found.offenders.append(f"{name}: no label beside it; {cure}")
        else:
            found.offenders.append(
                f"{name}: {further_label(stem, labels) or 'no image beside it; add it, or move the label away'}"
            )
