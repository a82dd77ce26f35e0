"""Prove that a model was trained on a release: hold cases back, ask the model, and judge its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.cases import Section, find_cases
from ..data.manifest import MANIFEST, Manifest
from ..data.two_folders import DatasetDir, as_dataset, places_of
from ..data.windows import as_window
from ..sealing.keys import check_unpublished, read_key
from .undo import find_protected

if TYPE_CHECKING:
    from ..data.manifest import Quarantined
    from ..evaluation.proof.queries import Released
    from ..evaluation.proof.reserve import Reserve
    from ..evaluation.proof.results import Results

OWNERS = "proof"
"""Folder in the output of :func:`monai_umed.protect` that must never be published: what was held back, and the log."""


@dataclass(frozen=True)
class HeldBack:
    """What :func:`reserve` has drawn.

    Attributes:
        folder: where it is sealed, beside what will be published; keep it to yourself.
        held_back: ids of cases that must never be published.
        published: ids of the others.
        commitment: checksum of the choice, for the manifest.
        smallest_difference: between the mean Dice of both sides, in standard deviations of one case, that gives
            p = .001 in half of all draws.
    """

    folder: Path
    held_back: tuple[str, ...]
    published: tuple[str, ...]
    commitment: str
    smallest_difference: float


@dataclass(frozen=True)
class Asked:
    """What :func:`queries` has written.

    Attributes:
        images: the folder for whoever runs the model.
        count: images in it.
        test: number of this set of queries under the reserve.
        left_out: cases that could not be used, with reasons.
        by_key: whether the key is tested, too; if not, the release has no pattern of this key.
    """

    images: Path
    count: int
    test: int
    left_out: tuple[Quarantined, ...]
    by_key: bool


@dataclass(frozen=True)
class Proven:
    """What :func:`prove` has found.

    Attributes:
        proof: the file for a third party.
        report: the page for people.
        results: both tests.
        attempt: number of the proof with these queries.
        missing: queries without a prediction.
    """

    proof: Path
    report: Path
    results: Results
    attempt: int
    missing: tuple[str, ...]


def reserve(
    data: DatasetDir,
    output: str | Path,
    *,
    key: str | Path,
    labels: str | Path | None = None,
    fraction: float = 0.2,
    groups: str | Path | None = None,
    section: Section = "all",
    progress: bool = True,
) -> HeldBack:
    """Draw cases that a release will leave out, so that its use can be proven later.

    The key decides which, by whole groups. :func:`monai_umed.protect` with ``reserve`` does this, too, and then
    protects the rest; drawn once, it stays.

    Args:
        data: folder of the dataset, a data list, or the images alone; see :func:`monai_umed.find_cases`.
        output: folder of the release to be.
        key: file of :func:`monai_umed.new_key`; one of its own, since whoever checks the proof gets it.
        labels: folder of the labels, if ``data`` holds images alone.
        fraction: of the cases to hold back, 0.02 to 0.5.
        groups: CSV file with lines ``case,group`` of cases that belong together, such as those of one patient. Default:
            images that nearly occur twice are found and kept together.
        section: what will be protected.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: if the dataset is malformed, or groups leave near-duplicates on both sides; names them.
        KeyFileError: if the key cannot be used, or lies in what would be published.
        ProofError: if there are too few cases, or another reserve was drawn before.
        ValueError: if ``fraction`` is out of range.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=20, num_test=2), mu.new_key(work / "owner.key")
        >>> drawn = mu.reserve(data, work / "out", key=key, fraction=0.3, section="train", progress=False)
        >>> len(drawn.held_back), len(drawn.published)
        (6, 14)
    """
    from ..evaluation.proof.groups import check_leaks, join, near_duplicates, read_groups
    from ..evaluation.proof.reserve import RESERVE, Reserve, draw_reserve
    from ..evaluation.proof.sealed_json import ProofError

    folder = Path(output) / OWNERS
    check_unpublished(key, [Path(output) / "protected"])
    secret = read_key(key)
    dataset = data if labels is None else as_dataset(str(data), labels)
    cases = find_cases(dataset, section)
    ids = [case.id for case in cases]
    if (folder / RESERVE).is_file():
        drawn = Reserve.load(folder, secret)
        if set(drawn.groups) != set(ids) or drawn.fraction != fraction:
            cure = "pass the same dataset, section and fraction, or choose another folder"
            raise ProofError(f"{folder / RESERVE}: drawn from other cases, or another fraction of them; {cure}")
        return _held_back(folder, drawn)
    pairs = near_duplicates(cases, progress)
    if groups is None:
        drawn = draw_reserve(join({id: id for id in ids}, pairs), fraction, secret)
    else:
        drawn = draw_reserve(read_groups(groups, ids), fraction, secret)
        check_leaks(drawn.groups, drawn.held_back, pairs)
    drawn.save(folder, secret)
    return _held_back(folder, drawn)


def _held_back(folder: Path, drawn: Reserve) -> HeldBack:
    from ..evaluation.proof.reserve import smallest_difference

    published = tuple(sorted(set(drawn.groups) - set(drawn.held_back)))
    smallest = smallest_difference(len(published), len(drawn.held_back))
    return HeldBack(folder, drawn.held_back, published, drawn.commitment, smallest)


def queries(
    release: str | Path,
    output: str | Path,
    *,
    key: str | Path,
    original: DatasetDir | None = None,
    labels: str | Path | None = None,
    checkpoint: str | Path | None = None,
    hardness: str | Path | None = None,
    window: Sequence[float] | str | None = None,
    max_queries: int = 2000,
    clean: bool = True,
    progress: bool = True,
) -> Asked:
    """Write the images that a suspect model is to be asked about, without names and in no order.

    Args:
        release: what :func:`monai_umed.protect` wrote with ``reserve``.
        output: new folder: ``images`` goes to whoever runs the model, ``plan.sealed`` stays.
        key: the file that the reserve was drawn with.
        original: the dataset that was protected. Default: where the fit found it.
        labels: folder of the labels, if ``original`` holds images alone.
        checkpoint: the fitted protector. Default: that of the release.
        hardness: CSV file with lines ``case,dice``: what models of the owner reach on each case without having seen it.
        window: displayed intensities of black and white, if the release was made with some.
        max_queries: most images to write.
        clean: whether unprotected images are among them, which tell more; whoever runs the model then has them.
        progress: whether to show progress bars.

    Raises:
        DatasetError: if the release, the originals or the output folder cannot be used.
        KeyFileError: if the key cannot be used.
        ProofError: if there is no reserve of this key, or there are too few queries.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=20, num_test=2), mu.new_key(work / "owner.key")
        >>> drawn = mu.protect(data, work / "out", preset="stamp", reserve=0.3, proof_key=key, progress=False)
        Protected 14 cases ...
        >>> asked = mu.queries(work / "out", work / "ask", key=key, progress=False)
        >>> asked.count, asked.by_key
        (40, False)
    """
    from ..evaluation.proof.log import append_log, read_log
    from ..evaluation.proof.queries import write_queries
    from ..evaluation.proof.reserve import Reserve
    from ..evaluation.proof.sealed_json import ProofError

    protected = find_protected(release)
    folder, output = protected.resolve().parent / OWNERS, Path(output)
    secret = read_key(key)
    drawn = Reserve.load(folder, secret)
    if Manifest.load(protected / MANIFEST).commitment_sha256 != drawn.commitment:
        cure = "protect again with --reserve, or bring the folder proof of this release back"
        raise ProofError(f"{protected / MANIFEST}: commits to another reserve than {folder}, or to none; {cure}")
    number = len(read_log(folder, secret)) + 1
    released, fitted_to = _released(protected, checkpoint, key, window)
    dataset = fitted_to if original is None else as_dataset(str(original), labels) if labels else original
    cases = {case.id: case for case in find_cases(as_dataset(*places_of(dataset), ignore_label=_void(protected)))}
    table = None
    if hardness is not None:
        from ..evaluation.proof.hardness import read_hardness

        table = read_hardness(hardness, list(drawn.groups))
    plan, left_out = write_queries(
        released,
        cases,
        drawn,
        secret,
        output,
        number=number,
        max_queries=max_queries,
        clean=clean,
        hardness=table,
        progress=progress,
    )
    append_log(folder, secret, what="queries", commitment=drawn.commitment, queries=len(plan.queries))
    return Asked(output / "images", len(plan.queries), number, tuple(left_out), plan.pattern is not None)


def _void(protected: Path) -> int | None:
    return Manifest.load(protected / MANIFEST).ignore_label


def _released(
    protected: Path, checkpoint: str | Path | None, key: str | Path, window: Sequence[float] | str | None
) -> tuple[Released, DatasetDir]:
    """What was published, and the dataset that its protector was fitted to."""
    from ..evaluation.proof.queries import Released
    from ..evaluation.proof.sealed_json import ProofError
    from ..evaluation.proof.tiles import pattern_of
    from ..protectors.checkpoint import find_checkpoint, load_protector, read_record

    made = find_checkpoint(protected.resolve().parent) if checkpoint is None else Path(checkpoint)
    protector, record = load_protector(made), read_record(made)
    if not {"dataset_dir", "num_classes"} <= record.keys():
        raise ProofError(f"{made}: does not tell what it was fitted to; pass the --checkpoint of `monai-umed fit`")
    manifest = Manifest.load(protected / MANIFEST)
    given = as_window(window) or record.get("window")
    released = Released(
        folder=protected,
        records={case.id: case for case in manifest.cases},
        protector=protector,
        num_classes=record["num_classes"],
        window=None if given is None else (given[0], given[1]),
        pattern=pattern_of(protector, record.get("key"), key),
    )
    return released, as_dataset(record["dataset_dir"], record.get("labels_dir"))


def predict(
    model: str | Path,
    queries: str | Path,
    *,
    output: str | Path,
    size: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
    intensities: Sequence[float] | str | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> int:
    """Run a model that came as a file on every query; models in any other form are run by hand.

    Args:
        model: TorchScript (``.ts``, ``.pt``), an exported program (``.pt2``), or the folder of a MONAI bundle.
        queries: what :func:`queries` wrote, or its ``images``.
        output: folder for the probabilities.
        size: grid that images are resampled to for the model.
        window: what slides over images instead.
        intensities: displayed values of black and white, if not those of the files.
        device: where it runs.
        progress: whether to show a progress bar.

    Returns:
        The number of predictions.

    Raises:
        ProofError: if the model cannot be loaded, or cannot take an image.

    Example:
        >>> import torch
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> torch.jit.script(torch.nn.Conv2d(1, 1, 3, padding=1)).save(work / "model.ts")
        >>> mu.predict(work / "model.ts", data / "images", output=work / "answers", progress=False)
        6
    """
    from ..evaluation.proof.models import load_network, predict_queries

    levels = as_window(intensities)
    return predict_queries(
        load_network(Path(model), device),
        Path(queries),
        Path(output),
        size=size,
        window=window,
        intensities=levels,
        device=device,
        progress=progress,
    )


def prove(
    queries: str | Path,
    predictions: str | Path,
    *,
    key: str | Path,
    output: str | Path | None = None,
    sequential: bool = False,
    progress: bool = True,
) -> Proven:
    """Judge a model by what it answered: was it trained on the release?

    Args:
        queries: what :func:`queries` wrote.
        predictions: folder with a mask, or probabilities, for each image, under its name.
        key: the file that the reserve was drawn with.
        output: folder for ``proof.json`` and ``report.html``. Default: that of the queries.
        sequential: whether the model was asked in the order of the names and the rest of the answers may be missing;
            the p-value is then that of the test that may be stopped at any time.
        progress: whether to show progress bars.

    Raises:
        DatasetError: if predictions are missing, of another size, empty or mixed; names them.
        KeyFileError: if the key cannot be used.
        ProofError: if the plan is of another key, or was changed.

    Example:
        >>> data, key = mu.write_phantom(work / "data", num_train=20, num_test=2), mu.new_key(work / "owner.key")
        >>> drawn = mu.protect(data, work / "out", preset="stamp", reserve=0.3, proof_key=key, progress=False)
        Protected 14 cases ...
        >>> asked = mu.queries(work / "out", work / "ask", key=key, progress=False)
        >>> import torch
        >>> torch.jit.script(torch.nn.Conv2d(1, 1, 3, padding=1)).save(work / "model.ts")
        >>> count = mu.predict(work / "model.ts", work / "ask", output=work / "answers", progress=False)
        >>> found = mu.prove(work / "ask", work / "answers", key=key, progress=False)
        >>> 0 < found.results.p <= 1, mu.recheck(found.proof, key=key)
        (True, [])
    """
    from datetime import datetime, timezone

    from ..evaluation.proof.answers import score_answers
    from ..evaluation.proof.log import append_log, read_log
    from ..evaluation.proof.plan import PLAN, Plan
    from ..evaluation.proof.proof import PROOF, Proof, plain
    from ..evaluation.proof.report import write_report
    from ..evaluation.proof.results import judge
    from ..io.provenance import tool_version

    folder, answers = Path(queries), Path(predictions)
    secret = read_key(key)
    plan = Plan.load(folder, secret)
    scores = score_answers(plan, answers, some=sequential, progress=progress)
    results = judge(plan, scores, secret, sequential=sequential)
    attempt = len(read_log(folder, secret)) + 1
    proof = Proof(
        version=tool_version(),
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commitment=plan.reserve.commitment,
        test=plan.number,
        attempt=attempt,
        sequential=sequential,
        sealed_plan=(folder / PLAN).read_bytes(),
        scores=scores,
        results=plain(results),
    )
    target = folder if output is None else Path(output)
    proof.save(target / PROOF)
    write_report(target / "report.html", proof, plan, results, folder / "images", answers)
    append_log(folder, secret, what="proof", predictions=scores.sha256, p=results.p)
    return Proven(target / PROOF, target / "report.html", results, attempt, scores.missing)


def recheck(
    proof: str | Path, *, key: str | Path, predictions: str | Path | None = None, progress: bool = True
) -> list[str]:
    """Do a proof again from what it records, as a third party who was given the key.

    Args:
        proof: the file ``proof.json``.
        key: the owner's key, from which reserve, decoys and assignments follow.
        predictions: the model's answers, to score them again, too.
        progress: whether to show a progress bar.

    Returns:
        What is wrong; empty if all of it holds.

    Raises:
        KeyFileError: if the key cannot be used.
        ProofError: if the file is none, or its plan is of another key or was changed.

    Example:
        >>> mu.recheck(work / "proof.json", key=mu.new_key(work / "owner.key"))
        Traceback (most recent call last):
        monai_umed.evaluation.proof.sealed_json.ProofError: ...no proof.json that can be read...
    """
    from ..evaluation.proof import proof as files

    secret = read_key(key)
    folder = None if predictions is None else Path(predictions)
    return files.recheck(files.Proof.load(proof), secret, folder, progress)
