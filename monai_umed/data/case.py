"""What a dataset scan finds: cases, and what is wrong with the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MAX_LISTED = 20


@dataclass(frozen=True)
class Case:
    """One image and its label.

    Attributes:
        id: file name of the image without its ending, or name of its folder; unique in the dataset.
        image: image file, voxels of a NIfTI pair (``.img``), folder of DICOM slices, or path of the files of several
            channels (``x_{0000,0001}.nii.gz``), see `monai_umed.io.joint_path`.
        label: label file, voxels of a pair, or folder of a series or of one picture per slice.
        root: folder of the dataset if a release keeps the folders below it; None if it sorts images and labels into
            folders of its own.
        listing: the dataset's ``dataset.json``, which a release carries; None if there is none.
        ignore_label: value of the label that is no class; None if all of them are.
    """

    id: str
    image: Path
    label: Path
    root: Path | None = None
    listing: Path | None = None
    ignore_label: int | None = None


@dataclass
class Found:
    """Result of a scan.

    Attributes:
        cases: complete pairs in any order.
        offenders: one ``"name: reason; cure"`` for each file that is not part of a pair.
        broken_ids: ids of offenders, so that a split that names them is not blamed as well.
        sections: ``"train"`` or ``"test"`` by case id, if the dataset's own list says so.
    """

    cases: list[Case] = field(default_factory=list)
    offenders: list[str] = field(default_factory=list)
    broken_ids: set[str] = field(default_factory=set)
    sections: dict[str, str] = field(default_factory=dict)


class DatasetError(ValueError):
    """A dataset cannot be used; the message lists the offenders, each with its reason and cure.

    Attributes:
        offenders: one ``"name: reason; cure"`` each, all of them; the message shows the first 20.
    """

    def __init__(self, dataset: str, offenders: Sequence[str]) -> None:
        lines = [f"  {offender}" for offender in offenders[:_MAX_LISTED]]
        if len(offenders) > _MAX_LISTED:
            lines.append(f"  and {len(offenders) - _MAX_LISTED} more")
        count = "1 problem" if len(offenders) == 1 else f"{len(offenders)} problems"
        super().__init__("\n".join([f"dataset {dataset!r} has {count}:", *lines]))
        self.offenders = tuple(offenders)


class CaseError(ValueError):
    """The content of one case cannot be used; others may be fine.

    Attributes:
        case_id: id of the case.
        reason: what is wrong and the cure.
    """

    def __init__(self, case_id: str, reason: str) -> None:
        super().__init__(f"case {case_id!r}: {reason}")
        self.case_id = case_id
        self.reason = reason
