"""Verbs that prove that a model was trained on a release: reserve, queries, predict, prove."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import monai_umed as mu

from .datasets import Labels, Places, SectionName, join_labels, read_places
from .help import AsJson, only_json, print_json
from .options import Groups, IntensityWindow, Progress, ProofKey, Released, parse_numbers, parse_window, say_next


def say_reserve(drawn: mu.HeldBack) -> None:
    """Print what is held back and what it is good for."""
    total = len(drawn.held_back) + len(drawn.published)
    print(f"Held back {len(drawn.held_back)} of {total} cases, sealed in {drawn.folder}. Never publish them, nor it.")
    print(f"Commitment: {drawn.commitment}")
    print(
        f"A model that was trained on the rest is found with p = .001 in half of all draws if its Dice on published "
        f"cases is higher by {drawn.smallest_difference:.2f} standard deviations of one case."
    )


def reserve(
    places: Places,
    key: ProofKey,
    fraction: Annotated[float, typer.Option(help="of the cases to hold back")] = 0.2,
    groups: Groups = None,
    section: Annotated[SectionName, typer.Option(help="what will be protected")] = SectionName.all,
    progress: Progress = True,
) -> None:
    """Draw cases that a release will leave out, so that training on the rest can be proven.

    Writes OUT/proof. `monai-umed protect --reserve` does this, too, and then protects the rest.
    """
    data, out = read_places(places)
    drawn = mu.reserve(data, out, key=key, fraction=fraction, groups=groups, section=section.value, progress=progress)
    say_reserve(drawn)
    steps: list[str | Path] = ["protect", *places, "--section", section.value, "--reserve", str(fraction)]
    steps += ["--proof-key", key]
    say_next([("protect the rest", steps)])


def queries(
    release: Released,
    output: Annotated[Path, typer.Argument(help="new folder for the queries and their plan", show_default=False)],
    key: ProofKey,
    original: Annotated[
        Path | None, typer.Option(help="the dataset that was protected", show_default="where the fit found it")
    ] = None,
    labels: Labels = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="protector.pt of the fit", show_default="that of the release")
    ] = None,
    hardness: Annotated[Path | None, typer.Option(help="CSV of case,dice: what your own models reach")] = None,
    intensity_window: IntensityWindow = None,
    max_queries: Annotated[int, typer.Option(min=1, help="most images to write")] = 2000,
    clean: Annotated[bool, typer.Option(help="ask about unprotected images, too, which gives them away")] = True,
    progress: Progress = True,
) -> None:
    """Write images without names that a suspect model is to be asked about, and a sealed plan of what they are."""
    asked = mu.queries(
        release,
        output,
        key=key,
        original=None if original is None else join_labels(original, labels),
        checkpoint=checkpoint,
        hardness=hardness,
        intensity_window=parse_window(intensity_window, None),
        max_queries=max_queries,
        clean=clean,
        progress=progress,
    )
    print(f"Wrote {asked.count} queries, test {asked.test} of this reserve, into {asked.images}.")
    for entry in asked.left_out:
        print(f"  {entry.id}: left out, {entry.reason}")
    if not asked.by_key:
        few = asked.least_p_by_key
        reason = "" if few is None else f" (a tint's key has few choices, its p could not fall below {few:.2g})"
        print(
            f"The release has no pattern of this key that many others could be told from{reason}: the reserve alone is "
            "tested."
        )
    if clean:
        print("Unprotected images are among them: whoever runs the model gets these. --no-clean leaves them out.")
    print("Give nothing but images/ to whoever runs the model; the plan stays with you.")
    answers = output / "predictions"
    say_next(
        [
            ("run a model that you have as a file", ["predict", "MODEL", output, "--output", answers]),
            ("judge its masks, named as the images", ["prove", output, answers, "--proof-key", key]),
        ]
    )


def predict(
    model: Annotated[
        Path, typer.Argument(help="TorchScript, .pt2, or the folder of a MONAI bundle", show_default=False)
    ],
    queries: Annotated[Path, typer.Argument(help="what queries wrote, or its images", show_default=False)],
    output: Annotated[Path, typer.Option(help="folder for the probabilities", show_default=False)],
    grid: Annotated[str | None, typer.Option(help="grid that the model takes, such as 128,128")] = None,
    roi: Annotated[str | None, typer.Option(help="window that slides over images instead, such as 96,96,96")] = None,
    intensity_window: IntensityWindow = None,
    device: Annotated[str, typer.Option(help="where the model runs")] = "cpu",
    progress: Progress = True,
) -> None:
    """Run a model that came as a file on every query. Models in other forms are run by hand, their masks are enough."""
    count = mu.predict(
        model,
        queries,
        output=output,
        grid=parse_numbers(grid),
        roi_size=parse_numbers(roi),
        intensity_window=parse_window(intensity_window, None),
        device=device,
        progress=progress,
    )
    print(f"Wrote {count} predictions into {output}.")
    say_next([("judge them", ["prove", queries, output, "--proof-key", "KEY"])])


def prove(
    queries: Annotated[
        Path, typer.Argument(help="what queries wrote; with --recheck a proof.json", show_default=False)
    ],
    key: ProofKey,
    predictions: Annotated[Path | None, typer.Argument(help="the model's masks or probabilities")] = None,
    output: Annotated[
        Path | None, typer.Option(help="folder for the proof", show_default="that of the queries")
    ] = None,
    recheck: Annotated[bool, typer.Option("--recheck", help="do the proof in a proof.json again")] = False,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="most answers may be missing; asked in the order of the names")
    ] = False,
    as_json: AsJson = False,
    progress: Progress = True,
) -> None:
    """Judge a model by its answers: p-values of both tests, proof.json for a third party and report.html.

    "No evidence" never means that the release was not used.
    """
    if recheck:
        _say_rechecked(queries, mu.recheck(queries, key=key, predictions=predictions, progress=progress))
        return
    if predictions is None:
        raise typer.BadParameter("the folder of the model's answers is missing; name it after the queries")
    found = mu.prove(queries, predictions, key=key, output=output, sequential=sequential, progress=progress)
    with only_json(as_json):
        _say_proven(found, key)
    if as_json:
        print_json({"proof": str(found.proof), **found.plain})


def _say_proven(found: mu.Proven, key: Path) -> None:
    """Print p-values, effects, and what they do not mean."""
    results = found.results
    print(f"{results.verdict.capitalize()}: p = {results.p:.2g}, attempt {found.attempt} with these queries.")
    if results.reserve is not None:
        test = results.reserve
        print(f"  reserve: p = {test.p:.2g}, {test.published} published against {test.held_back} held-back cases;")
        print(f"    largest capital of the test that may be stopped at any time: {test.largest_capital:.3g}")
        for effect in test.effects:
            ends = f"{effect.interval[0]:+.3f} to {effect.interval[1]:+.3f}"
            print(f"    {effect.kind} queries: Dice {effect.corrected:+.3f} better on published ones ({ends})")
    if results.key is not None:
        low, high = results.key.interval
        print(
            f"  key: p = {results.key.p:.2g} (the least it can be: {results.key.smallest_p:.2g}), answer "
            f"{results.key.strength:+.3f}, that of 95 % of the decoys {low:+.3f} to {high:+.3f}"
        )
    if found.missing:
        print(f"  {len(found.missing)} queries had no prediction and were left out, {found.missing[0]} the first.")
    if results.verdict != "evidence":
        print("This does not mean that the release was not used.")
    print(f"Wrote {found.proof} and {found.report}.")
    say_next([("let a third party check it", ["prove", found.proof, "--recheck", "--proof-key", key])])


def _say_rechecked(proof: Path, problems: list[str]) -> None:
    if problems:
        print(f"{proof} does not hold:")
        for problem in problems:
            print(f"  {problem}")
        raise typer.Exit(1)
    print(f"{proof} holds: reserve and decoys follow from the key, and the recorded answers give its results.")
