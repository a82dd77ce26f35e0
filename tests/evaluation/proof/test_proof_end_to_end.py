"""From a dataset to a proof that a third party checks, on a small phantom with a pattern of the owner's key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from proof_dataset import SIZE, small_dataset
from torch.nn import functional as F

import monai_umed as mu
from monai_umed.evaluation.proof.plan import Plan
from monai_umed.sealing.keys import read_key


class Made(NamedTuple):
    """Folders and keys of one release."""

    data: Path
    out: Path
    ask: Path
    key: Path
    other: Path


class KnowsTheKey(torch.nn.Module):
    """Finds structure wherever the pattern of a key is: what a network learns at best, written by hand."""

    kernel: torch.Tensor

    def __init__(self, tile: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("kernel", (tile - tile.mean())[None, None])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        fine = image - F.avg_pool2d(image, 5, 1, 2, count_include_pad=False)
        around = F.pad(fine, (4, 3, 4, 3))
        energy = F.conv2d(around.square(), torch.ones_like(self.kernel)) * self.kernel.square().sum()
        likeness = F.conv2d(around, self.kernel).abs() / energy.sqrt().clamp(min=0.05)  # at most 1, other keys' less
        return 40 * (F.max_pool2d(likeness, 9, 1, 4) - 0.75)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("proof")
    data = small_dataset(root / "data")
    key, other = mu.new_key(root / "owner.key"), mu.new_key(root / "other.key")
    release = mu.protect(
        data,
        root / "out",
        section="all",
        reserve=0.3,
        proof_key=key,
        eps="8/255",
        epochs=3,
        grid=(SIZE, SIZE),
        batch_size=8,
        progress=False,
    )
    assert not release.problems and release.held_back is not None
    asked = mu.queries(root / "out", root / "ask", key=key, max_queries=250, progress=False)
    assert asked.by_key and asked.test == 1 and asked.count <= 250
    return Made(data, root / "out", root / "ask", key, other)


@pytest.fixture(scope="module")
def answers(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from monai_umed.fitting.pattern_key import key_tile

    folder = tmp_path_factory.mktemp("answers")
    network = KnowsTheKey(key_tile(read_key(made.key), 8, 2))
    torch.jit.trace(network, torch.zeros(1, 1, SIZE, SIZE)).save(folder / "model.ts")
    mu.predict(folder / "model.ts", made.ask, output=folder / "masks", progress=False)
    return folder / "masks"


def test_what_is_held_back_is_nowhere_in_the_release(made: Made) -> None:
    drawn = mu.reserve(made.data, made.out, key=made.key, fraction=0.3, progress=False)
    manifest = mu.load_manifest(made.out)
    assert len(drawn.held_back) == 8 and manifest.commitment_sha256 == drawn.commitment
    assert not {case.id for case in manifest.cases} & set(drawn.held_back)
    public = made.out / "protected"
    assert not [path for path in public.rglob("*") for id in drawn.held_back if id in path.name]
    assert not [id for id in drawn.held_back if id in (public / "manifest.json").read_text(encoding="utf-8")]
    assert mu.verify(made.out, original=made.data, progress=False) == []


def test_queries_say_nothing_about_what_they_are(made: Made) -> None:
    images = sorted((made.ask / "images").iterdir())
    plan = Plan.load(made.ask, read_key(made.key))
    assert [path.name for path in images] == [query.name for query in plan.queries]
    assert len({path.stat().st_mtime for path in images}) == 1
    assert {query.kind for query in plan.queries} == {"clean", "protected", "tiles"}
    assert b"scan" not in (made.ask / "plan.sealed").read_bytes()


def test_a_model_that_knows_the_key_is_found_and_anybody_with_the_key_can_check(
    made: Made, answers: Path, tmp_path: Path
) -> None:
    found = mu.prove(made.ask, answers, key=made.key, output=tmp_path, progress=False)
    assert found.results.key is not None and found.results.key.p <= 0.02
    assert found.results.verdict in ("evidence", "no evidence")
    assert mu.recheck(found.proof, key=made.key) == []
    assert mu.recheck(found.proof, key=made.key, predictions=answers, progress=False) == []
    html = found.report.read_text(encoding="utf-8")
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "data:image/svg+xml" in html and "data:image/jpeg" in html


def test_every_attempt_is_counted(made: Made, answers: Path, tmp_path: Path) -> None:
    first, second = (mu.prove(made.ask, answers, key=made.key, output=tmp_path, progress=False) for _ in range(2))
    assert second.attempt == first.attempt + 1
    (tmp_path / "in the way").write_text("")
    with pytest.raises(OSError, match="in the way"):
        mu.prove(made.ask, answers, key=made.key, output=tmp_path / "in the way", progress=False)
    third = mu.prove(made.ask, answers, key=made.key, output=tmp_path, progress=False)
    assert third.attempt == second.attempt + 2  # one that cannot be written counts as well
    again = mu.queries(made.out, tmp_path / "ask", key=made.key, max_queries=250, progress=False)
    assert again.test == 2
    assert not {path.name for path in again.images.iterdir()} & {path.name for path in (made.ask / "images").iterdir()}


def test_no_evidence_is_never_called_innocence(made: Made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    answers = tmp_path / "random"
    answers.mkdir()
    plan = Plan.load(made.ask, read_key(made.key))
    for query in plan.queries:
        np.save(answers / f"{Path(query.name).stem}.npy", rng.random(plan.cases[query.case].shape))
    found = mu.prove(made.ask, answers, key=made.key, output=tmp_path, progress=False)
    assert found.results.verdict == "no evidence"
    assert "does not mean that the release was not used" in found.report.read_text(encoding="utf-8")


def test_changes_of_a_proof_are_found(made: Made, answers: Path, tmp_path: Path) -> None:
    found = mu.prove(made.ask, answers, key=made.key, output=tmp_path, progress=False)
    content = json.loads(found.proof.read_text(encoding="utf-8"))

    def changed(**fields: object) -> list[str]:
        found.proof.write_text(json.dumps({**content, **fields}), encoding="utf-8")
        return mu.recheck(found.proof, key=made.key, predictions=answers, progress=False)

    assert changed() == []
    assert "commitment" in changed(commitment="0" * 64)[0]
    assert "other results: p" in changed(results={**content["results"], "p": 1e-9})[0]
    dice = dict.fromkeys(content["scores"]["dice"], 1.0)
    assert "the predictions give other scores" in changed(scores={**content["scores"], "dice": dice})
    assert "never asked" in changed(scores={**content["scores"], "dice": {"x.png": 1.0}})[0]
    with pytest.raises(mu.ProofError, match="another key"):
        mu.recheck(found.proof, key=made.other)
    with pytest.raises(mu.ProofError, match=r"no proof.json"):
        mu.recheck(tmp_path / "none.json", key=made.key)


def test_a_plan_of_another_key_or_a_changed_one_is_refused(made: Made, answers: Path, tmp_path: Path) -> None:
    with pytest.raises(mu.ProofError, match=r"plan.sealed: sealed with another key"):
        mu.prove(made.ask, answers, key=made.other, progress=False)
    with pytest.raises(mu.ProofError, match=r"reserve.sealed: sealed with another key"):
        mu.queries(made.out, tmp_path / "ask", key=made.other, progress=False)
    shutil.copytree(made.ask, tmp_path / "copy")
    sealed = bytearray((tmp_path / "copy" / "plan.sealed").read_bytes())
    sealed[-5] ^= 1
    (tmp_path / "copy" / "plan.sealed").write_bytes(bytes(sealed))
    with pytest.raises(mu.ProofError, match=r"plan.sealed: changed after it was sealed"):
        mu.prove(tmp_path / "copy", answers, key=made.key, progress=False)


def test_a_release_with_another_reserve_or_too_few_queries_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(mu.ProofError, match="drawn from other cases, or another fraction"):
        mu.reserve(made.data, made.out, key=made.key, fraction=0.2, progress=False)
    with pytest.raises(mu.ProofError, match=r"too few: 8 held-back cases .* take 32; raise --max-queries"):
        mu.queries(made.out, tmp_path / "ask", key=made.key, max_queries=30, progress=False)
    with pytest.raises(mu.DatasetError, match="it holds files already"):
        mu.queries(made.out, made.ask, key=made.key, progress=False)
    with pytest.raises(mu.OptionError, match="reserve: a key draws it"):
        mu.protect(made.data, tmp_path / "x", preset="stamp", reserve=0.3, progress=False)
    with pytest.raises(mu.OptionError, match="groups: means a reserve"):
        mu.protect(made.data, tmp_path / "x", preset="stamp", groups="g.csv", progress=False)


def test_only_protected_images_leave_the_house_if_that_is_wanted(made: Made, tmp_path: Path) -> None:
    asked = mu.queries(made.out, tmp_path / "ask", key=made.key, max_queries=250, clean=False, progress=False)
    plan = Plan.load(tmp_path / "ask", read_key(made.key))
    assert asked.test > 1 and {query.kind for query in plan.queries} == {"protected", "tiles"}


def test_a_model_in_no_known_form_is_refused(made: Made, tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "weights.pt")
    with pytest.raises(mu.ProofError, match="cannot be loaded as TorchScript"):
        mu.predict(tmp_path / "weights.pt", made.ask, output=tmp_path / "p", progress=False)
    with pytest.raises(mu.ProofError, match="no model of a kind that is loaded"):
        mu.predict(tmp_path / "model.onnx", made.ask, output=tmp_path / "p", progress=False)
    with pytest.raises(mu.ProofError, match="no bundle"):
        mu.predict(tmp_path, made.ask, output=tmp_path / "p", progress=False)


def test_exported_programs_are_run(made: Made, tmp_path: Path) -> None:
    network = torch.nn.Conv2d(1, 1, 3, padding=1).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 1, SIZE, SIZE),)), tmp_path / "model.pt2")
    count = mu.predict(tmp_path / "model.pt2", made.ask, output=tmp_path / "p", progress=False)
    assert count == len(list((made.ask / "images").iterdir()))
