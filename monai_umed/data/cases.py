"""Find the image-label pairs of a dataset folder and say everything that is wrong with it at once."""

from pathlib import Path
from typing import Literal

from monai_umed.data.datalist import read_datalist
from monai_umed.data.folders import scan_folders
from monai_umed.data.pairs import Case, DatasetError, Found
from monai_umed.data.splits import hashed_section, read_split

Section = Literal["train", "test", "all"]


def find_cases(dataset_dir: str | Path, section: Section = "all") -> list[Case]:
    """Find the cases of a dataset.

    Layouts, the first that fits is taken:

    * ``imagesTr/`` and ``labelsTr/`` (Decathlon, nnU-Net; an ``_0000`` at the end of image names is tolerated),
    * ``images/`` and ``masks/`` or ``labels/`` with equal file names up to the ending,
    * ``dataset.json``, or the path of any ``.json`` file: ``{"training" or "train": [{"image", "label"}], "test" or
      "validation": [...]}`` with paths relative to its folder. Test entries without a label are ignored.

    A folder of ``.dcm`` files in the place of an image is one case, a series; its id is the folder's name. Its label is
    one file like any other: a label map on its grid, or a DICOM SEG.

    A NIfTI pair, ``NAME.hdr`` and ``NAME.img`` side by side, is one image or label; a datalist names the ``.img`` file.

    Hidden files and those that operating systems leave behind are ignored.

    Sections come from a ``split.json`` = ``{"train": [id, ...], "test": [id, ...]}`` in the folder if there is one,
    else from a datalist that names labelled test cases, else from the SHA-256 of the case id: about 80 % train and
    20 % test, and a file that is added later moves no other case. Cases that ``split.json`` does not name are only in
    ``"all"``.

    Args:
        dataset_dir: the dataset's folder, or a datalist.
        section: ``"train"``, ``"test"`` or ``"all"``.

    Returns:
        The cases, sorted by id.

    Raises:
        DatasetError: folder or files missing, images without label or labels without image, half of a NIfTI pair,
            unknown file endings, two images of one name, paths or series that leave the folder, a damaged list, or no
            case at all.
        ValueError: unknown ``section``.
    """
    if section not in ("train", "test", "all"):
        raise ValueError(f"section is {section!r}, must be 'train', 'test' or 'all'")
    dataset = Path(dataset_dir)
    found = _scan(dataset)
    cases = sorted(found.cases, key=lambda case: case.id)
    if not cases and not found.offenders:
        found.offenders.append("no case at all; put images and labels of equal names into the two folders")
    root = dataset.parent if dataset.is_file() else dataset
    sections, offenders = read_split(root / "split.json", {case.id for case in cases} | found.broken_ids)
    offenders = [*found.offenders, *offenders]
    if offenders:
        raise DatasetError(str(dataset), offenders)
    if section == "all":
        return cases
    if sections is None:
        sections = found.sections or {case.id: hashed_section(case.id) for case in cases}
    chosen = [case for case in cases if sections.get(case.id) == section]
    if not chosen:
        cure = "name its cases in split.json" if len(cases) > 1 else "add more cases"
        raise DatasetError(str(dataset), [f"none of {len(cases)} cases is in the section {section!r}; {cure}"])
    return chosen


def _scan(dataset: Path) -> Found:
    if dataset.is_file() and dataset.suffix.lower() == ".json":
        return read_datalist(dataset)
    if not dataset.is_dir():
        raise DatasetError(str(dataset), ["no such folder; check the path"])
    if (dataset / "imagesTr").is_dir():
        return scan_folders(dataset / "imagesTr", dataset / "labelsTr")
    if (dataset / "images").is_dir():
        label_dirs = [dataset / name for name in ("masks", "labels") if (dataset / name).is_dir()]
        if len(label_dirs) > 1:
            raise DatasetError(str(dataset), ["both masks/ and labels/ exist; remove or rename the one not meant"])
        return scan_folders(dataset / "images", label_dirs[0] if label_dirs else dataset / "masks")
    if (dataset / "dataset.json").is_file():
        return read_datalist(dataset / "dataset.json")
    layouts = "images/ with masks/ or labels/, imagesTr/ with labelsTr/, or a dataset.json"
    raise DatasetError(str(dataset), [f"no known layout; it needs {layouts}"])
