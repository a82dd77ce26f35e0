"""What verbs print of their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import monai_umed as mu


def say_verified(problems: Sequence[mu.Problem], release: Path, original: mu.DatasetDir | None = None) -> None:
    """Print what is wrong with a release, or what was found to be right."""
    protected = mu.find_protected(release)
    if problems:
        print(f"Verified {protected}: {len(problems)} problem{'s' if len(problems) > 1 else ''}")
        for problem in problems:
            print(f"  {problem.id}: {problem.what}")
        return
    count = len(mu.load_manifest(protected).cases)
    print(f"Verified {count} cases in {protected}: all files are there, none was changed or added.")
    if original is None:
        print("Pixels were not compared, which takes the originals.")
    else:
        print(f"No pixel is further from its original in {original} than the budget permits.")


def say_done(verb: str, cases: mu.CaseReport, folder: str | Path) -> None:
    """Print how many cases were sealed or restored into which folder, and why the others were not."""
    kept = f"; {len(cases.kept)} more were there already and are right" if cases.kept else ""
    print(f"{verb} {len(cases.done)} cases into {folder}{kept}.")
    if cases.failed:
        print(f"Failed {len(cases.failed)}, for which nothing was overwritten:")
        for entry in cases.failed:
            print(f"  {entry.id}: {entry.reason}")


def say_fitted(data: mu.DatasetDir, section: str) -> None:
    """Print what the fit saw and what was protected."""
    sections, named = mu.find_sections(data)
    count = list(sections.values()).count("train")
    print(f"Fitted to the {count} cases of the section train of {data}; the section {section} is protected.")
    if not named:
        print(f"No split.json names sections: the fit left out {len(sections) - count} cases, chosen by their names.")


def say_left_out(data: mu.DatasetDir, manifest: mu.Manifest, held_back: int = 0) -> int:
    """Say which cases are still unprotected; those that could not be protected are what is counted."""
    others = len(mu.find_cases(data)) - len(manifest.cases) - len(manifest.quarantined) - held_back
    if others:
        cure = "protect again with --section all, or them alone with --checkpoint and --section into another folder"
        print(f"{others} cases of {data} are in other sections and have no protected copy there; {cure}.")
    if manifest.quarantined:
        print(f"{len(manifest.quarantined)} cases could not be protected, see above.")
    return len(manifest.quarantined)
