"""What the protected files look like: fidelity, use to others, how easily they are told apart."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from statistics import mean
from typing import Any

from ...data.case import Case
from ...data.cases import find_cases
from ...data.codec import read_image
from ...data.loading import load_case
from ...data.parallel import map_cases
from ...io.atomic import write_json
from ...io.fidelity import measure
from ..cell import Bench, read_result, set_aside
from ..folders import Folders
from ..plan import Cell
from .detector import MIN_CASES, detector_auc
from .leaks import Leak, find_leaks
from .radiomics import radiomics_change, summarize_changes


def compare_files(bench: Bench, progress: bool = True) -> dict[str, Any]:
    """Mean PSNR in dB, mean SSIM and median change of radiomics features over all cases, at native size.

    Args:
        bench: of the audit.
        progress: whether to show a bar.
    """
    audit = bench.audit
    protected = {case.id: case for case in find_cases(audit.protected_dir)}
    clean = [case for case in find_cases(audit.clean_dir) if case.id in set(bench.facts.ids)]

    def compare(case: Case) -> dict[str, Any]:
        loaded = load_case(case, audit.num_classes, audit.window)
        before = loaded.stored
        # In the original's window, so that equal gray levels stay equal numbers.
        after = replace(read_image(protected[case.id].image), window=before.window)
        fidelity = measure(before.color, after.color, before.width)
        change = radiomics_change(before.scaled(), after.scaled(), loaded.label)
        return {"psnr": fidelity.psnr, "ssim": fidelity.ssim, "radiomics": change}

    found, _ = map_cases(compare, clean, "compare files", 2, progress)
    psnr = [entry["psnr"] for entry in found if entry["psnr"] is not None]
    return {
        "psnr": mean(psnr) if psnr else None,
        "ssim": mean(entry["ssim"] for entry in found) if found else None,
        "radiomics": summarize_changes([entry["radiomics"] for entry in found]) if found else {},
    }


def measure_files(bench: Bench, progress: bool = True) -> tuple[dict[str, Any], list[Leak]]:
    """Everything that needs no training, computed once per audit and kept beside the cells.

    Returns:
        Figures as for ``utility`` in ``scores.json``, and test images that are in the training set as well.
    """
    path = bench.output_dir / "measures.json"
    if path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return kept["files"], [Leak(**leak) for leak in kept["leaks"]]
        except (ValueError, KeyError, TypeError):
            set_aside(path)
    folders = Folders(bench.audit, bench.facts, bench.audit.size)
    ids = set(bench.facts.ids)
    protected = [item for item in folders.protected() if item["id"] in ids]
    enough = len({item["id"] for item in protected}) >= MIN_CASES
    files = {
        **compare_files(bench, progress),
        "max_levels": bench.facts.max_levels,
        "eps": bench.facts.eps,
        "detector_auc": detector_auc(folders.clean(), protected) if enough else None,
    }
    whole = _whole(bench)
    leaks = find_leaks(whole.clean(), whole.test())
    write_json(path, {"files": files, "leaks": [asdict(leak) for leak in leaks]})
    return files, leaks


def _whole(bench: Bench) -> Folders:
    """Every case on one grid, volumes that exploiters see slice by slice as well, so that any two can be compared."""
    audit, size = replace(bench.audit, slice_axis=None), list(bench.audit.size)
    if bench.audit.slice_axis is not None:
        size.insert(bench.audit.slice_axis, min(size))
    return Folders(audit, bench.facts, tuple(size), "resampled")


def measure_utility(bench: Bench) -> dict[str, float | None]:
    """Dice of networks trained on one half of the cases and scored on the other, unseen half.

    ``clean_trained_on_clean`` and ``clean_trained_on_protected`` tell whether protected images can still be read;
    ``protected_trained_on_protected`` tells how strong the shortcut is, and what an exploiter who validates on
    protected files sees.
    """
    audit = bench.audit

    def result(data: str) -> dict[str, Any]:
        return read_result(bench.result_file(Cell(audit.exploiters[0], "none", data, audit.seeds[0]))) or {}

    def dice(data: str, scores: str) -> float | None:
        found = result(data).get(scores)
        return None if found is None else found["dice"]

    return {
        "clean_trained_on_clean": dice("clean-half", "scores"),
        "clean_trained_on_protected": dice("clean-half", "scores_on_protected"),
        "protected_trained_on_protected": dice("protected-half", "scores_on_protected"),
    }
