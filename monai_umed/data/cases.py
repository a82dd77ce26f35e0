"""Find the image-label pairs of a dataset folder and say everything that is wrong with it at once."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..io.image_files import series_problem
from ..io.listing import visible
from ..io.once import once
from .case import Case, DatasetError, Found
from .datalist import read_datalist
from .dataset_json import DATASET_JSON, listed_channels
from .folders import scan_folders
from .mixed_folders import scan_mixed
from .splits import hash_sections, read_split
from .two_folders import DatasetDir, ReadAs, TwoFolders, as_dataset

Section = Literal["train", "test", "all"]


def find_cases(
    dataset_dir: DatasetDir,
    section: Section = "all",
    *,
    merge_masks: bool = False,
    held_back: Collection[str] = (),
) -> list[Case]:
    """Find the cases of a dataset.

    Layouts, the first that fits is taken:

    * ``imagesTr/`` and ``labelsTr/`` (Decathlon, nnU-Net; an ``_0000`` at the end of image names is tolerated),
    * ``images/`` and ``masks/`` or ``labels/``,
    * ``dataset.json``, or the path of any ``.json`` file: ``{"training" or "train": [{"image", "label"}], "test" or
      "validation": [...]}`` with paths relative to its folder. Test entries without a label are ignored.
    * images beside their labels, in the folder or in its subfolders, see `scan_mixed`.

    `TwoFolders` names images and labels that lie anywhere, `ReadAs` how labels are read: which value is no class, and
    whether several masks of an image are merged.

    In folders, image and label have equal names up to the ending. A label may add ``_seg``, ``_segmentation``,
    ``_mask``, ``_label(s)`` or ``_gt``, an image ``_0000``, ``_image`` or ``_img``, where that leaves no doubt; both
    may have such a word in front (``volume-0`` with ``segmentation-0``).

    A folder of DICOM files in the place of an image is one case, a series; its id is the folder's name. Its label is
    one file like any other, a label map on its grid or a DICOM SEG, or a folder: a series, or one picture per slice,
    named as the slice. DICOM files need no ending ``.dcm``; a name such as ``1.2.840.113`` is an id as a whole.

    Channels may lie in files of their own, ``x_0000.nii.gz``, ``x_0001.nii.gz`` and so on with the label ``x.nii.gz``
    (nnU-Net), in a folder of each case ``x_t1.nii.gz``, ``x_t2.nii.gz`` and so on with ``x_seg.nii.gz`` (BraTS),
    or in a list in the place of an image in a datalist; a fourth axis of a NIfTI file holds channels, too.

    A NIfTI pair, ``NAME.hdr`` and ``NAME.img`` side by side, is one image or label; a datalist names the ``.img`` file.

    Hidden files and those that operating systems leave behind are ignored.

    Sections come from a ``split.json`` = ``{"train": [id, ...], "test": [id, ...]}`` in the folder, or beside that
    of the images of `TwoFolders`, if there is one, else from a datalist that names labelled test cases, else from the
    SHA-256 of the case id: about 80 % train and 20 % test, and a file that is added later moves no other case. Cases
    that ``split.json`` does not name are only in ``"all"``. A single image with its label file is for training, as are
    all cases if their names leave none for it.

    Args:
        dataset_dir: the dataset's folder, a datalist, or two folders.
        section: ``"train"``, ``"test"`` or ``"all"``.
        merge_masks: whether several masks of one image (``x_mask.png``, ``x_mask_1.png``) are its label together,
            their union. Else they are refused.
        held_back: ids of cases to leave out.

    Returns:
        The cases, sorted by id.

    Raises:
        DatasetError: folder or files missing, images without label or labels without image, half of a NIfTI pair,
            unknown file endings, two images of one name, paths or series that leave the folder, a damaged list, or no
            case at all.
        ValueError: unknown ``section``.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> [case.id for case in mu.find_cases(data, "test")]
        ['phantom_0004', 'phantom_0005']
    """
    if section not in ("train", "test", "all"):
        raise ValueError(f"section is {section!r}, must be 'train', 'test' or 'all'")
    everything, sections = _find(as_dataset(dataset_dir, merge_masks=merge_masks))
    cases = [case for case in everything if case.id not in held_back]
    if section == "all":
        return list(cases)
    if sections is None:
        sections = hash_sections(everything)
    chosen = [case for case in cases if sections.get(case.id) == section]
    if not chosen:
        cure = "name its cases in split.json" if len(cases) > 1 else "add more cases"
        raise DatasetError(str(dataset_dir), [f"none of {len(cases)} cases is in the section {section!r}; {cure}"])
    return chosen


def find_sections(dataset_dir: DatasetDir) -> tuple[dict[str, str], bool]:
    """Find out which case is in which section.

    Args:
        dataset_dir: see `find_cases`.

    Returns:
        ``"train"`` or ``"test"`` by case id, and whether the dataset itself says so, as opposed to the names' hashes.

    Raises:
        DatasetError: as `find_cases`.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> sections, named = mu.find_sections(data)
        >>> sections["phantom_0005"], named
        ('test', True)
    """
    cases, sections = _find(dataset_dir)
    return (hash_sections(cases), False) if sections is None else (sections, True)


def _find(dataset_dir: DatasetDir, merge_masks: bool = False) -> tuple[list[Case], dict[str, str] | None]:
    """All cases, sorted by id, and their sections if the dataset itself names them."""
    if isinstance(dataset_dir, ReadAs):
        cases, named = _find(dataset_dir.dataset, dataset_dir.merge_masks)
        return [replace(case, ignore_label=dataset_dir.ignore_label) for case in cases], named
    about = dataset_dir if isinstance(dataset_dir, TwoFolders) else Path(dataset_dir)
    return once("cases", (about, merge_masks), lambda: _scan_all(dataset_dir, merge_masks), watched=False)


def _scan_all(dataset_dir: str | Path | TwoFolders, merge_masks: bool) -> tuple[list[Case], dict[str, str] | None]:
    found, root = _scan(dataset_dir, merge_masks)
    cases = sorted(found.cases, key=lambda case: case.id)
    if not cases and not found.offenders:
        found.offenders.append("no case at all; put images and labels of equal names into the two folders")
    sections, offenders = read_split(root / "split.json", {case.id for case in cases} | found.broken_ids)
    offenders = [*found.offenders, *offenders]
    if offenders:
        raise DatasetError(str(dataset_dir), offenders)
    return cases, found.sections or None if sections is None else sections


def _scan(dataset_dir: str | Path | TwoFolders, merge_masks: bool) -> tuple[Found, Path]:
    """What there is, and the folder where a ``split.json`` would be."""
    if isinstance(dataset_dir, TwoFolders):
        images = Path(dataset_dir.images)
        if not images.exists():
            raise DatasetError(str(dataset_dir), [f"{images}: no such folder; check the path"])
        return scan_folders(images, Path(dataset_dir.labels), merge_masks=merge_masks), images.parent
    dataset = Path(dataset_dir)
    return _scan_layout(dataset, merge_masks), dataset.parent if dataset.is_file() else dataset


def _scan_layout(dataset: Path, merge_masks: bool) -> Found:
    if dataset.is_file() and dataset.suffix.lower() == ".json":
        return read_datalist(dataset)
    if not dataset.is_dir():
        raise DatasetError(str(dataset), ["no such folder; check the path"])
    if (dataset / "imagesTr").is_dir():
        return _scan_listed(dataset, "imagesTr", "labelsTr", merge_masks)
    if (dataset / "images").is_dir() and not _is_nested(dataset):
        label_dirs = [dataset / name for name in ("masks", "labels") if (dataset / name).is_dir()]
        if len(label_dirs) > 1:
            raise DatasetError(str(dataset), ["both masks/ and labels/ exist; remove or rename the one not meant"])
        return _scan_listed(dataset, "images", label_dirs[0].name if label_dirs else "masks", merge_masks)
    if (dataset / DATASET_JSON).is_file():
        return read_datalist(dataset / DATASET_JSON)
    mixed = scan_mixed(dataset, merge_masks=merge_masks)
    if mixed.cases or mixed.offenders:
        return mixed
    layouts = (
        "images/ with masks/ or labels/, imagesTr/ with labelsTr/, a dataset.json, images beside their labels "
        "(x.png with x_mask.png), or one folder per case (CASE/image.nii.gz with CASE/label.nii.gz, or "
        "CASE/x_t1.nii.gz, CASE/x_t2.nii.gz with CASE/x_seg.nii.gz)"
    )
    raise DatasetError(str(dataset), [f"no known layout; it needs {layouts}; or give two folders, images and labels"])


def _scan_listed(dataset: Path, images: str, labels: str, merge_masks: bool) -> Found:
    """Two folders, and the ``dataset.json`` that may lie beside them."""
    channels = listed_channels(dataset / DATASET_JSON)
    found = scan_folders(dataset / images, dataset / labels, channels=channels, merge_masks=merge_masks)
    if (dataset / DATASET_JSON).is_file():
        found.cases = [replace(case, root=dataset, listing=dataset / DATASET_JSON) for case in found.cases]
    return found


def _is_nested(dataset: Path) -> bool:
    """Whether ``images/`` holds folders that only a ``dataset.json`` can tell the contents of."""
    if not (dataset / DATASET_JSON).is_file():
        return False
    return any(path.is_dir() and series_problem(path, dataset) for path in visible(dataset / "images"))
