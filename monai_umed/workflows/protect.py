"""Make a release: fit a protector if needed, protect, verify every file, and seal the originals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..data.cases import Section, find_cases, find_sections
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset, places_of, reading_of
from ..fitting.run_config import run_config
from ..io.once import reading_once
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
_SEEN = ("seed", "ignore_label", "intensity_window", "slice_axis", "device", "progress")
"""Options of a fit that advice takes as well."""


@dataclass(frozen=True)
class Release:
    """The result of :func:`protect`.

    Attributes:
        protected: the folder to publish.
        manifest: what was done to every case, and which cases were left out; None for a shard, or in a process that is
            not the first of several.
        problems: what is wrong with the files; do not publish them unless this is empty.
        sealed: the outcome of sealing the originals; None without a key.
        checkpoint: file of the fitted protector.
        section: section that was protected.
        held_back: cases that a reserve keeps from being published; None without one.
    """

    protected: Path
    manifest: Manifest | None
    problems: tuple[Problem, ...]
    sealed: CaseReport | None
    checkpoint: Path
    section: Section
    held_back: HeldBack | None = None


def usual_section(data: DatasetDir) -> Section:
    """Return ``"train"`` for a dataset with a test section, which is kept for testing, else ``"all"``."""
    return "train" if find_sections(data)[1] else "all"


@reading_once()
def protect(
    data: DatasetDir,
    output: str | Path,
    *,
    labels: str | Path | None = None,
    checkpoint: str | Path | None = None,
    section: Section | None = None,
    seal_key: str | Path | None = None,
    shard: str | None = None,
    dask: str | None = None,
    advised: bool = False,
    advice: str | Path | None = None,
    reserve: float | None = None,
    groups: str | Path | None = None,
    proof_key: str | Path | None = None,
    **options: Unpack[FitOptions],
) -> Release:
    """Write a protected copy of a dataset to ``output/protected`` and verify every file of it.

    Without a checkpoint, a protector is fitted to the training section. An interrupted run is continued.

    Args:
        data: folder of the dataset, a data list, or a folder of images; see :func:`monai_umed.find_cases`.
        output: folder to write to.
        labels: folder of the labels, if ``data`` contains images only.
        checkpoint: file of a protector that :func:`fit` has fitted before.
        section: section to protect. Default: ``"all"``, but ``"train"`` without a checkpoint if the dataset has a test
            section.
        seal_key: file of :func:`monai_umed.new_key`, to seal the originals into ``output/sealed``.
        shard: with a checkpoint, one of several parts of the work, such as ``"0/4"``; a last call without it finishes
            the folder.
        dask: with a checkpoint, address of the scheduler of a Dask cluster whose workers protect.
        advised: whether to take the setting that :func:`monai_umed.advise` names; it is asked if it was not yet.
            What it said goes into the manifest.
        advice: its ``advice.json``, or the folder of that; implies ``advised``.
        reserve: fraction of the cases to hold back, see :func:`monai_umed.reserve`, so that training on the others can
            be proven.
        groups: CSV file of cases that belong together, for the reserve.
        proof_key: file of :func:`monai_umed.new_key` that draws the reserve and, where UMed is fitted, the pattern; as
            ``pattern_key``, which may be given in its place.
        options: see :class:`monai_umed.workflows.options.FitOptions`.

    Raises:
        ClusterError: If a Dask cluster cannot be used, or did not finish.
        DatasetError: If the dataset is malformed or protected already, or the output folder cannot be used.
        KeyFileError: If the key cannot be used, or lies in what would be published.
        OptionError: If options contradict each other.
        ProofError: If there are too few cases for a reserve, or another one was drawn before.
        ValueError: If nothing holds or the advice is about other cases; if an option is out of range, or the output
            folder holds a fit with other settings.

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
    if dask is not None and checkpoint is None:
        raise OptionError(["dask"], f"{dask}: a cluster protects with generators that are fitted; pass a checkpoint")
    if dask is not None and options.get("device") is None:
        options["device"] = "cpu"  # which all workers have
    dataset = as_dataset(data, labels, merge_masks=bool(options.get("merge_masks")))
    images, own_labels = places_of(dataset)
    refuse_protected_folder(Path(images).parent if own_labels else Path(images))
    said = None
    if advised or advice is not None:
        if settled := [name for name in ("preset", "method", "bound", "eps", "target_psnr") if options.get(name)]:
            raise OptionError([*settled, "advised"], "the advice names the setting; leave one of them out")
        if checkpoint is not None:
            raise OptionError(["advised", "checkpoint"], "a checkpoint has its setting already; leave one of them out")
        chosen, said = _follow(dataset, advice, options)
        options |= chosen
    secret = None if seal_key is None else _read_key(Path(seal_key), [protected, sealed])
    section = section or ("all" if checkpoint is not None else usual_section(dataset))
    drawn = _draw(dataset, output, section, reserve, groups=groups, proof_key=proof_key, options=options)
    if drawn is not None and checkpoint is None and fits_umed(options):
        options["pattern_key"] = proof_key or options.get("pattern_key")
    held_back = () if drawn is None else drawn.held_back
    if checkpoint is None:
        made = fit(dataset, output, section=section, quick_check=False, held_back=held_back, **options).checkpoint
    else:
        made = Path(checkpoint)
        divided = {"shard": shard, "dask": dask}
        _apply(dataset, made, protected, section=section, held_back=held_back, divided=divided, options=options)
    if shard is not None or not _is_first_process():
        return Release(protected, None, (), None, made, section, drawn)
    if said is not None or drawn is not None:
        manifest = Manifest.load(protected / MANIFEST)
        manifest.advice = said
        manifest.commitment_sha256 = None if drawn is None else drawn.commitment
        manifest.save(protected / MANIFEST)
    problems = tuple(verify_folder(protected, dataset, progress))
    reports = None
    if secret is not None and not problems:
        reports = seal_dataset(find_cases(dataset), protected, sealed, key=secret, progress=progress)
    return Release(protected, Manifest.load(protected / MANIFEST), problems, reports, made, section, drawn)


