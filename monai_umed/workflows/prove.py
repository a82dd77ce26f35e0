"""Ask a model, judge its answers, and let a third party judge them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.windows import GivenWindow, as_window
from ..sealing.keys import read_key

if TYPE_CHECKING:
    from ..evaluation.proof.results import Results


@dataclass(frozen=True)
class Proven:
    """What :func:`prove` has found.

    Attributes:
        proof: the file for a third party.
        report: the page for people.
        results: both tests.
        attempt: number of the proof with these queries.
        missing: queries without a prediction.
        plain: both tests as plain values, as ``proof.json`` holds them.
    """

    proof: Path
    report: Path
    results: Results
    attempt: int
    missing: tuple[str, ...]
    plain: Mapping[str, Any]


def predict(
    model: str | Path,
    queries: str | Path,
    *,
    output: str | Path,
    grid: Sequence[int] | None = None,
    roi_size: Sequence[int] | None = None,
    intensity_window: GivenWindow | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> int:
    """Run a model that came as a file on every query; models in any other form are run by hand.

    Args:
        model: TorchScript (``.ts``, ``.pt``), an exported program (``.pt2``), or the folder of a MONAI bundle.
        queries: what :func:`queries` wrote, or its ``images``.
        output: folder for the probabilities.
        grid: grid that images are resampled to for the model.
        roi_size: what slides over images instead.
        intensity_window: displayed values of black and white, if not those of the files.
        device: where it runs.
        progress: whether to show a progress bar.

    Returns:
        The number of predictions.

    Raises:
        ProofError: If the model cannot be loaded, or cannot take an image.

    Example:
        >>> import torch
        >>> data = mu.write_phantom(work / "data", num_train=4, num_test=2)
        >>> torch.jit.script(torch.nn.Conv2d(1, 1, 3, padding=1)).save(work / "model.ts")
        >>> mu.predict(work / "model.ts", data / "images", output=work / "answers", progress=False)
        6
    """
    from ..evaluation.proof.models import load_network, predict_queries

    return predict_queries(
        load_network(Path(model), device),
        Path(queries),
        Path(output),
        grid=grid,
        roi_size=roi_size,
        intensity_window=as_window(intensity_window),
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
        DatasetError: If predictions are missing, of another size, empty or mixed; names them.
        KeyFileError: If the key cannot be used.
        ProofError: If the plan is of another key, or was changed.

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
    # Counted before anybody sees it, so that a proof that is interrupted counts as well.
    append_log(folder, secret, what="proof", predictions=scores.sha256, p=results.p)
    target = folder if output is None else Path(output)
    proof.save(target / PROOF)
    write_report(target / "report.html", proof, plan, results, folder / "images", answers)
    return Proven(target / PROOF, target / "report.html", results, attempt, scores.missing, proof.results)


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
        KeyFileError: If the key cannot be used.
        ProofError: If the file is none, or its plan is of another key or was changed.

    Example:
        >>> mu.recheck(work / "proof.json", key=mu.new_key(work / "owner.key"))
        Traceback (most recent call last):
        monai_umed.sealing.sealed_json.ProofError: ...no proof.json that can be read...
    """
    from ..evaluation.proof import proof as files

    secret = read_key(key)
    folder = None if predictions is None else Path(predictions)
    return files.recheck(files.Proof.load(proof), secret, folder, progress)
