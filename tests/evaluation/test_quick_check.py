"""The quick check: two exploiters, four trainings, the last three epochs of each, and one honest sentence."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from monai.engines import SupervisedTrainer

from monai_umed.evaluation import runner
from monai_umed.evaluation.cell import run_cell
from monai_umed.evaluation.last_epochs import LastEpochs, mean_scores
from monai_umed.evaluation.plan import Cell
from monai_umed.evaluation.quick_check import judge, quick_check
from monai_umed.evaluation.results import Comparison
from monai_umed.training.metrics import Scores


def test_four_trainings_give_figures_and_a_verdict_which_the_number_of_processes_does_not_change(
    clean_dir: Path,
    protected_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "quick_check.json"
    check = partial(quick_check, clean_dir, protected_dir, grid=(32, 32), output_file=output, progress=False)
    monkeypatch.setattr(runner, "_cores", lambda: 1)
    figures = check(epochs=2, batch_size=4)
    assert json.loads(output.read_text()) == figures and list(tmp_path.iterdir()) == [output]
    assert "Trainings to run: 4, 1 at a time." in capsys.readouterr().out
    monkeypatch.setattr(runner, "_cores", lambda: 2)
    assert check(epochs=2, batch_size=4) == figures
    dice = ["clean_dice", "protected_dice", "augmented_clean_dice", "augmented_protected_dice"]
    assert sorted(figures) == sorted([*dice, "psnr", "ssim", "verdict"])
    assert all(0 <= float(figures[name] or 0) <= 1 for name in dice)
    printed = capsys.readouterr().out
    assert "Trainings to run: 4, 2 at a time." in printed
    assert str(figures["verdict"]) in printed
    assert f"monai-umed audit {protected_dir} --clean {clean_dir} --test {clean_dir}" in printed


def test_an_interrupted_check_goes_on_with_its_own_trainings_and_not_with_those_of_other_settings(
    clean_dir: Path, protected_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = partial(quick_check, clean_dir, protected_dir, grid=(32, 32), output_file=tmp_path / "check.json")
    monkeypatch.setattr(runner, "_cores", lambda: 1)
    trained: list[str] = []

    def run(stop_at: int, epochs: int) -> None:
        def run_some(comparison: Comparison, cell: Cell, handlers: object) -> None:
            if len(trained) == stop_at:
                raise KeyboardInterrupt
            trained.append(cell.name)
            run_cell(comparison, cell)

        monkeypatch.setattr(runner, "run_cell", run_some)
        check(batch_size=4, progress=False, epochs=epochs)

    with pytest.raises(KeyboardInterrupt):
        run(1, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        run(2, epochs=2)
    assert trained == ["unet-batch/none/clean_0"] * 2
    run(99, epochs=2)
    assert len(set(trained)) == 4 and len(trained) == 5


@pytest.mark.parametrize(
    ("plain", "augmented", "sentence"),
    [
        (
            (0.8, 0.05),
            (0.75, 0.69),
            "An exploiter who augments learns 92 % of what the clean files teach: not protected against them.",
        ),
        (
            (0.8, 0.6),
            (0.8, 0.1),
            "An exploiter who just trains learns 75 % of what the clean files teach: not protected against them.",
        ),
        (
            (0.8, 0.8),
            (0.8, 0.84),
            "An exploiter who just trains learns 100 %, one who augments learns 105 % of what the clean files teach: "
            "not protected against either.",
        ),
        (
            (0.8, 0.08),
            (0.8, 0.4),
            "An exploiter who just trains learns 10 %, one who augments learns 50 % of what the clean files teach: "
            "protected against these two, which is not all there is.",
        ),
        (
            (0.8, 0.08),
            (0.0, 0.0),
            "Nothing was shown: an exploiter who augments reaches Dice 0.00 on the clean files, too little to compare "
            "with.",
        ),
    ],
)
def test_the_verdict_names_whoever_learns_more_than_half(
    plain: tuple[float, float], augmented: tuple[float, float], sentence: str
) -> None:
    assert judge(plain, augmented) == sentence


@pytest.mark.parametrize(("epochs", "scored"), [(1, []), (2, [1]), (5, [3, 4])])
def test_the_last_epochs_but_one_are_scored_without_disturbing_the_training(epochs: int, scored: list[int]) -> None:
    draws: dict[bool, list[float]] = {}
    for watched in (False, True):
        seen: list[int] = []

        losses = draws.setdefault(watched, [])

        def test(network: torch.nn.Module, seen: list[int] = seen, losses: list[float] = losses) -> Scores:
            assert not network.training
            torch.rand(3)
            seen.append(len(losses) // 2)
            return Scores(0.1 * seen[-1], 0, 0, 0, cases=7)

        torch.manual_seed(0)
        handler, layer = LastEpochs(test), torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(4, 1))

        def loss(logits: torch.Tensor, label: torch.Tensor, losses: list[float] = losses) -> torch.Tensor:
            value = (logits - label).square().mean()
            losses.append(value.item())
            return value

        trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=epochs,
            train_data_loader=[{"image": torch.ones(2, 4), "label": torch.ones(2, 1)}] * 2,
            network=layer,
            optimizer=torch.optim.Adam(layer.parameters()),
            loss_function=loss,
            decollate=False,
            train_handlers=[handler] if watched else [],
        )
        trainer.run()
    assert draws[True] == draws[False] and seen == scored
    last = Scores(0.1 * epochs, 0, 0, 0, cases=7)
    mean = mean_scores([*handler.results, last])
    assert mean.dice == pytest.approx(0.1 * (sum(scored) + epochs) / (len(scored) + 1)) and mean.cases == 7
