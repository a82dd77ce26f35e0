"""Invisibility as an input: spend no more of the budget than a given PSNR allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import torch

from .data import Case, CaseError, DatasetError, LoadedCase, add_delta, load_case, measure
from .protectors import UMed

SAMPLE = 32
"""Cases that PSNR is measured on, evenly spaced among those that the protector is fitted to."""

_STEPS = 9  # halvings: shares of eps are found to 0.2 %


def _largest(share_is_fine: Callable[[float], bool]) -> tuple[float, float]:
    """The largest share in (0, 1] that is fine and the smallest that is not, apart by a last halving; 0 if none is."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if share_is_fine(middle) else (low, middle)
    return low, high


def _mean_psnr(protector: UMed, loaded: Sequence[LoadedCase]) -> float:
    values = []
    for case in loaded:
        stored = case.stored
        image, label = torch.from_numpy(stored.scaled()), torch.from_numpy(case.label)
        delta, bound = protector(image, label, stored.spacing, stored.levels, case.case.id)
        protected = add_delta(stored, delta.numpy(), bound.numpy())
        psnr = measure(stored.color, protected[: len(stored.color)], stored.width).psnr
        if psnr is not None:
            values.append(psnr)
    return fmean(values) if values else float("inf")


def _load_some(cases: Sequence[Case], num_classes: int, window: tuple[float, float] | None) -> list[LoadedCase]:
    loaded, reasons = [], []
    for index in range(0, len(cases), max(1, len(cases) // SAMPLE)):
        try:
            loaded.append(load_case(cases[index], num_classes, window))
        except CaseError as error:
            reasons.append(str(error))
    if not loaded:
        raise DatasetError("the cases that PSNR is measured on", reasons)
    return loaded


def reach_psnr(
    protector: UMed,
    cases: Sequence[Case],
    target: float,
    num_classes: int = 2,
    window: tuple[float, float] | None = None,
) -> float:
    """Lower a fitted protector's ``eps``, or only what it grants the texture inside, until files are close enough.

    Grey levels are whole numbers, so a slightly lower eps costs the contour a whole level at once: 2.5 dB from 4 to 3
    of 255. Where that would spend less than allowed, eps stays and the texture inside gives way, if that is enough.
    What comes closest to the target is taken.

    Args:
        protector: fitted; ``eps`` and ``texture_share`` are changed in place, never upwards.
        cases: what PSNR is measured on, :data:`SAMPLE` of them.
        target: mean PSNR in dB that files must have at least.
        num_classes, window: as in :func:`monai_umed.protect.protect_dataset`.

    Returns:
        The mean PSNR in dB of the sample.

    Raises:
        ValueError: if nothing that is left of the budget reaches the target.
        DatasetError: if none of the sample can be used.
    """
    loaded = _load_some(cases, num_classes, window)
    eps, share = protector.eps, protector.texture_share

    def psnr(eps_share: float, texture_share: float) -> float:
        protector.eps, protector.texture_share = eps * eps_share, share * texture_share
        return _mean_psnr(protector, loaded)

    best = psnr(1, 1)
    if best >= target:
        return best
    fine, too_much = _largest(lambda part: psnr(part, 1) >= target)
    inside, _ = _largest(lambda part: psnr(too_much, part) >= target)
    results = {(part, rest): psnr(part, rest) for part, rest in ((fine, 1.0), (too_much, inside)) if part > 0}
    reached = {parts: value for parts, value in results.items() if target <= value < float("inf")}
    if not reached:
        protector.eps, protector.texture_share = eps, share
        raise ValueError(
            f"target_psnr is {target} dB, but with eps {eps * 255:.3g}/255 files have {best:.2f} dB and below that "
            "nothing would change at all; ask for less."
        )
    part, rest = min(reached, key=lambda parts: reached[parts])
    protector.eps, protector.texture_share = eps * part, share * rest
    return reached[part, rest]
