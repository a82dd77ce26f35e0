"""The bundle's configs and what they call: ids that MONAI demands, checked overrides."""

from __future__ import annotations

import configparser
import inspect
import json
import pydoc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigComponent, ConfigParser, ConfigWorkflow
from monai.utils import set_determinism
from torch.optim import Adam

from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed
from monai_umed.protectors.checkpoint import save_protector
from monai_umed.workflows.bundle import as_fraction, check_overrides

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "umed"
CONFIGS = BUNDLE / "configs"
TRAIN = CONFIGS / "train.json"


def load(name: str) -> dict[str, Any]:
    return json.loads((CONFIGS / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.json")))
def test_every_config_parses(name: str) -> None:
    parser = ConfigParser(load(name))
    parser.parse()
    assert parser.config


@pytest.fixture
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A workflow's `initialize` reads the command line, hooks into errors and fixes all seeds; undo that."""
    monkeypatch.setattr(sys, "argv", ["monai.bundle"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    set_determinism(None)


@pytest.mark.usefixtures("quiet_process")
@pytest.mark.parametrize(("name", "workflow"), [("train.json", "train"), ("inference.json", "inference")])
def test_a_workflow_has_all_properties_that_monai_demands(
    tiny_phantom: Path, tmp_path: Path, name: str, workflow: str
) -> None:
    overrides: dict[str, Any] = {
        "dataset_dir": str(tiny_phantom),
        "output_dir": str(tmp_path / "out"),
        "progress": False,
    }
    if workflow == "inference":
        protector = UMed(UMedPerturbator(2, 1, features=(4, 8)), (32, 32))
        overrides["checkpoint"] = str(save_protector(tmp_path / "protector.pt", protector))
    config = ConfigWorkflow(str(CONFIGS / name), workflow_type=workflow, logging_file=False, **overrides)
    config.initialize()
    assert config.check_properties() == []


def test_metadata_has_the_package_version_and_its_changelog_explains_it() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    metadata = load("metadata.json")
    assert metadata["version"] == setup["metadata"]["version"]
    assert metadata["changelog"][metadata["version"]]
    assert metadata["required_packages_version"]["monai_umed"] == metadata["version"]


@pytest.mark.parametrize("name", ["train.json", "inference.json", "evaluate.json"])
def test_outputs_follow_an_overridden_bundle_root(tmp_path: Path, tiny_phantom: Path, name: str) -> None:
    parser = ConfigParser(load(name))
    parser.update({"bundle_root": str(tmp_path), "dataset_dir": str(tiny_phantom)})
    assert str(parser.get_parsed_content("output_dir")).startswith(str(tmp_path / "outputs"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--max_epochs", "3"],
        ["--max_epochs=3", "--seed=1"],
        ["--train#trainer#max_epochs", "3"],
        ["--network_def::patch", "2"],
        ["--network_def#features=[8,16]"],
        ["--config_file", "x.json", "--meta_file", "y.json", "--tracking", "mlflow", "--eps", "4/255"],
        ["run", "-5"],
        [],
    ],
)
def test_known_and_nested_overrides_are_accepted(arguments: list[str]) -> None:
    check_overrides(TRAIN, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_epoch", "3"], r"--max_epoch \(did you mean --max_epochs\?\)"),
        (["--max_epoch=3"], r"did you mean --max_epochs\?"),
        (["--trian#trainer#max_epochs", "3"], r"--trian \(did you mean --train\?\)"),
        (["--data_dir", "x", "--sede", "1"], r"--data_dir \(did you mean --dataset_dir\?\), --sede .*--seed"),
        (["--zzzz", "1"], r"Unknown override: --zzzz\. Known: .*max_epochs"),
        (["-max_epoch", "3"], r"max_epoch"),  # Fire takes one dash for two
    ],
)
def test_unknown_overrides_are_refused_with_the_nearest_known_name(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_overrides(TRAIN, arguments)


def test_an_abbreviation_is_refused_with_a_name_that_completes_it() -> None:
    with pytest.raises(ValueError, match=r"Unknown override: --epoch \(did you mean --\w*epochs\?\)"):
        check_overrides(TRAIN, ["--epoch", "3"])


def test_overrides_of_merged_configs_may_name_ids_of_any_of_them(tmp_path: Path) -> None:
    extra = tmp_path / "extra.json"
    extra.write_text('{"my_setting": 1}')
    check_overrides([TRAIN, extra], ["--my_setting", "2", "--seed", "1"])
    with pytest.raises(ValueError, match="--my_setting"):
        check_overrides(TRAIN, ["--my_setting", "2"])


@pytest.mark.parametrize(("value", "number"), [("8/255", 8 / 255), ("0.0157", 0.0157), (4 / 255, 4 / 255), (1, 1.0)])
def test_budgets_are_numbers_or_fractions(value: float | str, number: float) -> None:
    assert as_fraction(value) == number


@pytest.mark.parametrize("value", ["four", "4/", "1/0", "/255", "", "4/255/2"])
def test_a_budget_that_is_no_number_is_refused_with_an_example(value: str) -> None:
    with pytest.raises(ValueError, match=r"write it as 0\.0157 or as 4/255"):
        as_fraction(value)


def test_the_paper_overlay_changes_only_what_train_json_has_or_its_classes_take() -> None:
    train = load("train.json")
    for name in load("paper.json"):
        *parents, key = name.split("#")
        node = train
        for parent in parents:
            node = node[parent]
        if key not in node:  # then it must be an argument whose default train.json uses
            target = pydoc.locate(str(ConfigComponent(node).resolve_module_name()))
            assert callable(target) and key in inspect.signature(target).parameters, name


def test_the_paper_overlay_builds_the_paper_s_objects(tiny_phantom: Path, tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config([str(TRAIN), str(CONFIGS / "paper.json")])
    small = {"dataset_dir": str(tiny_phantom), "output_dir": str(tmp_path), "progress": False, "device": "cpu"}
    parser.update({**small, "network_def#features": [4, 8], "surrogate#features": [4, 4, 8, 8, 8, 4]})
    trainer = parser.get_parsed_content("train#trainer")
    assert (trainer.state.max_epochs, trainer.generator_epochs, trainer.warmup_epochs) == (500, 4, 0)
    assert trainer.eps == pytest.approx(4 / 255) and trainer.native_scale == 1 and not trainer.bfloat16
    for optimizer in (trainer.optimizer, trainer.perturbator_optimizer):
        assert isinstance(optimizer, Adam) and optimizer.param_groups[0]["lr"] == 1e-4
    assert {(part.patch, part.stride) for part in (trainer.perturbator.contour, trainer.perturbator.texture)} == {
        (1, 2)
    }
    assert (trainer.perturbator.output, trainer.perturbator.norm) == ("clip", "batch")
    protector = parser.get_parsed_content("protector")
    assert protector.perturbator is trainer.perturbator
    assert (protector.texture, protector.working_size) == ("code", (224, 224))
    items = parser.get_parsed_content("train#dataset").data
    assert len(items) == 8 and items[0]["image"].shape == (1, 224, 224)
    assert not any(tmp_path.iterdir())