def _follow(dataset: DatasetDir, advice: str | Path | None, options: FitOptions) -> tuple[FitOptions, str]:
    """The setting that advice names, and what it said; advice is asked for where there is none yet."""
    from ..evaluation.advice.record import ADVICE, Advice
    from .advise import advise, names_of, usual_advice

    folder = usual_advice(dataset) if advice is None else Path(advice)
    if advice is None and not (folder / ADVICE).is_file():
        asked = {name: options[name] for name in _SEEN if options.get(name) is not None}  # type: ignore[literal-required]
        found = advise(dataset, folder, **asked)
    else:
        found = Advice.load(folder)
    if found.cases != names_of(dataset):
        raise ValueError(
            f"{folder} is advice about other cases than those of {dataset}; run `monai-umed advise` on it."
        )
    if found.chosen is None:
        raise ValueError(f"{found.verdict} Ask again with another target, or name a setting yourself.")
    return cast("FitOptions", dict(found.chosen.options)), found.verdict


def _draw(
    dataset: DatasetDir,
    output: Path,
    section: Section,
    fraction: float | None,
    *,
    groups: str | Path | None,
    proof_key: str | Path | None,
    options: FitOptions,
) -> HeldBack | None:
    """Hold cases back, if that was asked for."""
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
    *,
    section: Section,
    held_back: Sequence[str],
    divided: dict[str, str | None],
    options: FitOptions,
) -> None:
    """Protect with a fitted protector, and refuse options that its fit has fixed."""
    given = {name: value for name, value in options.items() if value is not None}
    if settled := [name for name in (*SETTLED, "batch_size") if name in given]:
        raise OptionError(settled, "settled when the checkpoint was fitted; leave it out, or fit")
    images, labels = places_of(dataset)
    places = {"dataset_dir": images, "labels_dir": labels, "output_dir": str(protected), "section": section}
    given |= reading_of(dataset) | {"held_back": list(held_back) or None}
    run_config("inference.json", {**places, **given, "checkpoint": str(checkpoint), **divided})


def _read_key(key: Path, published: Sequence[Path]) -> bytes:
    """Check and read the key before anything takes minutes."""
    check_unpublished(key, published)
    return read_key(key)


def _is_first_process() -> bool:
    from ..training.distributed import is_first_rank

    return is_first_rank()
