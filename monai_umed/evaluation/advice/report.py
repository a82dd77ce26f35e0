"""What the trials say: the least visible setting that holds, or who is to blame; as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from ...data.cases import find_cases
from ...io.atomic import write_atomically
from ...io.provenance import source_version
from .fold import ENOUGH
from .record import ADVICE, Advice, Learned, Setting, Trial
from .search import Search

PICTURE = "advice.png"


def build_advice(plan: Search, trials: Sequence[Trial], *, cases: str) -> Advice:
    """Judge the trials.

    Args:
        plan: what was tried.
        trials: of :meth:`Search.climb`.
        cases: see :class:`Advice`.
    """
    holding = [trial for trial in trials if trial.holds]
    # Of one rung the least visible; what does not change anything would be less visible still, but holds nothing.
    best = max(holding, key=lambda trial: trial.psnr or 0, default=None)
    held_out, warnings = len(find_cases(plan.fold, "test")), []
    if held_out < ENOUGH:
        warnings.append(f"Only {held_out} cases could be held out: below {ENOUGH} this advice is a guess.")
    if best is not None:
        counted = {(entry.exploiter, entry.defense) for entry in best.learned}
        if absent := ", ".join(" ".join(who) for who in plan.exploiters if who not in counted):
            warnings.append(f"{absent}: learned too little from the clean files to compare with; train longer.")
    return Advice(
        target=plan.target,
        min_psnr=plan.min_psnr,
        cases=cases,
        train_cases=len(find_cases(plan.fold, "train")),
        held_out=held_out,
        trials=tuple(trials),
        chosen=None if best is None else best.setting,
        verdict=_refuse(plan, trials) if best is None else _recommend(best),
        warnings=tuple(warnings),
        version=source_version(),
    )


def _fraction(entry: Learned) -> float:
    return entry.fraction


def _percent(learned: Sequence[Learned]) -> str:
    worst = max(learned, key=_fraction)
    return f"{worst.who} learns {worst.fraction * 100:.0f} % of what the clean files teach"


def _recommend(trial: Trial) -> str:
    return f"{trial.setting.arguments} holds at {trial.psnr:.1f} dB: at worst, {_percent(trial.learned)}."


def _refuse(plan: Search, trials: Sequence[Trial]) -> str:
    tried = [trial for trial in trials if trial.learned]
    if not tried and any(trial.psnr is None or trial.psnr >= plan.min_psnr for trial in trials):
        return "Nothing was shown: no exploiter learned this task from the clean files."
    if not tried:
        return f"No setting keeps {plan.min_psnr:g} dB; lower min_psnr, or lower the levels."
    last = tried[-1]
    blame = max(last.learned, key=_fraction)
    others = [defense for _, defense in plan.exploiters if defense != blame.defense]
    text = (
        f"No setting holds at {plan.min_psnr:g} dB or more: with the last one, {last.setting.arguments}, "
        f"{_percent(last.learned)}."
    )
    if others and blame.defense != "none":
        text += f" With {blame.defense} accepted (--accept), advice is about everybody else."
    return text


def show(advice: Advice, plan: Search) -> str:
    """The table for the terminal; the picture is written on the way."""
    draw(advice, plan.folder / PICTURE)
    lines = [
        f"Trained on {advice.train_cases} and tested on {advice.held_out} cases of the training section; "
        "share of the clean Dice that exploiters reach:",
        f"  {'setting':<14} {'PSNR':>6} {'SSIM':>7}   exploiters in the order in which they tried",
    ]
    for trial in advice.trials:
        psnr = "  none" if trial.psnr is None else f"{trial.psnr:6.1f}"
        found = ", ".join(
            f"{entry.exploiter} {entry.defense} {entry.protected:.2f} of {entry.clean:.2f}" for entry in trial.learned
        )
        lines.append(f"  {trial.setting.name:<14} {psnr} {trial.ssim:7.4f}   {found or 'too visible, not tried'}")
    lines += [f"Warning: {warning}" for warning in advice.warnings]
    return "\n".join([*lines, advice.verdict, f"All figures: {plan.folder / ADVICE}, {plan.folder / PICTURE}"])


def draw(advice: Advice, path: Path) -> None:
    """Draw the share of the clean Dice over PSNR, a line per exploiter, and the target.

    Args:
        advice: what was found.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    points: dict[str, list[tuple[float, float]]] = {}
    for trial in advice.trials:
        for entry in trial.learned:
            if trial.psnr is not None:
                points.setdefault(entry.who, []).append((trial.psnr, entry.fraction))
    for who, values in points.items():
        axes.plot(*zip(*sorted(values), strict=True), "o-", label=who, linewidth=0.7)
    axes.axhline(advice.target, color="gray", linestyle="--", label=f"target {advice.target:g}")
    axes.set(xlabel="PSNR (dB); less visible to the right", ylabel="Dice, share of the clean files'", ylim=(0, 1.3))
    for trial in advice.trials:
        if trial.learned and trial.psnr is not None:
            top = (trial.psnr, max(map(_fraction, trial.learned)))
            axes.annotate(trial.setting.name, top, (0, 6), textcoords="offset points", rotation=60, fontsize=8)
    axes.set_title(f"{_named(advice.chosen)} holds")
    axes.legend(fontsize=8, loc="lower left")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_atomically(path, buffer.getvalue())


def _named(setting: Setting | None) -> str:
    return "no setting" if setting is None else setting.name
