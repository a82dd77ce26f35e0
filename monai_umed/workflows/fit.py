"""Fit a protector to a dataset, protect a section with it, and test the protection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.cases import Section, find_cases
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset, places_of, reading_of
from ..fitting.run_config import run_config
from ..io.once import reading_once
from .options import config_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import FitOptions

PROTECTED, QUICK_CHECK = "protected", "quick_check.json"


@dataclass(frozen=True)
class Fit:
    """The result of :func:`fit`.

    Attributes:
        checkpoint: file of the fitted protector, which reveals the pattern and must stay secret.
        protected: folder of the protected section, which may be published.
        quick_check: file with the figures of the quick check; None if it was not made.
        manifest: what was done to every case, and which cases were left out.
    """

    checkpoint: Path
    protected: Path
    quick_check: Path | None
    manifest: Manifest


@reading_once()
def fit(
    data: DatasetDir,
    output: str | Path,
    *,
    labels: str | Path | None = None,
    section: Section = "train",
    quick_check: bool = True,
    cache: bool = True,
    held_back: Sequence[str] = (),
    **options: Unpack[FitOptions],
) -> Fit:
    """Fit a protector to the training section of a dataset, and protect a section with it.

    An interrupted fit of UMed is continued, that of another method starts again. A second call with the same settings
    finds everything done.

    Args:
        data: folder of the dataset, a data list, or a folder of images; see :func:`monai_umed.find_cases`.
        output: folder to write to, which must not be used for anything else.
        labels: folder of the labels, if ``data`` contains images only.
        section: section to protect: ``"train"``, ``"test"`` or ``"all"``. The fit only uses ``"train"``.
        quick_check: whether to test the protection by two exploiters, each trained on clean and on protected files.
        cache: whether that uses trainings on clean files that earlier runs on this machine have done.
        held_back: ids of cases that are not protected, see :func:`monai_umed.reserve`; the fit uses them all the same.
        options: see :class:`monai_umed.workflows.options.FitOptions`.

    Raises:
        DatasetError: If the dataset is malformed or already protected, or the output folder cannot be used.
        OptionError: If options contradict each other.
        ValueError: If an option is out of range, or the output folder contains a fit with other settings.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> done = mu.fit(data, work / "fit", preset="stamp", quick_check=False, progress=False)
        Protected 4 cases ...
        >>> len(done.manifest.cases)
        4
    """
    from ..protectors.checkpoint import find_checkpoint
    from ..release.already_protected import refuse_protected_folder
    from ..release.layout import check_folders

    output = Path(output)
    dataset = as_dataset(data, labels, merge_masks=bool(options.get("merge_masks")))
    images, own_labels = places_of(dataset)
    # Check this before reporting cases that a release does not list.
    refuse_protected_folder(Path(images).parent if own_labels else Path(images))
    overlays, ids = config_of(options)
    # Checked again when files are written, but an error after a fit of an hour would be too late.
    check_folders(find_cases(dataset, section), output / PROTECTED)
    places = {"dataset_dir": images, "labels_dir": own_labels, "output_dir": str(output), "section": section}
    ids |= {"held_back": list(held_back) or None, **({} if cache else {"cache": False})}
    run_config("train.json", {**places, **ids, **reading_of(dataset), "quick_check": quick_check}, overlays)
    figures = output / QUICK_CHECK
    return Fit(
        checkpoint=find_checkpoint(output),
        protected=output / PROTECTED,
        quick_check=figures if quick_check and figures.is_file() else None,
        manifest=Manifest.load(output / PROTECTED / MANIFEST),
    )
