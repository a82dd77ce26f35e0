"""Run an audit, from its folders to verdict, scores and report."""

from __future__ import annotations

from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from ...data.phantom import phantom_dir
from ...io.atomic import write_json
from ...io.provenance import command_line, source_version
from ...io.run_folder import claim_output
from ...training.distributed import shard_of_this_process
from ..folders import check_folders
from ..results import Comparison, read_kept
from ..runner import run_cells
from ..workers import orderly_end
from .decision import Decision
from .foreign import protect_foreign
from .measures import measure_files, measure_utility
from .pictures import collect_pictures
from .plan import Audit
from .report import write_report
from .rows import build_rows, loss_curves, trainings_by_last_epoch, worst_cases
from .scores import AuditScores
from .verdict import is_destroyed, judge, may_publish, warn

SCORES, REPORT = "scores.json", "report.html"


def set_up(audit: Audit, output_dir: str | Path, progress: bool = True, *, cache: Path | None = None) -> Comparison:
    """Check the folders, claim the output folder and prepare the foreign images that defenses need.

    Raises:
        DatasetError: If the folders do not fit each other, see :func:`monai_umed.evaluation.folders.check_folders`.
        ValueError: If the output folder belongs to another audit.
    """
    facts = check_folders(audit)
    # Further exploiters, defenses and seeds do not change finished cells, so they may be added later.
    settings = {key: value for key, value in asdict(audit).items() if key not in ("exploiters", "defenses", "seeds")}
    folder = claim_output(output_dir, {**settings, "digest": facts.digest})
    needs = frozenset().union(*(entry.make(facts.eps).needs for entry in audit.entries.values()))
    foreign = foreign_protected = ""
    if "foreign" in needs:
        foreign = audit.foreign_dir or str(phantom_dir(len(audit.grid)))
    if "foreign_protected" in needs:
        foreign_protected = protect_foreign(foreign, folder / "foreign", grid=audit.grid, progress=progress)
    return Comparison(audit, audit, facts, folder, foreign, foreign_protected, cache)


def collect(
    audit: Audit, comparison: Comparison, *, failed: list[str], skipped: dict[str, str], progress: bool = True
) -> AuditScores:
    """Collect the results of the finished cells for ``scores.json``."""
    rows, facts = build_rows(comparison), comparison.facts
    verdict = judge(rows)
    files, leaks = measure_files(comparison, progress)
    utility = measure_utility(comparison, files)
    warnings = warn(
        rows,
        utility,
        test_cases=len(facts.test_ids),
        seeds=len(audit.seeds),
        leaks=leaks,
        failed=failed,
        only_protected=facts.only_protected,
        by_last_epoch=trainings_by_last_epoch(comparison),
        skipped=skipped,
    )
    return AuditScores(
        **vars(verdict),
        warnings=warnings,
        rows=rows,
        utility=replace(utility, destroyed=is_destroyed(utility)),
        curves=loss_curves(comparison),
        worst_cases=worst_cases(comparison, verdict.worst) if verdict.worst else [],
        skipped=skipped,
        settings={**asdict(audit), "digest": facts.digest, "test_cases": len(facts.test_ids)},
        command=command_line(),
        versions={"monai_umed": source_version(), **{name: version(name) for name in ("monai", "torch", "numpy")}},
    )


@orderly_end()
def run_audit(
    audit: Audit,
    output_dir: str | Path,
    *,
    workers: int | None = None,
    progress: bool = True,
    cache: Path | None = None,
    stop_when_decided: bool = False,
) -> AuditScores | None:
    """Run the missing cells of an audit, judge, and write ``scores.json`` and ``report.html``.

    It can be interrupted at any time, also by SIGTERM or a closed terminal, and then continued. If ``torchrun`` starts
    it on several machines that share the folder, the cells are divided among them, and the last one to finish writes
    the verdict.

    Args:
        audit: what to run.
        output_dir: folder of this audit.
        workers: number of processes, see :func:`monai_umed.evaluation.runner.run_cells`.
        progress: whether to show progress bars.
        cache: folder of trainings on clean files that runs on this machine share; None for none.
        stop_when_decided: whether trainings that cannot change the verdict are left out, see
            :class:`monai_umed.evaluation.audit.decision.Decision`.

    Returns:
        The content of ``scores.json``; None if cells of other machines are still missing.

    Raises:
        DatasetError, ValueError: For the reasons of :func:`set_up`.
    """
    comparison = set_up(audit, output_dir, progress, cache=cache)
    cells = audit.cells()
    why_skip = Decision(comparison).why_skip if stop_when_decided else lambda cell: None
    mine = shard_of_this_process().of(cells)
    failures = run_cells(comparison, mine, workers=workers, progress=progress, why_skip=why_skip)
    missing = [cell for cell in cells if not comparison.result_file(cell).is_file() and cell not in failures]
    skipped = {cell.name: reason for cell in missing if (reason := why_skip(cell)) is not None}
    missing = [cell for cell in missing if cell.name not in skipped]
    if missing:
        print(
            f"{len(missing)} of {len(cells)} trainings are still running, or failed, elsewhere; the last one writes "
            "the verdict, or the same command on one machine."
        )
        return None
    failed = [f"{cell.name}: {reason}" for cell, reason in failures.items()]
    scores = collect(audit, comparison, failed=failed, skipped=skipped, progress=progress)
    path = comparison.output_dir / SCORES
    read_kept(path, lambda kept: kept["verdict"])  # sets a file aside that can no longer be read
    write_json(path, asdict(scores))
    write_report(scores, collect_pictures(comparison), comparison.output_dir / REPORT)
    print(describe(scores, comparison.output_dir))
    return scores


def describe(scores: AuditScores, output_dir: Path) -> str:
    """Format the result for the terminal."""
    lines = [f"  {'exploiter':<20} {'defense':<16} {'protected':>9} {'clean':>7} {'floor':>7}"]
    for row in scores.rows:
        numbers = (row.protected, row.clean_ceiling, row.untrained_floor)
        shown = " ".join("      -" if number is None else f"{number:7.3f}" for number in numbers)
        lines.append(f"  {row.exploiter:<20} {row.defense:<16}   {shown}")
    lines += [f"Warning: {warning}" for warning in scores.warnings]
    lines.append(f"Verdict: {scores.verdict}. {scores.reason}")
    lines.append(may_publish(scores.verdict, scores.worst, scores.utility))
    lines.append(f"Report: {output_dir / REPORT}; all figures: {output_dir / SCORES}")
    return "\n".join(lines)
