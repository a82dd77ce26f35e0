"""Make a release: fit unless that was done, protect, look at every file again, and seal the originals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.cases import Section, find_cases, find_sections
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset, places_of
from ..fitting.run_config import run_config
from ..sealing.keys import check_unpublished, read_key
from .fit import PROTECTED, fit
from .options import SETTLED, OptionError, fits_umed
from .reserve import HeldBack
from .reserve import reserve as draw_reserve

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..release.verify import Problem
    from ..sealing.restore import CaseReport
    from .options import FitOptions

SEALED = "sealed"


@dataclass(frozen=True)
class Release:
    """What :func:`protect` has written.

    Attributes:
        protected: the folder to publish.
        manifest: what was done to every case, and which were left out; None of a shard, or of a process that is not
            the first of several.
        problems: what is wrong with files that were read again; nothing may be published unless this is empty.
        sealed: what became of the originals; None without a key.
        checkpoint: the fitted protector.
        section: what was protected.
        held_back: the cases that a reserve keeps from being published; None without one.
    """

    protected: Path
    manifest: Manifest | None
    problems: tuple[Problem, ...]
    sealed: CaseReport | None
    checkpoint: Path
    section: Section
    held_back: HeldBack | None = None


def usual_section(data: DatasetDir) -> Section:
    """Whoever named a test section keeps it to test with; where nobody did, a release is meant to be whole."""
    return "train" if find_sections(data)[1] else "all"


def protect(
    data: DatasetDir,
    output: str | Path,
    *,
    labels: str | Path | None = None,
    checkpoint: str | Path | None = None,
    section: Section | None = None,
    seal_key: str | Path | None = None,
    shard: str | None = None,
    reserve: float | None = None,
    groups: str | Path | None = None,
    proof_key: str | Path | None = None,
    **options: Unpack[FitOptions],
) -> Release:
    """Write a protected copy of a dataset into ``output/protected`` and check every file of it.

    Without a checkpoint a protector is fitted, always to the training section alone. Interrupted, it goes on where it
    stopped.

    Args:
        data: folder of the dataset, a data list, or the images alone; see :func:`monai_umed.find_cases`.
        output: folder to write.
        labels: folder of the labels, if ``data`` holds images alone.
        checkpoint: a protector that was fitted before, by :func:`fit`.
        section: what is protected. Default: everything; without a checkpoint the section ``"train"``, if the dataset
            itself names one.
        seal_key: file of :func:`monai_umed.new_key`, to seal what brings the originals back into ``output/sealed``.
        shard: with a checkpoint, one of several parts of the work, such as ``"0/4"``; a last call without it finishes
            the folder.
        reserve: fraction of the cases to hold back, see :func:`monai_umed.reserve`, so that whoever trains on the rest
            can be proven to have done so.
        groups: CSV file of cases that belong together, for the reserve.
        proof_key: file of :func:`monai_umed.new_key` that draws the reserve and, where UMed is fitted, the pattern; as
            ``pattern_key``, which may be given in its place.
        options: see :class:`monai_umed.workflows.options.FitOptions`.

    Raises:
        DatasetError: if the dataset is malformed or protected already, or the output folder cannot be used.
        KeyFileError: if the key cannot be used, or lies in what would be published.
        OptionError: if options contradict each other.
        ProofError: if there are too few cases for a reserve, or another one was drawn before.
        ValueError: if an option is out of range, or the output folder holds a fit with other settings.

    Example:
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> release = mu.protect(data, work / "out", preset="stamp", progress=False)
        Protected 4 cases ...
        >>> len(release.manifest.cases), release.problems
        (4, ())
    """
    from ..release.already_protected import refuse_protected_folder
    from ..release.verify import verify_folder
    from ..sealing.restore import seal_dataset

    output, progress = Path(output), options.get("progress", True)
    protected, sealed = output / PROTECTED, output / SEALED
    if shard is not None and (checkpoint is None or seal_key is not None):
        cure = "pass a checkpoint, and the key only to the last run, which has no shard"
        raise OptionError(["shard"], f"{shard}: a part is protected with generators that are fitted; {cure}")
    dataset = data if labels is None else as_dataset(str(data), labels)
    images, own_labels = places_of(dataset)
    refuse_protected_folder(Path(images).parent if own_labels else Path(images))
    secret = None if seal_key is None else _read_key(Path(seal_key), [protected, sealed])
    section = section or ("all" if checkpoint is not None else usual_section(dataset))
    drawn = _draw(dataset, output, section, reserve, groups, proof_key, options)
    if drawn is not None and checkpoint is None and fits_umed(options):
        options["pattern_key"] = proof_key or options.get("pattern_key")
    held_back = () if drawn is None else drawn.held_back
    if checkpoint is None:
        made = fit(dataset, output, section=section, quick_check=False, held_back=held_back, **options).checkpoint
    else:
        made = Path(checkpoint)
        _apply(dataset, made, protected, section, held_back, shard, options)
    if shard is not None or not _is_first_process():
        return Release(protected, None, (), None, made, section, drawn)
    if drawn is not None:
        manifest = Manifest.load(protected / MANIFEST)
        replace(manifest, commitment_sha256=drawn.commitment).save(protected / MANIFEST)
    problems = tuple(verify_folder(protected, dataset, progress))
    reports = None
    if secret is not None and not problems:
        reports = seal_dataset(find_cases(dataset), protected, sealed, secret, progress)
    return Release(protected, Manifest.load(protected / MANIFEST), problems, reports, made, section, drawn)


def _draw(
    dataset: DatasetDir,
    output: Path,
    section: Section,
    fraction: float | None,
    groups: str | Path | None,
    proof_key: str | Path | None,
    options: FitOptions,
) -> HeldBack | None:
    """Hold cases back, if that was asked for; the pattern takes the same key where the method has one."""
    if fraction is None:
        if given := [name for name, value in (("groups", groups), ("proof_key", proof_key)) if value is not None]:
            raise OptionError(given, "means a reserve; say how large, such as reserve=0.2")
        return None
    pattern_key = options.get("pattern_key")
    key = proof_key or pattern_key
    if key is None:
        raise OptionError(["reserve"], "a key draws it; pass one as proof_key")
    if pattern_key is not None and Path(pattern_key).resolve() != Path(key).resolve():
        raise OptionError(["proof_key", "pattern_key"], "one key proves both; pass the same file, or one of them")
    progress = options.get("progress", True)
    return draw_reserve(dataset, output, key=key, fraction=fraction, groups=groups, section=section, progress=progress)


def _apply(
    dataset: DatasetDir,
    checkpoint: Path,
    protected: Path,
    section: Section,
    held_back: Sequence[str],
    shard: str | None,
    options: FitOptions,
) -> None:
    """Protect with what was fitted before; the options of a fit say nothing then."""
    given = {name: value for name, value in options.items() if value is not None}
    if settled := [name for name in (*SETTLED, "batch_size") if name in given]:
        raise OptionError(settled, "settled when the checkpoint was fitted; leave it out, or fit")
    images, labels = places_of(dataset)
    places: dict[str, Any] = {
        "dataset_dir": images,
        "labels_dir": labels,
        "output_dir": str(protected),
        "section": section,
    }
    places |= {"held_back": list(held_back) or None}
    run_config("inference.json", {**places, **given, "checkpoint": str(checkpoint), "shard": shard})


def _read_key(key: Path, published: Sequence[Path]) -> bytes:
    """Before anything takes minutes."""
    check_unpublished(key, published)
    return read_key(key)


def _is_first_process() -> bool:
    from ..training.distributed import is_first_rank

    return is_first_rank()
