"""Advice from end to end: the test section stays unread, the ladder ends early, what was trained is taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from protected_folder import noise, square, write_array
from typer.testing import CliRunner

import monai_umed as mu
import monai_umed.workflows.advise as workflow
from monai_umed.cli import app
from monai_umed.data.phantom import write_phantom
from monai_umed.evaluation.advice.record import Advice, Learned, Setting
from monai_umed.evaluation.advice.search import COLOR_EXPLOITERS, EXPLOITERS, choose_exploiters, make_ladder

QUICK: dict[str, Any] = {"epochs": 1, "grid": (48, 48), "levels": [4, 12], "progress": False}
ONE = ["blur-2.0", "random-crop", "jpeg-30", "flips+affine"]  # who just trains is left, with two networks


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four training cases, and test cases that nobody can read."""
    folder = write_phantom(tmp_path_factory.mktemp("advice") / "data", num_train=24, num_test=6)
    for name in json.loads((folder / "split.json").read_text())["test"]:
        for kind in ("images", "masks"):
            (folder / kind / f"{name}.png").write_bytes(b"nobody may read this")
    return folder


def dice_of(monkeypatch: pytest.MonkeyPatch, dice: dict[tuple[str, str], float], clean: float = 0.8) -> list[str]:
    """Let trainings give known figures, by setting and defense, without a fit; returns what was trained."""
    trained: list[str] = []

    def known(self: Any, comparison: Any, cell: Any, estimate: Any) -> float:
        trained.append(f"{comparison.output_dir.name}/{cell.exploiter}/{cell.defense}")
        return clean if cell.data == "clean" else dice.get((comparison.output_dir.name, cell.defense), 0.1)

    def stamped(setting: Setting, *arguments: Any) -> Path:
        return make(Setting(setting.name, {**setting.options, **others.get(setting.options["preset"], {})}), *arguments)

    make, others = workflow._make, {"default": {"preset": "stamp"}}
    monkeypatch.setattr(workflow, "_make", stamped)  # a fit would take most of the time
    monkeypatch.setattr("monai_umed.evaluation.advice.search.Search._dice", known)
    return trained


def test_advice_reads_no_test_case_and_takes_up_what_was_trained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "advice"
    quick = {**QUICK, "levels": [4]}
    advice = mu.advise(data, output, accept=ONE, **quick)
    printed = capsys.readouterr().out
    assert (advice.train_cases, advice.held_out) == (12, 12)
    assert "Trainings to run: at most 6, 1 at a time" in printed and advice.verdict in printed
    assert "below 30 this advice is a guess" in printed
    assert (output / "advice.png").read_bytes().startswith(b"\x89PNG")
    assert Advice.load(output) == advice == Advice.load(output / "advice.json")
    cells = sorted((output / "trainings").rglob("cells/**/*.json"))
    times = [cell.stat().st_mtime_ns for cell in cells]
    again = mu.advise(data, output, accept=ONE, target=0.4, **quick)
    assert again.target == 0.4
    assert [cell.stat().st_mtime_ns for cell in cells] == times
    with pytest.raises(ValueError, match=r"other settings .*epochs"):
        mu.advise(data, output, accept=ONE, **{**QUICK, "epochs": 2})


def test_the_least_visible_setting_that_holds_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = dice_of(
        monkeypatch, {("stamp-4", "jpeg-30"): 0.7, ("default-4", "flips+affine"): 0.5, ("stamp-12", "none"): 0.2}
    )
    advice = mu.advise(data, tmp_path / "advice", min_psnr=20, **QUICK)
    assert advice.chosen is not None and advice.chosen.options == {"preset": "stamp", "eps": "12/255"}
    assert advice.verdict.startswith("--preset stamp --eps 12/255 holds at ")
    assert "unet-instance that just trains learns 25 % of what the clean files teach" in advice.verdict
    # stamp-4 fell to JPEG, which the next setting meets first; it then fell to flips.
    assert next(name for name in trained if name.startswith("default-4")) == "default-4/unet-instance/jpeg-30"
    assert [trial.holds for trial in advice.trials] == [False, False, True, True]
    assert len([name for name in trained if name.startswith("stamp-12")]) == len(EXPLOITERS)


