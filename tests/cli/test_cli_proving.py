"""The command line of a proof, from holding cases back to a third party's check."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from proof_dataset import COUNT, small_dataset
from typer.testing import CliRunner

import monai_umed as mu
from monai_umed import cli

runner = CliRunner()


@pytest.fixture(autouse=True)
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs change how this process shows errors; tests give that back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def run(*arguments: str | Path, code: int = 0) -> str:
    """Output of a command."""
    done = runner.invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exit_code == code, f"{done.output}{done.exception!r}"
    return done.output


def test_from_a_reserve_to_a_proof_that_is_checked(tmp_path: Path) -> None:
    data, key = small_dataset(tmp_path / "data"), mu.new_key(tmp_path / "proof.key")
    out, ask, answers = tmp_path / "out", tmp_path / "ask", tmp_path / "answers"
    drawn = run("reserve", data, out, "--fraction", "0.25", "--proof-key", key, "--no-progress")
    assert f"Held back 6 of {COUNT} cases" in drawn and "Commitment: " in drawn and "--reserve 0.25" in drawn
    # --key is what version 0.1 called keys.
    made = run("protect", data, out, "--preset", "stamp", "--section", "all", "--reserve", "0.25", "--key", key)
    assert "--key is called --proof-key now" in made
    assert drawn.splitlines()[1] in made  # the same commitment
    assert f"Verified {COUNT - 6} cases" in made and f"queries {out} QUERIES --proof-key {key}" in made
    assert "are in other sections" not in made

    asked = run("queries", out, ask, "--key", key, "--no-progress")  # one key alone: the short name is clear
    assert f"Wrote {2 * COUNT} queries, test 1 of this reserve" in asked and "no pattern of this key" in asked
    torch.jit.script(torch.nn.Conv2d(1, 1, 3, padding=1)).save(tmp_path / "model.ts")
    assert f"Wrote {2 * COUNT} predictions" in run(
        "predict", tmp_path / "model.ts", ask, "--output", answers, "--no-progress"
    )
    proven = run("prove", ask, answers, "--proof-key", key, "--no-progress")
    assert "attempt 1 with these queries" in proven and "18 published against 6 held-back" in proven
    assert "holds: reserve and decoys follow from the key" in run(
        "prove", ask / "proof.json", "--recheck", "--proof-key", key
    )
    text = (ask / "proof.json").read_text(encoding="utf-8").replace('"attempt": 1', '"attempt": 1, "extra": 1')
    (ask / "changed.json").write_text(text, encoding="utf-8")
    done = runner.invoke(cli.app, ["prove", str(ask / "changed.json"), "--recheck", "--proof-key", str(key)])
    assert done.exit_code == 1 and "no proof.json that can be read" in str(done.exception)

    names = sorted(path.name for path in (ask / "images").iterdir())
    for name in names[40:]:
        (answers / f"{Path(name).stem}.npz").unlink()
    assert "capital" in run("prove", ask, answers, "--proof-key", key, "--sequential", "--no-progress")


def test_what_is_missing_is_said_before_anything_is_done(tmp_path: Path) -> None:
    key = mu.new_key(tmp_path / "proof.key")
    assert "the folder of the model's answers is missing" in run("prove", tmp_path, "--proof-key", key, code=2)
    data = small_dataset(tmp_path / "data")
    assert "a key draws it" in run("protect", data, tmp_path / "out", "--reserve", "0.2", code=2)
    assert "means a reserve" in run("protect", data, tmp_path / "out", "--proof-key", key, code=2)


def test_a_patient_is_on_one_side_and_copies_on_both_sides_are_refused(tmp_path: Path) -> None:
    data, key = small_dataset(tmp_path / "data"), mu.new_key(tmp_path / "proof.key")
    for index in range(0, COUNT, 2):  # every second image once more, a little brighter, as somebody else's
        for folder in ("images", "masks"):
            source = np.asarray(Image.open(data / folder / f"scan_{index:02}.png"))
            changed = source if folder == "masks" else (source.astype(int) + 3).clip(0, 255).astype(np.uint8)
            Image.fromarray(changed).save(data / folder / f"copy_{index:02}.png")
    ids = [case.id for case in mu.find_cases(data)]
    (tmp_path / "g.csv").write_text("".join(f"{id},{id}\n" for id in ids), encoding="utf-8")
    arguments = ["reserve", str(data), str(tmp_path / "out"), "--proof-key", str(key), "--no-progress"]
    done = runner.invoke(cli.app, [*arguments, "--groups", str(tmp_path / "g.csv")])
    assert done.exit_code == 1 and "is held back and nearly equals" in str(done.exception)
    assert not (tmp_path / "out" / "proof").exists()
    (tmp_path / "g.csv").write_text("".join(f"{id},{id[-2:]}\n" for id in ids), encoding="utf-8")
    assert "Held back" in run(*arguments, "--groups", tmp_path / "g.csv")
