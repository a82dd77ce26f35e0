"""Invisibility as an input: lower eps until files reach a given PSNR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import torch

from ..data.case import Case, CaseError, DatasetError
from ..data.loading import LoadedCase, load_case
from ..functional.eps import EPS_LIMIT
from ..io.fidelity import compare
from ..io.quantize import add_delta
from ..io.stored import IntensityWindow
from ..protectors import Protector, UMed
from ..protectors.channels import perturb_as_known

SAMPLE = 32
"""About how many cases PSNR is measured on, evenly spaced among those that the protector is fitted to."""

_STEPS = 9  # halvings, which find a fraction of eps to 0.2 %


def _largest(share_is_fine: Callable[[float], bool], high: float = 1.0) -> tuple[float, float]:
    """Bisect for the largest fraction up to ``high`` that is fine, 0 if none is, and the smallest that is not."""
    low = 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if share_is_fine(middle) else (low, middle)
    return low, high


def _mean_psnr(protector: Protector, loaded: Sequence[LoadedCase]) -> float:
    values = []
    for case in loaded:
        stored = case.stored
        image, label = torch.from_numpy(stored.scaled()), torch.from_numpy(case.label)
        perturbation = perturb_as_known(
            protector, image, label, spacing=stored.spacing, levels=stored.levels, case_id=case.case.id
        )
        delta, bound = perturbation.kept_from(case.outside)
        psnr = compare(stored, stored.with_values(add_delta(stored, delta.numpy(), bound.numpy()))).psnr
        if psnr is not None:
            values.append(psnr)
    return fmean(values) if values else float("inf")


def _load_some(cases: Sequence[Case], num_classes: int, intensity_window: IntensityWindow | None) -> list[LoadedCase]:
    loaded, reasons = [], []
    for index in range(0, len(cases), max(1, len(cases) // SAMPLE)):
        try:
            loaded.append(load_case(cases[index], num_classes, intensity_window))
        except CaseError as error:
            reasons.append(str(error))
    if not loaded:
        raise DatasetError("the cases that PSNR is measured on", reasons)
    return loaded


def reach_psnr(
    protector: Protector,
    cases: Sequence[Case],
    target: float,
    *,
    num_classes: int = 2,
    intensity_window: IntensityWindow | None = None,
    most: float = 1.0,
) -> float:
    """Lower a fitted protector's ``eps`` until files reach a PSNR.

    Gray levels are whole numbers, so a slightly lower eps costs UMed's contour a whole level at once: 2.5 dB from 4 to
    3 of 255. As an alternative for UMed, eps stays above that step and the texture is lowered instead. The
    result is the alternative that is closest to the target.

    Args:
        protector: fitted protector, whose ``eps``, and for UMed ``texture_share``, are changed in place.
        cases: cases from which a :data:`SAMPLE` is measured.
        target: smallest allowed mean PSNR of the files in dB.
        num_classes, intensity_window: see :func:`monai_umed.release.protect.protect_dataset`.
        most: largest allowed multiple of the protector's ``eps``. Use more than 1 only to compare methods, because it
            stretches noise beyond the limit that it was fitted to.

    Returns:
        The mean PSNR of the sample in dB.

    Raises:
        ValueError: If the target cannot be reached without leaving all files unchanged.
        DatasetError: If no case of the sample can be used.
    """
    loaded = _load_some(cases, num_classes, intensity_window)
    eps, umed = protector.eps, protector if isinstance(protector, UMed) else None
    texture = 1.0 if umed is None else umed.texture_share

    def psnr(eps_share: float, beside_contour: float) -> float:
        protector.eps = min(eps * eps_share, EPS_LIMIT)
        if umed is not None:
            umed.texture_share = texture * beside_contour
        return _mean_psnr(protector, loaded)

    best = psnr(most, 1)
    if best >= target:
        return best if best < float("inf") else psnr(1, 1)  # nothing changes, so eps stays
    fine, too_much = _largest(lambda part: psnr(part, 1) >= target, most)
    attempts = [(fine, 1.0)]
    if umed is not None:
        beside_contour, _ = _largest(lambda part: psnr(too_much, part) >= target)
        attempts.append((too_much, beside_contour))
    results = {parts: psnr(*parts) for parts in attempts if min(parts) > 0}
    reached = {parts: value for parts, value in results.items() if target <= value < float("inf")}
    if not reached:
        best = psnr(1, 1)
        raise ValueError(
            f"target_psnr is {target} dB, but with eps {eps * 255:.3g}/255 files have {best:.2f} dB and below that "
            "nothing would change at all; ask for less."
        )
    return psnr(*min(reached, key=lambda parts: reached[parts]))