def test_if_none_holds_the_exploiter_to_blame_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = {(name, "blur-2.0"): 0.72 for name in ("stamp-4", "default-4", "stamp-12", "strong-12")}
    dice_of(monkeypatch, dice)
    advice = mu.advise(data, tmp_path / "advice", min_psnr=20, **QUICK)
    assert advice.chosen is None
    assert "No setting holds at 20 dB or more: with the last one, --preset strong --eps 12/255" in advice.verdict
    assert "unet-instance with blur-2.0 learns 90 % of what the clean files teach" in advice.verdict
    assert "--accept" in advice.verdict
    visible = mu.advise(data, tmp_path / "advice", min_psnr=90, **QUICK)
    assert visible.chosen is None and "No setting keeps 90 dB" in visible.verdict
    dice_of(monkeypatch, {}, clean=0.1)
    assert "Nothing was shown" in mu.advise(data, tmp_path / "advice", min_psnr=20, **QUICK).verdict


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0.0}, r"target is 0\.0; it must be above 0 and below 1"),
        ({"target": 1.0}, r"target is 1\.0; it must be above 0 and below 1"),
        ({"min_psnr": 0}, "min_psnr is 0; it must be positive"),
        ({"accept": ["blur-1.0"]}, r"accept has 'blur-1.0', which nobody uses. Did you mean 'blur-2.0'"),
        ({"accept": [*ONE, "none"]}, "accept names every exploiter"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        mu.advise(data, tmp_path, **options)


def test_too_few_cases_are_refused(tiny_phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(mu.DatasetError, match="8 training cases, at least 20 are needed"):
        mu.advise(tiny_phantom, tmp_path)


def test_damaged_advice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "advice.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no advice"):
        Advice.load(tmp_path)


def colors(folder: Path) -> Path:
    """Twenty training cases with three channels."""
    for index in range(20):
        write_array(folder / "images" / f"{index}.png", noise((64, 64, 3), 256, index).astype(np.uint8))
        write_array(folder / "masks" / f"{index}.png", square((64, 64)))
    names = {"train": [str(index) for index in range(20)], "test": []}
    (folder / "split.json").write_text(json.dumps(names))
    return folder


def test_a_tint_is_tried_where_there_are_colors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colors(tmp_path / "data")
    dice_of(monkeypatch, {("stamp-8", "none"): 0.8, ("strong-8", "none"): 0.8})
    advice = mu.advise(tmp_path / "data", tmp_path / "advice", min_psnr=20, **{**QUICK, "levels": [8]})
    assert [trial.setting.name for trial in advice.trials] == ["stamp-8", "strong-8", "tint-8"]
    assert advice.chosen is not None and advice.chosen.arguments == "--preset tint --eps 8/255"
    tint = next(trial for trial in advice.trials if trial.setting.name == "tint-8")
    assert {(entry.exploiter, entry.defense) for entry in tint.learned} == {*EXPLOITERS, *COLOR_EXPLOITERS}
    rungs = [[setting.name for setting in rung] for rung in make_ladder(1, [4, 12])]
    assert rungs == [["stamp-4", "default-4"], ["stamp-12", "strong-12"]]


def test_a_tint_that_a_conversion_to_gray_undoes_is_not_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = colors(tmp_path / "data")
    dice_of(monkeypatch, {(name, "grayscale"): 0.6 for name in ("stamp-8", "strong-8", "tint-8")})
    options: dict[str, Any] = {"min_psnr": 20, **QUICK, "levels": [8]}
    advice = mu.advise(data, tmp_path / "advice", **options)
    assert advice.chosen is None and "unet-instance with grayscale learns 75 %" in advice.verdict
    chosen = mu.advise(data, tmp_path / "advice", accept=["grayscale"], **options).chosen
    assert chosen is not None
    assert ("unet-instance", "grayscale") not in choose_exploiters(1)


def test_an_exploiter_is_named_as_people_would() -> None:
    assert Learned("unet-batch", "none", 0.1, 0.2).who == "unet-batch that just trains"
    assert Learned("unet-batch", "jpeg-30", 0.1, 0.2).who == "unet-batch with jpeg-30"


def test_protecting_as_advised_takes_the_setting_and_the_manifest_tells(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice_of(monkeypatch, {})
    advice = mu.advise(data, tmp_path / "advice", min_psnr=20, **QUICK)
    release = mu.protect(data, tmp_path / "out", advice=tmp_path / "advice", progress=False)
    assert release.problems == () and release.manifest is not None
    assert release.manifest.advice == advice.verdict and release.manifest.protector.startswith("ConstantStamp(")
    assert mu.load_manifest(tmp_path / "out").advice == advice.verdict
    with pytest.raises(mu.OptionError, match="the advice names the setting"):
        mu.protect(data, tmp_path / "out", advice=tmp_path / "advice", eps="2/255")
    with pytest.raises(mu.OptionError, match="a checkpoint has its setting already"):
        mu.protect(data, tmp_path / "out", advised=True, checkpoint="any.pt")


def test_advice_that_nothing_holds_or_about_other_cases_protects_nothing(
    data: Path, clean_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai_umed.workflows.advise.usual_advice", lambda dataset: tmp_path / "usual")
    dice_of(monkeypatch, {}, clean=0.1)
    mu.advise(data, min_psnr=20, **QUICK)
    with pytest.raises(ValueError, match=r"Nothing was shown.*name a setting yourself"):
        mu.protect(data, tmp_path / "out", advised=True, progress=False)
    with pytest.raises(ValueError, match="advice about other cases"):
        mu.protect(clean_dir, tmp_path / "out", advice=tmp_path / "usual", progress=False)
    assert not (tmp_path / "out").exists()


def test_the_command_line_ends_with_the_next_command_or_with_status_1(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--levels", "4", "--epochs", "1", "--grid", "48,48", "--min-psnr", "20", "--no-progress"]
    command = ["advise", str(data), "--output", str(tmp_path / "advice"), *options]
    dice_of(monkeypatch, {})
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert f"monai-umed protect {data} OUT --advised --advice {tmp_path / 'advice'}" in done.output
    dice_of(monkeypatch, {("stamp-4", "none"): 0.5, ("default-4", "none"): 0.5})
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1 and "No setting holds at 20 dB or more" in done.output
