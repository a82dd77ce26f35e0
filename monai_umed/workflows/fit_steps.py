"""The steps of a fit, as the bundle's ``train.json`` and ``method.json`` name them one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from monai.utils import set_determinism

from ..data.cases import Section, find_cases
from ..data.fingerprint import DatasetFacts, inspect_dataset
from ..data.splits import check_held_out
from ..data.two_folders import DatasetDir
from ..evaluation.quick_check import quick_check
from ..fitting.fit import Load, fit_method
from ..fitting.pattern_key import start_from_key
from ..fitting.resume import make_resumable
from ..fitting.target_psnr import reach_psnr
from ..fitting.umed_trainer import UMedTrainer
from ..io.run_folder import claim_output
from ..networks import UMedPerturbator
from ..protectors import Protector
from ..protectors.checkpoint import CHECKPOINT, find_checkpoint, save_protector
from ..release.already_protected import refuse_protected_folder
from ..release.protect import report
from ..release.protect_together import protect_together
from ..training.distributed import check_ranks, is_first_rank
from .bundle import prepare_run
from .fit_settings import MethodSettings, UMedSettings, Window
from .listed_files import ListedFiles


def prepare_fit(
    *,
    bundle_root: str,
    configs: Sequence[str],
    dataset_dir: str,
    labels_dir: str | None,
    section: Section,
    quick_check: bool,
    seed: int,
    ranks: int,
) -> None:
    """Refuse whatever would fail after minutes, and fix all seeds.

    Args:
        bundle_root: folder of the bundle.
        configs: names of the configs that were merged; overrides of ids that none of them has are refused.
        dataset_dir, labels_dir: the originals.
        section: what is to be protected.
        quick_check: whether the protection is to be tried out.
        seed: of everything that is drawn.
        ranks: processes that the configs are made for.

    Raises:
        DatasetError: if the dataset was protected before.
        ValueError: if an override is unknown, the quick check would have no test cases, or more processes were started
            than the configs are made for.
    """
    prepare_run(bundle_root=bundle_root, configs=configs)
    refuse_protected_folder(Path(dataset_dir).parent if labels_dir else Path(dataset_dir))
    if quick_check:
        check_held_out(section)
    set_determinism(seed)
    check_ranks(ranks)


def claim_fit(
    *,
    output_dir: str,
    settings: MethodSettings | UMedSettings,
    perturbator: UMedPerturbator | None = None,
    pattern_key: str | None = None,
) -> None:
    """Let the generators start from the key's pattern, if there is one, and claim the output folder.

    Raises:
        KeyFileError: if the key cannot be used.
        ValueError: if the folder holds a run with other settings.
    """
    if perturbator is not None and pattern_key is not None:
        start_from_key(perturbator, pattern_key)
    if is_first_rank():
        claim_output(output_dir, settings.kept())


def wants_quick_check(*, section: Section, listed: ListedFiles) -> bool:
    """Whether a run that does not say so tries its protection out: only if it leaves test cases to do that with."""
    return section == "train" and listed.folder is None


def fit_umed(
    *,
    trainer: UMedTrainer,
    protector: Protector,
    dataset: DatasetDir,
    output_dir: str,
    settings: UMedSettings,
    num_classes: int,
    window: Window,
    target_psnr: float | None,
) -> Protector:
    """Fit UMed's generators, or go on where an interrupted fit stopped, and save them.

    Args:
        trainer: holds the generators and the surrogate.
        protector: holds the same generators.
        dataset: the originals; their training section decides how visible files are.
        output_dir: folder of the fit; ``protector.pt`` goes there, and ``fit/`` is for resuming.
        settings: what is saved with the weights.
        num_classes: classes of the masks, background included.
        window: intensities that map to 0 and 1; None for those of the files.
        target_psnr: dB that files must have at least, if that matters.

    Returns:
        The fitted protector.
    """
    make_resumable(trainer, f"{output_dir}/fit")
    trainer.run()
    if target_psnr:
        reach_psnr(protector, find_cases(dataset, "train"), target_psnr, num_classes, window)
    if is_first_rank():
        save_protector(Path(output_dir) / CHECKPOINT, protector, settings.kept())
    return protector


def fit_other(
    *,
    protector: Protector,
    load: Load,
    dataset: DatasetDir,
    output_dir: str,
    settings: MethodSettings,
    num_classes: int,
    window: Window,
    target_psnr: float | None,
    device: torch.device,
    progress: bool,
) -> Protector:
    """Fit any method besides UMed and save it; one that was fitted already is loaded.

    Args:
        protector: not fitted yet.
        load: reads the training set with the protector's bounds.
        dataset, output_dir, settings, num_classes, window, target_psnr: as for :func:`fit_umed`.
        device: where a surrogate is trained.
        progress: whether to show progress bars.

    Returns:
        The fitted protector.

    Raises:
        DatasetError: if no case is usable.
        ValueError: if bound and eps leave nothing to change, or the fit refuses the cases.
    """

    def adjust(fitted: Protector) -> None:
        if target_psnr:
            reach_psnr(fitted, find_cases(dataset, "train"), target_psnr, num_classes, window)

    return fit_method(protector, load, find_checkpoint(output_dir), settings.kept(), device, progress, adjust)


def protect_and_check(
    *,
    protector: Protector,
    dataset: DatasetDir,
    section: Section,
    held_back: Sequence[str],
    output_dir: str,
    seed: int,
    num_classes: int,
    window: Window,
    facts: DatasetFacts,
    working_size: Sequence[int],
    check_size: Sequence[int] | None,
    slice_axis: int | None,
    device: torch.device,
    progress: bool,
    check: bool,
) -> None:
    """Protect a section with a fitted protector, and try out on its test section whether that works.

    Args:
        protector: fitted.
        dataset: the originals.
        section: what is protected, into ``protected`` in ``output_dir``.
        held_back: ids of cases of it that are not.
        output_dir: folder of the fit; ``quick_check.json`` goes there.
        seed: for the record, and of the quick check.
        num_classes: classes of the masks, background included.
        window: intensities that map to 0 and 1; None for those of the files.
        facts: of the training section, as the fit saw it.
        working_size: grid of the fit.
        check_size: grid of the quick check; None for ``working_size``, or, if the fit saw volumes slice by slice only
            because nobody said anything else, for the window of whole volumes.
        slice_axis: across which networks see volumes, if somebody said so.
        device: where the quick check trains.
        progress: whether to show progress bars.
        check: whether to do the quick check.
    """
    cases = find_cases(dataset, section, held_back=held_back)
    protected = f"{output_dir}/protected"
    manifest = protect_together(cases, protector, protected, seed, num_classes, window, progress=progress)
    report(manifest, protected)
    if not check or not is_first_rank():
        return
    if check_size is None:
        seen = facts.slice_axis == slice_axis
        check_size = working_size if seen else inspect_dataset(dataset, "train").working_size
    quick_check(
        dataset,
        protected,
        size=check_size,
        output_file=f"{output_dir}/quick_check.json",
        seed=seed,
        num_classes=num_classes,
        window=window,
        device=device,
        progress=progress,
        slice_axis=slice_axis,
    )
