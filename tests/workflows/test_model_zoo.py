"""The bundle passes what the model zoo asks of a bundle, with the weights that lie in it."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_net_in_out
from monai.data import load_net_with_metadata
from monai.networks.utils import copy_model_state
from monai.utils import set_determinism
from protected_folder import small_protector

from monai_umed.data.manifest import Manifest
from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import UMed, protector_class
from monai_umed.protectors.checkpoint import CheckpointError, load_protector, save_protector
from monai_umed.tools.bundle_model import main, write_bundle_model

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "umed"
MODEL = BUNDLE / "models" / "model.pt"
METADATA: dict[str, Any] = json.loads((BUNDLE / "configs" / "metadata.json").read_text(encoding="utf-8"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the bundle that has never been used, in the folder where the zoo would keep it."""
    return shutil.copytree(BUNDLE, tmp_path / "models" / "umed", ignore=shutil.ignore_patterns("outputs"))


@pytest.fixture
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A workflow's `initialize` reads the command line and hooks into errors; undo that."""
    monkeypatch.setattr(sys, "argv", ["monai.bundle"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    set_determinism(None)


def files_of(bundle: Path) -> dict[str, Any]:
    """The arguments by which the zoo's checks name a bundle's files."""
    return {
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.json"),
        "bundle_root": str(bundle),
    }


@pytest.mark.parametrize(
    "file", ["LICENSE", "configs/metadata.json", "configs/inference.json", "docs/README.md", "models/model.pt"]
)
def test_a_file_that_the_zoo_demands_is_there_and_small_enough_for_a_repository(file: str) -> None:
    assert 0 < (BUNDLE / file).stat().st_size < 25e6


def test_the_weights_take_less_than_a_megabyte() -> None:
    assert MODEL.stat().st_size < 1e6


@pytest.mark.parametrize(
    "key",
    [
        "schema",
        "version",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "required_packages_version",
        "task",
        "description",
        "authors",
        "copyright",
        "network_data_format",
    ],
)
def test_a_key_that_the_zoo_s_schema_demands_is_given(key: str) -> None:
    assert METADATA[key]


def test_the_version_is_explained_in_the_changelog() -> None:
    assert METADATA["changelog"][METADATA["version"]]


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_the_network_s_tensors_are_described_completely(side: str) -> None:
    for tensor in METADATA["network_data_format"][side].values():
        assert {"type", "format", "modality", "spatial_shape", "dtype", "value_range"} <= tensor.keys()
        assert isinstance(tensor["is_patch_data"], bool)
        assert set(tensor["channel_def"]) == {str(channel) for channel in range(tensor["num_channels"])}


def test_all_versions_are_exactly_those_that_everything_was_tested_with() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert METADATA["monai_version"] == pinned["monai"]
    assert METADATA["pytorch_version"] == pinned["torch"]
    assert METADATA["numpy_version"] == pinned["numpy"]
    packages = {name: version for name, version in METADATA["required_packages_version"].items() if name in pinned}
    assert packages == {name: pinned[name] for name in packages}
    assert set(METADATA["required_packages_version"]) - set(packages) == {"monai_umed"}


def test_the_required_packages_are_those_that_the_package_requires() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = [line for line in setup["options"]["install_requires"].splitlines() if line and not line.startswith("#")]
    extras = {"fire": "fire", "ignite": "pytorch-ignite", "nibabel": "nibabel", "einops": "einops"}
    required = {"monai_umed"}
    for line in lines:
        found = re.fullmatch(r"([\w-]+)(?:\[([\w,]+)\])?>=[\d.]+", line)
        assert found, line
        required |= {found[1]} | {extras[extra] for extra in (found[2] or "").split(",") if extra}
    assert set(METADATA["required_packages_version"]) == required - {"monai", "torch", "numpy"}


@pytest.mark.usefixtures("quiet_process")
@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_an_unused_copy_of_the_bundle_has_all_properties(bundle: Path, tiny_phantom: Path, workflow: str) -> None:
    files = {**files_of(bundle), "config_file": str(bundle / "configs" / f"{workflow}.json")}
    config = ConfigWorkflow(
        workflow_type=workflow, logging_file=False, dataset_dir=str(tiny_phantom), progress=False, **files
    )
    config.initialize()
    assert config.check_properties() == []


def test_the_network_s_input_and_output_are_as_described(bundle: Path) -> None:
    verify_net_in_out(net_id="network_def", **files_of(bundle))


def test_the_weights_export_to_torchscript_and_stay_the_same_network(bundle: Path) -> None:
    target = bundle / "models" / "model.ts"
    ckpt_export("network_def", str(target), str(bundle / "models" / "model.pt"), **files_of(bundle))
    exported, metadata, _ = load_net_with_metadata(str(target))
    assert metadata["version"] == METADATA["version"]
    image = torch.rand((1, 1, 50, 71), generator=torch.Generator().manual_seed(0))
    protector = load_protector(MODEL)
    assert isinstance(protector, UMed)
    with torch.no_grad():
        expected = protector.perturbator(image)
    torch.testing.assert_close(exported(image), expected, rtol=1e-5, atol=1e-5)


def test_the_weights_are_a_plain_state_dictionary_to_anybody_else() -> None:
    weights = torch.load(MODEL, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    network = UMedPerturbator(2, 1)
    network.load_state_dict(weights, strict=True)
    assert copy_model_state(UMedPerturbator(2, 1), weights)[2] == []  # what `monai.bundle.load` does


def test_the_weights_are_those_of_the_default_preset(tiny_phantom: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    parser.update({"dataset_dir": str(tiny_phantom), "device": "cpu"})
    assert repr(load_protector(MODEL)) == repr(parser.get_parsed_content("protector"))


@pytest.mark.usefixtures("quiet_process")
def test_inference_without_a_checkpoint_protects_the_phantom_s_test_section_and_says_with_what(
    bundle: Path, tiny_phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ConfigWorkflow(
        workflow_type="inference", logging_file=False, dataset_dir=str(tiny_phantom), progress=False, **files_of(bundle)
    )
    config.initialize()
    config.run()
    manifest = Manifest.load(bundle / "outputs" / tiny_phantom.name / "protected_test" / "manifest.json")
    assert len(manifest.cases) == 4
    assert "fitted to the phantom and are public" in capsys.readouterr().out


@pytest.mark.usefixtures("quiet_process")
def test_inference_on_other_images_protects_all_of_them_with_the_given_checkpoint(
    bundle: Path, tiny_phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(tiny_phantom, tmp_path / "data", ignore=shutil.ignore_patterns("phantom.json"))
    checkpoint = save_protector(tmp_path / "protector.pt", small_protector())
    overrides: dict[str, Any] = {"dataset_dir": str(data), "checkpoint": str(checkpoint), "progress": False}
    config = ConfigWorkflow(workflow_type="inference", logging_file=False, **overrides, **files_of(bundle))
    config.initialize()
    config.run()
    assert len(Manifest.load(bundle / "outputs" / "data" / "protected_all" / "manifest.json").cases) == 12
    assert "public" not in capsys.readouterr().out


def test_a_model_made_from_a_fit_protects_bit_for_bit_as_the_fit_does(tmp_path: Path) -> None:
    fitted = save_protector(tmp_path / "protector.pt", small_protector(), {"seed": 3})
    model = write_bundle_model(fitted, tmp_path / "bundle" / "models" / "model.pt")
    image = torch.rand((1, 40, 37), generator=torch.Generator().manual_seed(1))
    label = torch.zeros((1, 40, 37), dtype=torch.uint8)
    label[:, 9:30, 8:25] = 1
    first, second = (load_protector(path)(image, label).delta for path in (fitted, model))
    assert first.any() and torch.equal(first, second)
    assert repr(load_protector(model)) == repr(load_protector(fitted))


def test_the_same_fit_gives_the_same_bytes_and_a_model_gives_itself(tmp_path: Path) -> None:
    fitted = save_protector(tmp_path / "protector.pt", small_protector(), {"seed": 3})
    model = write_bundle_model(fitted, tmp_path / "model.pt").read_bytes()
    assert write_bundle_model(fitted, tmp_path / "again.pt").read_bytes() == model
    assert write_bundle_model(tmp_path / "model.pt", tmp_path / "third.pt").read_bytes() == model


def test_a_model_does_not_tell_whose_folder_its_data_lay_in(tmp_path: Path) -> None:
    record = {"seed": 0, "dataset_dir": "/home/somebody/BUSI"}
    fitted = save_protector(tmp_path / "protector.pt", small_protector(), record)
    content = write_bundle_model(fitted, tmp_path / "model.pt").read_bytes()
    assert b"BUSI" in content and b"somebody" not in content
    assert not any(folder in MODEL.read_bytes() for folder in (b"/home", b"/root", b"/work", b"/tmp"))


def test_what_is_no_fit_gives_no_model(tmp_path: Path) -> None:
    (tmp_path / "protector.pt").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"protector\.pt cannot be read"):
        write_bundle_model(tmp_path / "protector.pt", tmp_path / "models" / "model.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["protector.pt"]


def test_a_method_without_generators_gives_no_model(tmp_path: Path) -> None:
    control = protector_class("identity")(2, 1, 4 / 255)
    checkpoint = save_protector(tmp_path / "identity.pt", control)
    with pytest.raises(CheckpointError, match=r"identity\.pt holds Identity\(.* which has no generators"):
        write_bundle_model(checkpoint, tmp_path / "model.pt")


def test_weights_without_settings_are_refused_as_a_protector(tmp_path: Path) -> None:
    torch.save(small_protector().perturbator.state_dict(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="lacks the settings beside the weights"):
        load_protector(tmp_path / "model.pt")


def test_the_command_writes_the_model_or_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fitted = save_protector(tmp_path / "protector.pt", small_protector())
    main(["--checkpoint", str(fitted), "--output", str(tmp_path / "model.pt")])
    assert f"{tmp_path / 'model.pt'} holds" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"^error: No checkpoint at .*missing\.pt"):
        main(["--checkpoint", str(tmp_path / "missing.pt"), "--output", str(tmp_path / "other.pt")])


@pytest.mark.parametrize(
    "heading",
    [
        "Authors",
        "Tags",
        "Model description",
        "Data",
        "Performance",
        "System configuration",
        "Limitations",
        "References",
    ],
)
def test_the_readme_has_the_sections_of_the_zoo_s_template(heading: str) -> None:
    readme = (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^#+ {heading}$", readme, re.MULTILINE)
