"""Measure the protected files: fidelity, usefulness to others, and how easily they are detected."""

from __future__ import annotations

from dataclasses import asdict, replace
from statistics import mean
from typing import Any

from ...data.case import Case
from ...data.codec import read_image
from ...data.loading import load_case
from ...data.parallel import map_cases
from ...io.atomic import write_json
from ...io.fidelity import compare
from ..folders import Folders, among, pair_cases
from ..results import Comparison, read_kept
from .detector import MIN_CASES, detector_auc
from .leaks import Leak, find_leaks
from .radiomics import radiomics_change, summarize_changes
from .scores import Utility


def compare_files(comparison: Comparison, progress: bool = True) -> dict[str, Any]:
    """Return mean PSNR in dB, mean SSIM and median change of radiomics features over all cases, at native size."""
    files, pairs = comparison.files, pair_cases(comparison.files)

    def compare_case(case: Case) -> dict[str, Any]:
        loaded = load_case(case, files.num_classes, files.intensity_window)
        before = loaded.stored
        # Use the original's window, so that equal gray levels stay equal numbers.
        after = read_image(pairs[case.id][1].image).in_window(before.intensity_window)
        fidelity = compare(before, after)
        change = radiomics_change(before.scaled(), after.scaled(), loaded.label)
        return {"psnr": fidelity.psnr, "ssim": fidelity.ssim, "radiomics": change}

    clean = [pairs[id][0] for id in comparison.facts.ids]
    found, _ = map_cases(compare_case, clean, title="compare files", num_workers=2, progress=progress)
    psnr = [entry["psnr"] for entry in found if entry["psnr"] is not None]
    return {
        "psnr": mean(psnr) if psnr else None,
        "ssim": mean(entry["ssim"] for entry in found) if found else None,
        "radiomics": summarize_changes([entry["radiomics"] for entry in found]) if found else {},
    }


def measure_files(comparison: Comparison, progress: bool = True) -> tuple[dict[str, Any], list[Leak]]:
    """Measure everything that needs no training, once per audit, and keep it beside the cells.

    Returns:
        Fields of :class:`monai_umed.evaluation.audit.scores.Utility`, and test images that are in the training set.
    """
    path = comparison.output_dir / "measures.json"
    kept = read_kept(path, lambda content: (content["files"], [Leak(**leak) for leak in content["leaks"]]))
    if kept is not None:
        return kept
    folders = Folders(comparison.files, comparison.facts, grid=comparison.files.grid)
    protected = among(folders.protected(), comparison.facts.ids)
    enough = len({item["id"] for item in protected}) >= MIN_CASES
    files = {
        **compare_files(comparison, progress),
        "max_levels": comparison.facts.max_levels,
        "eps": comparison.facts.eps,
        "detector_auc": detector_auc(folders.clean(), protected) if enough else None,
    }
    whole = _whole(comparison)
    leaks = find_leaks(whole.clean(), whole.test())
    write_json(path, {"files": files, "leaks": [asdict(leak) for leak in leaks]})
    return files, leaks


def _whole(comparison: Comparison) -> Folders:
    """Return every case on one grid, including volumes that exploiters see slice by slice, to compare any two."""
    files, grid = comparison.files, list(comparison.files.grid)
    if files.slice_axis is not None:
        grid.insert(files.slice_axis, min(grid))
    return Folders(replace(files, slice_axis=None), comparison.facts, grid=tuple(grid), layout="resampled")


def measure_utility(comparison: Comparison, files: dict[str, Any]) -> Utility:
    """Return the Dice of networks trained on one half of the cases and scored on the other, unseen half.

    ``clean_trained_on_clean`` and ``clean_trained_on_protected`` show whether protected images can still be read;
    ``protected_trained_on_protected`` shows how strong the shortcut is, and what an exploiter who validates on
    protected files sees.

    Args:
        comparison: comparison whose trainings are finished.
        files: result of :func:`measure_files`.
    """
    exploiter = comparison.matrix.exploiters[0]
    clean, protected = (comparison.first_result(exploiter, f"{kind}-half") for kind in ("clean", "protected"))

    on_clean = None if clean is None else clean.scores
    on_protected = [None if half is None else half.scores_on_protected for half in (clean, protected)]
    dice = [None if scores is None else scores.dice for scores in (on_clean, *on_protected)]
    return Utility(dice[0], dice[1], dice[2], **files)
