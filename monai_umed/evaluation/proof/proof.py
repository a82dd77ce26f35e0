"""The proof as a file: everything that a third party needs, with the key, to do both tests again."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...io.atomic import write_json
from ...sealing.sealed_json import ProofError
from .answers import Scores, score_answers
from .plan import Plan
from .results import Results, judge

PROOF = "proof.json"
"""Name of the file."""
FORMAT = 1

_UNRECORDED = ("redrawn", "decoys")
_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was asked, what was answered, and what follows.

    Attributes:
        version: of the program.
        time: when the proof was made, UTC.
        commitment: checksum of reserve and test plan, which the release's manifest carries since it was published.
        test: number of the set of queries under this reserve.
        attempt: number of the proof with these queries.
        sequential: whether the test that may be stopped at any time was made, and no other.
        sealed_plan: the plan, which only the key opens.
        scores: what was answered.
        results: what follows, as plain values; arrays are left out, since the key gives them again.
    """

    version: str
    time: str
    commitment: str
    test: int
    attempt: int
    sequential: bool
    sealed_plan: bytes
    scores: Scores
    results: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write it.

        Raises:
            OSError: If it cannot be written.
        """
        content = {"format": FORMAT, **asdict(self)}
        content["sealed_plan"] = base64.b64encode(self.sealed_plan).decode("ascii")
        write_json(path, content)

    @staticmethod
    def load(path: str | Path) -> Proof:
        """Read the file that :meth:`save` wrote.

        Raises:
            ProofError: If it cannot be read, or is no proof.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            scores = content.pop("scores")
            responses = {name: tuple(map(float, values)) for name, values in scores["responses"].items()}
            dice = {name: float(value) for name, value in scores["dice"].items()}
            plan = base64.b64decode(content.pop("sealed_plan"), validate=True)
            found = Scores(dice, responses, tuple(scores["missing"]), scores["sha256"])
            return Proof(**content, sealed_plan=plan, scores=found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProofError(f"{path}: no proof.json that can be read ({error}); fetch it again") from error


def plain(results: Results) -> dict[str, Any]:
    """Results as JSON holds them."""
    content = asdict(results)
    for test in (content["reserve"], content["key"]):
        for name in _UNRECORDED if test else ():
            test.pop(name, None)
    return {**json.loads(json.dumps(content)), "verdict": results.verdict}


def recheck(proof: Proof, key: bytes, predictions: Path | None = None, progress: bool = True) -> list[str]:
    """Do a proof again from what it records.

    Args:
        proof: what is claimed.
        key: the owner's 32 bytes, from which reserve, decoys and assignments follow.
        predictions: folder of the model's answers, to score them again, too.
        progress: whether to show a progress bar.

    Returns:
        What is wrong; empty if all of it holds.

    Raises:
        ProofError: If the plan is of another key, or was changed.
        DatasetError: If predictions cannot be read.
    """
    plan = Plan.open(proof.sealed_plan, key, name="the plan in proof.json")
    wrong = []
    if plan.reserve.commitment != proof.commitment:
        wrong.append("the plan's reserve is not the one that the commitment stands for")
    if not plan.reserve.drawn_by(key):
        wrong.append("the reserve was not drawn from this key")
    if plan.number != proof.test:
        wrong.append(f"the plan is that of test {plan.number}, the proof says {proof.test}")
    names = {query.name for query in plan.queries}
    if unknown := sorted((proof.scores.dice.keys() | proof.scores.responses.keys()) - names):
        wrong.append(f"it has scores of {unknown[0]}, which was never asked")
        return wrong
    if predictions is not None:
        again = score_answers(plan, predictions, some=True, progress=progress)
        if again.sha256 != proof.scores.sha256:
            wrong.append("the predictions are not those that were scored")
        elif again != proof.scores:
            wrong.append("the predictions give other scores")
    differing = sorted(_differences(plain(judge(plan, proof.scores, key, sequential=proof.sequential)), proof.results))
    if differing:
        wrong.append(f"the scores give other results: {', '.join(differing)}")
    return wrong


def _differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Names of values that differ by more than rounding."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = one.keys() | other.keys()
        return [text for name in names for text in _differences(one.get(name), other.get(name), f"{where}.{name}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [text for pair in zip(one, other, strict=True) for text in _differences(*pair, where)]
    if isinstance(one, float | int) and isinstance(other, float | int):
        return [] if math.isclose(one, other, rel_tol=1e-6, abs_tol=_TOLERANCE) else [where.lstrip(".")]
    return [] if one == other else [where.lstrip(".")]
