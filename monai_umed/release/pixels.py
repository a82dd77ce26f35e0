"""Check the values of a protected image: within the budget, changed in every channel, as the manifest says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..data.case import Case
from ..data.codec import read_image
from ..data.labels import read_label
from ..data.manifest import MANIFEST, CaseRecord, Manifest
from ..io.checksum import sha256_path
from ..io.fidelity import Fidelity, compare_each, mean_fidelity
from ..io.nifti import NiftiHeader
from ..io.quantize import stored_limit
from ..io.stored import CodecError, StoredImage

AGAIN = "fetch it again, or protect again"
"""What helps if files are not those of their manifest."""
# How far a figure of the manifest may be from the same figure of another computer, whose sums round differently.
_TOLERANCES = {"max_abs_delta": 1e-6, "psnr": 0.01, "ssim": 1e-4, "perturbed_fraction": 1e-9}


@dataclass(frozen=True)
class _Budget:
    """How far the values of an image, or of one of its channels, may move.

    Attributes:
        name: of the channel, empty if all of them have one window.
        limit: in stored units.
        text: the same in words.
    """

    name: str
    limit: float
    text: str


def pixel_problems(
    path: Path, record: CaseRecord, manifest: Manifest, originals: Mapping[str, Case] | None
) -> Iterator[str]:
    """Compare the values of a protected image with the manifest and, if they are at hand, with the original.

    Args:
        path: the protected image, whose checksum was found right.
        record: its entry in the manifest.
        manifest: all of it.
        originals: the dataset that was protected, by id; None if it is not at hand.

    Yields:
        What is wrong, and the cure.

    Raises:
        CodecError: If a file cannot be decoded.
        OSError: If a file cannot be read.
    """
    try:
        stored = read_image(path).in_window(record.intensity_window)
    except CodecError:
        raise
    except ValueError as error:
        yield f"{MANIFEST}: {error}"
        return
    if (stored.array.shape, stored.dtype) != (record.shape, record.dtype):
        yield (
            f"{record.image} holds {stored.dtype} {stored.array.shape}, {MANIFEST} says {record.dtype} {record.shape}; "
            f"{AGAIN}"
        )
        return
    changes, budgets = _of_each(record), _budgets(stored, manifest.eps)
    if len(changes) != len(budgets):
        yield f"{MANIFEST} names {len(changes)} largest changes for {len(budgets)} windows; restore it from a copy"
        return
    found = False
    for change, budget in zip(changes, budgets, strict=True):
        if change > budget.limit:
            yield f"{budget.name}{MANIFEST} names a change of {change:g} stored units, {budget.text}; protect again"
        elif change == 0:
            reason = "is as unprotected as its original, no pixel changed; remove it, or protect again"
            yield f"{budget.name}{record.image} {reason}"
        found |= change > budget.limit or change == 0
    if found or originals is None:
        return
    if record.id not in originals:
        yield "it has no original there; pass the dataset that was protected"
    else:
        yield from _differences(stored, originals[record.id], record, manifest, budgets)


def _of_each(figures: CaseRecord | Fidelity) -> tuple[int | float, ...]:
    """The largest change of the image, or of each of its channels."""
    change = figures.max_abs_delta
    return change if isinstance(change, tuple) else (change,)


def _budgets(stored: StoredImage, eps: float) -> list[_Budget]:
    images, budgets = stored.each(), []
    for number, image in enumerate(images):
        limit = float(stored_limit(np.array([eps], np.float32), image)[0])  # float32 as in the protector
        low, high = image.ends
        text = f"the budget is {limit:g} (eps {eps:g} of the window {low:g} to {high:g})"
        budgets.append(_Budget(f"channel {number}: " if len(images) > 1 else "", limit, text))
    return budgets


def _differences(
    stored: StoredImage, original: Case, record: CaseRecord, manifest: Manifest, budgets: Sequence[_Budget]
) -> Iterator[str]:
    for path, expected in ((original.image, record.sha256_before), (original.label, record.label_sha256)):
        if sha256_path(path) != expected:
            yield f"the original {path} is not the file that was protected; pass the dataset that was"
            return
    before = read_image(original.image)
    layouts = [(image.array.shape, image.dtype, image.has_alpha) for image in (before, stored)]
    if layouts[0] != layouts[1]:
        yield f"{record.image} holds {layouts[1]}, its original {layouts[0]} (shape, type, alpha); {AGAIN}"
        return
    files = list(zip(before.channels or (before,), stored.channels or (stored,), strict=True))
    if not all(_close(old.spacing, new.spacing) and _close(old.affine, new.affine) for old, new in files):
        yield f"{record.image} lies elsewhere in space than its original (spacing, origin or direction); {AGAIN}"
    elif any(isinstance(old.header, NiftiHeader) and old.header != new.header for old, new in files):
        yield f"{record.image} has another header than its original; {AGAIN}"
    if stored.has_alpha and not np.array_equal(before.array[-1], stored.array[-1]):
        yield f"{record.image} has another alpha channel than its original; {AGAIN}"
    each = compare_each(before.in_window(record.intensity_window), stored)
    found = mean_fidelity(each)
    for change, budget in zip(_of_each(found), budgets, strict=True):
        if not change <= budget.limit:  # NaN is no permitted change
            what = f"{record.image} differs by {change:g} stored units from its original"
            yield f"{budget.name}{what}, {budget.text}; {AGAIN}"
            return
    for name, tolerance in _TOLERANCES.items():
        said, measured = getattr(record, name), getattr(found, name)
        if not _close(said, measured, tolerance):
            yield f"{MANIFEST} says {name} {said}, the files say {measured}; restore it from a copy"
    from ..protectors.arrival import say_lost  # loads torch, which a look without the originals does without

    made = record.noise_rms if isinstance(record.noise_rms, tuple) else (record.noise_rms,) * len(budgets)
    for noise, arrived, budget in zip(made, each, budgets, strict=False):
        if noise is not None and (lost := say_lost(arrived.rms, noise)):
            yield f"{budget.name}{lost}; protect again"
    if manifest.ignore_label is not None:
        void = np.broadcast_to(read_label(original.label, before) == manifest.ignore_label, before.color.shape)
        if strayed := int(np.count_nonzero(before.color[void] != stored.color[void])):
            yield f"{strayed} values changed where its mask says {manifest.ignore_label}, to be ignored; protect again"
    if before.grid is not None:
        from .placement import placement_problems  # loads torch, which files without a place do without

        yield from placement_problems(before, stored, original, manifest)


def _close(first: ArrayLike | None, second: ArrayLike | None, tolerance: float = 1e-6) -> bool:
    if first is None or second is None:
        return first is second
    # A header may hold a damaged number that is none, and keeps it.
    return np.allclose(first, second, rtol=1e-6, atol=tolerance, equal_nan=True)
