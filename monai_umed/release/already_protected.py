"""Notice images that are protected already: a second perturbation on top would break the promised budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..data.case import Case, DatasetError
from ..data.manifest import MANIFEST, TOOL
from ..io.dicom_sign import is_dicom
from ..io.image_files import files_of
from ..io.joint_path import joint_files
from ..io.listing import real_folders
from .unfinished import is_unfinished

_CURE = "give the folder of the originals"


def refuse_protected(cases: Sequence[Case]) -> None:
    """Refuse images that this program protected, as far as they tell.

    Folders are known by the manifest or what an unfinished run left, beside the images, one folder up or where the
    dataset begins; DICOM
    files also by their Derivation Description. Other files that were moved away from their manifest pass.

    Raises:
        DatasetError: If some of the images are protected already.
    """
    images = [path for case in cases for path in (joint_files(case.image) or {"": case.image}).values()]
    near = {image.parent for image in images} | real_folders(images)
    folders = {folder for place in near for folder in (place, place.parent)}
    folders |= {case.root for case in cases if case.root is not None}
    offenders = [f"{folder}: {reason}; {_CURE}" for folder in sorted(folders) if (reason := _folder_reason(folder))]
    if not offenders:
        offenders = [
            f"{case.id}: its Derivation Description says that it is protected already; {_CURE}"
            for case in cases
            if _is_derived(case.image)
        ]
    if offenders:
        raise DatasetError(", ".join(sorted({str(case.image.parent) for case in cases})), offenders)


def refuse_protected_folder(dataset_dir: Path) -> None:
    """As `refuse_protected`, at a glance: for whoever is about to spend an hour on a dataset.

    Raises:
        DatasetError: If the folder, or the folder of the datalist, was protected.
    """
    folder = dataset_dir.parent if dataset_dir.is_file() else dataset_dir
    if reason := _folder_reason(folder):
        raise DatasetError(str(dataset_dir), [f"{folder}: {reason}; {_CURE}"])


def _folder_reason(folder: Path) -> str | None:
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):  # none, or that of another program
        content = None
    if isinstance(content, dict) and content.get("tool") == TOOL:
        return f"protected already, as its {MANIFEST} says"
    return "an unfinished protected copy" if is_unfinished(folder) else None


def _is_derived(image: Path) -> bool:
    """Whether a DICOM file, or the first slice of a series, says that this program made it."""
    try:
        file = files_of(image)[0]
        if not is_dicom(file):
            return False
        from ..dicom.derived import DERIVATION  # no other format needs pydicom
        from ..dicom.elements import read_some

        dataset = read_some(file, ["DerivationDescription"])
        return DERIVATION in str(dataset.get("DerivationDescription", ""))
    except Exception:  # whoever reads it next says what is wrong
        return False
