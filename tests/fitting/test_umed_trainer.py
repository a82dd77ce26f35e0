"""The alternating fit: whose turn it is, what a turn may touch, and that MONAI's handlers work with it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import (
    CheckpointSaver,
    LrScheduleHandler,
    MeanDice,
    StatsHandler,
    ValidationHandler,
    from_engine,
)
from monai.transforms import AsDiscreted
from small_fit import EPS, STEPS, different, small_items, small_trainer, snapshot

from monai_umed.fitting.umed_trainer import UMedTrainer, perturb_batch, trains_surrogate
from monai_umed.networks import UMedPerturbator
from monai_umed.training import precision


def test_convention_without_warm_up_every_fifth_epoch_belongs_to_the_surrogate() -> None:
    for epoch in range(1, 501):  # Algorithm 1 counts from 1
        assert trains_surrogate(epoch, generator_epochs=4, warmup_epochs=0) == (epoch % 5 == 0)


@pytest.mark.parametrize(
    ("generator_epochs", "warmup_epochs", "turns"),
    [(4, 0, "GGGGSGGGGSG"), (4, 2, "SSGGGGSGGGG"), (1, 2, "SSGSGSGSGSG"), (1, 0, "GSGSGSGSGSG")],
)
def test_convention_warm_up_belongs_to_the_surrogate_and_the_generators_come_next(
    generator_epochs: int, warmup_epochs: int, turns: str
) -> None:
    found = ["S" if trains_surrogate(epoch, generator_epochs, warmup_epochs) else "G" for epoch in range(1, 12)]
    assert "".join(found) == turns


@pytest.mark.parametrize("output", ["tanh", "clip"])
def test_an_epoch_changes_the_networks_whose_turn_it_is_and_no_bit_of_the_others(output: str) -> None:
    trainer = small_trainer(output=output)
    before: dict[str, dict[str, torch.Tensor]] = {}
    turns = ""

    @trainer.on(Events.EPOCH_STARTED)
    def remember() -> None:
        before["surrogate"], before["generators"] = snapshot(trainer.network), snapshot(trainer.perturbator)

    @trainer.on(Events.EPOCH_COMPLETED)
    def compare() -> None:
        nonlocal turns
        surrogate = different(before["surrogate"], snapshot(trainer.network))
        generators = different(before["generators"], snapshot(trainer.perturbator))
        if surrogate:
            turns += "S"
            # A bias in front of a normalization has no effect; everything else must move.
            assert all(name.endswith("bias") for name in before["surrogate"].keys() - surrogate)
            assert not generators
        else:
            turns += "G"
            for part in ("contour", "texture"):
                assert any(name.startswith(part) and "weight" in name for name in generators)
                assert any(name.startswith(part) and "running_mean" in name for name in generators)
        assert trainer.state.trains_surrogate == bool(surrogate)

    trainer.run()
    assert turns == "SSGGSG"


@pytest.mark.parametrize("output", ["tanh", "clip"])
@pytest.mark.parametrize("native_scale", [1, 2])
def test_no_pixel_of_a_batch_moves_further_than_its_bound_or_leaves_the_window(output: str, native_scale: int) -> None:
    torch.manual_seed(0)
    perturbator = UMedPerturbator(2, 1, features=(4, 8), output=output)
    torch.nn.init.normal_(perturbator.contour.unfold.weight, std=50.0)  # noise far above every bound
    torch.nn.init.normal_(perturbator.texture.unfold.weight, std=50.0)
    items = small_items()
    image = torch.stack([item["image"] for item in items])
    bounds = torch.stack([item["bounds"] for item in items])
    image[:, :, ::3, ::2], image[:, :, 1::3, ::2] = 0, 1
    protected = perturb_batch(perturbator, image, bounds=bounds, eps=EPS, native_scale=native_scale)
    change, limit = (protected - image).abs(), bounds.sum(dim=1, keepdim=True)
    assert change.max() > 0.9 * EPS  # the budget is used, so the limits below were put to the test
    assert (change <= limit + 2**-23).all()  # one rounding of a sum below 1 in float32, twice
    assert torch.equal(protected[limit == 0], image[limit == 0])
    assert protected.min() >= 0 and protected.max() <= 1
    protected.square().sum().backward()
    for part in (perturbator.contour, perturbator.texture):
        gradients = [parameter.grad for parameter in part.parameters()]
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert any(gradient is not None and gradient.any() for gradient in gradients)


def test_noise_that_does_not_survive_resampling_earns_nothing_on_a_larger_native_grid() -> None:
    """A pattern smoothed by the way to the file and back is weaker than one that never left the working grid."""
    torch.manual_seed(0)
    perturbator = UMedPerturbator(2, 1, features=(4, 8))
    image, bounds = torch.full((1, 1, 32, 32), 0.5), torch.full((1, 2, 32, 32), EPS)
    bounds[:, 1] = 0
    direct, resampled = (
        (perturb_batch(perturbator, image, bounds=bounds, eps=EPS, native_scale=native_scale) - image).square().mean()
        for native_scale in (1, 2)
    )
    assert 0 < resampled < direct


@pytest.mark.parametrize("amp", [False, True])
def test_losses_are_finite_single_precision_numbers_with_and_without_autocast(
    amp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_computes_bfloat16", lambda: True)  # as if this CPU knew it
    trainer = small_trainer(amp=amp)
    losses: list[torch.Tensor] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(torch.as_tensor(engine.state.output[0]["loss"]))
    )
    trainer.run()
    assert len(losses) == 6 * STEPS
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses)
    assert all(value.isfinite().all() for value in trainer.perturbator.state_dict().values())
    expected_type = torch.bfloat16 if amp else torch.float32
    assert trainer.state.output[0]["pred"].dtype == expected_type
    assert all(parameter.dtype == torch.float32 for parameter in trainer.network.parameters())


def with_handlers(folder: Path) -> tuple[UMedTrainer, SupervisedEvaluator]:
    trainer = small_trainer()
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(small_items()), batch_size=2, num_workers=0),
        network=trainer.network,
        postprocessing=AsDiscreted("pred", threshold=0.0),
        key_val_metric={"dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
    )
    schedule = torch.optim.lr_scheduler.StepLR(trainer.optimizer, step_size=2, gamma=0.5)
    for handler in (
        ValidationHandler(interval=1, validator=evaluator),
        StatsHandler(name="fit", tag_name="fit_loss", output_transform=from_engine(["loss"], first=True)),
        CheckpointSaver(str(folder), trainer.fit_state(), save_final=True),
        LrScheduleHandler(cast(Any, schedule), print_lr=False),  # torch renamed the class that MONAI names
    ):
        handler.attach(trainer)
    return trainer, evaluator


def test_monai_handlers_log_save_validate_and_schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, evaluator = with_handlers(tmp_path)
    scores: list[float] = []
    evaluator.add_event_handler(Events.COMPLETED, lambda engine: scores.append(engine.state.metrics["dice"]))
    trainer.run()
    assert len(scores) == 6 and all(0 <= score <= 1 for score in scores)
    assert capsys.readouterr().out.count("fit_loss") == 6 * STEPS
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 / 8)
    [saved] = tmp_path.glob("*.pt")
    content = torch.load(saved, weights_only=True)
    assert not different(content["network"], snapshot(trainer.network))
    assert not different(content["perturbator"], snapshot(trainer.perturbator))


def test_validation_between_epochs_does_not_change_the_fit() -> None:
    plain, validated = small_trainer(), small_trainer()
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(small_items()), batch_size=2, num_workers=0),
        network=validated.network,
    )
    ValidationHandler(interval=1, validator=evaluator).attach(validated)
    plain.run()
    validated.run()
    assert not different(snapshot(plain.network), snapshot(validated.network))
    assert not different(snapshot(plain.perturbator), snapshot(validated.perturbator))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 4}, r"eps is 4; .*write 4/255"),
        ({"eps": 0.0}, "eps is 0.0; it must be above 0"),
        ({"eps": math.nan}, "eps is nan"),
        ({"generator_epochs": 0}, "generator_epochs is 0.*at least 1"),
        ({"warmup_epochs": -1}, "warmup_epochs -1"),
        ({"max_epochs": 4}, "max_epochs is 4.*use at least 5"),
    ],
)
def test_impossible_settings_are_refused_with_value_limit_and_cure(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_trainer(**options)
