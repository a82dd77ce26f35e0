"""The steps of a fit, which the bundle's ``train.json`` and ``method.json`` call one after the other."""

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
from ..io.stored import IntensityWindow
from ..io.user_cache import user_cache
from ..protectors import Protector, UMed
from ..protectors.checkpoint import CHECKPOINT, find_checkpoint, save_protector
from ..release.already_protected import refuse_protected_folder
from ..release.protect import report
from ..release.protect_together import protect_together
from ..training.distributed import check_ranks, is_first_rank
from .bundle import prepare_run
from .fit_settings import MethodSettings, UMedSettings
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
    """Refuse whatever would fail after minutes, and set all seeds.

    Args:
        bundle_root, configs: see :func:`monai_umed.workflows.bundle.prepare_run`.
        dataset_dir, labels_dir: the originals.
        section: section to protect.
        quick_check: whether the protection will be tested.
        seed: seed of all random numbers.
        ranks: number of processes that the configs are made for.

    Raises:
        DatasetError: If the dataset is already protected.
        ValueError: If an override is unknown, the quick check would have no test cases, or another number of processes
            was started.
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
    protector: UMed | None = None,
    pattern_key: str | None = None,
) -> None:
    """Let the generators start from the key's pattern, if there is a key, and claim the output folder.

    Raises:
        KeyFileError: If the key cannot be used.
        ValueError: If the folder contains a run with other settings.
    """
    if protector is not None and pattern_key is not None:
        start_from_key(protector.perturbator, pattern_key)
    if is_first_rank():
        claim_output(output_dir, settings.kept())


def wants_quick_check(*, section: Section, listed: ListedFiles) -> bool:
    """Return whether a run tests its protection by default, which it does if it leaves test cases."""
    return section == "train" and listed.folder is None


def fit_umed(
    *,
    trainer: UMedTrainer,
    protector: Protector,
    dataset: DatasetDir,
    output_dir: str,
    settings: UMedSettings,
    num_classes: int,
    intensity_window: IntensityWindow | None,
    target_psnr: float | None,
) -> Protector:
    """Fit UMed's generators, or resume an interrupted fit, and save them.

    Args:
        trainer: trainer of the generators and the surrogate.
        protector: protector with the same generators.
        dataset: the originals; PSNR is measured on their training section.
        output_dir: folder of the fit, for ``protector.pt``, and ``fit/`` for resuming.
        settings: settings to save with the weights.
        num_classes: classes of the masks, background included.
        intensity_window: intensities that map to 0 and 1; None for those of the files.
        target_psnr: smallest allowed mean PSNR of the files in dB, or None.

    Returns:
        The fitted protector.
    """
    make_resumable(trainer, f"{output_dir}/fit")
    trainer.run()
    if target_psnr:
        reach_psnr(
            protector,
            find_cases(dataset, "train"),
            target_psnr,
            num_classes=num_classes,
            intensity_window=intensity_window,
        )
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
    intensity_window: IntensityWindow | None,
    target_psnr: float | None,
    device: torch.device,
    progress: bool,
) -> Protector:
    """Fit any method except UMed and save it, see :func:`monai_umed.fitting.fit.fit_method` for arguments and errors.

    ``dataset``, ``output_dir``, ``settings``, ``num_classes``, ``intensity_window`` and ``target_psnr`` are those of
    :func:`fit_umed`.
    """

    def adjust(fitted: Protector) -> None:
        if target_psnr:
            reach_psnr(
                fitted,
                find_cases(dataset, "train"),
                target_psnr,
                num_classes=num_classes,
                intensity_window=intensity_window,
            )

    return fit_method(
        protector,
        load,
        checkpoint=find_checkpoint(output_dir),
        record=settings.kept(),
        device=device,
        progress=progress,
        adjust=adjust,
    )


def protect_and_check(
    *,
    protector: Protector,
    dataset: DatasetDir,
    section: Section,
    held_back: Sequence[str],
    output_dir: str,
    seed: int,
    num_classes: int,
    intensity_window: IntensityWindow | None,
    facts: DatasetFacts,
    working_size: Sequence[int],
    check_size: Sequence[int] | None,
    slice_axis: int | None,
    device: torch.device,
    progress: bool,
    check: bool,
    cache: bool = True,
) -> None:
    """Protect a section with a fitted protector, and test the protection on the test section.

    Args:
        protector: the fitted protector.
        dataset: the originals.
        section: section to protect.
        held_back: ids of cases that are left out.
        output_dir: folder of the fit, for ``protected`` and ``quick_check.json``.
        seed: seed for the record and the quick check.
        num_classes: classes of the masks, background included.
        intensity_window: intensities that map to 0 and 1; None for those of the files.
        facts: facts of the training section in the fit.
        working_size: grid of the fit.
        check_size: grid of the quick check; None for ``working_size``, or for the window of whole volumes if the fit
            used slices without being told so by ``slice_axis``.
        slice_axis: axis along which networks see volumes slice by slice, if it was given.
        device: where the quick check trains.
        progress: whether to show progress bars.
        check: whether to make the quick check.
        cache: whether it uses trainings on clean files that earlier runs on this machine have done.
    """
    cases = find_cases(dataset, section, held_back=held_back)
    protected = f"{output_dir}/protected"
    manifest = protect_together(
        cases,
        protector,
        protected,
        seed=seed,
        num_classes=num_classes,
        intensity_window=intensity_window,
        progress=progress,
    )
    report(manifest, protected)
    if not check or not is_first_rank():
        return
    if check_size is None:
        seen = facts.slice_axis == slice_axis
        check_size = working_size if seen else inspect_dataset(dataset, "train").working_size
    quick_check(
        dataset,
        protected,
        grid=check_size,
        output_file=f"{output_dir}/quick_check.json",
        seed=seed,
        num_classes=num_classes,
        intensity_window=intensity_window,
        device=device,
        progress=progress,
        slice_axis=slice_axis,
        cache=user_cache() if cache else None,
    )
