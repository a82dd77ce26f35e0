"""The bundle's ``method.json``: any method by its name, and what cannot work is refused before it takes minutes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.utils import set_determinism
from protected_folder import noise, small_protector, square, write_array
from typer.testing import CliRunner

from monai_umed import cli
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, Manifest
from monai_umed.fitting.fit import check_budget, fit_method
from monai_umed.fitting.run_config import run_config
from monai_umed.fitting.target_psnr import reach_psnr
from monai_umed.protectors import PROTECTORS, Protector, protector_class
from monai_umed.protectors.checkpoint import load_protector
from monai_umed.transforms import UMedProtect, UMedProtectd
from monai_umed.workflows import fit as fit_workflow
from monai_umed.workflows import protect as protect_workflow

SMALL = {"working_size": [32, 32], "quick_check": False, "progress": False}
EM = {**SMALL, "method": "em", "protector#channels": [4, 8], "protector#rounds": 1, "protector#surrogate_steps": 1}


@pytest.fixture(autouse=True)
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Configs hook into errors and fix all seeds; tests give that back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    set_determinism(None)


def fit(data: Path, out: Path, **overrides: Any) -> None:
    run_config("train.json", {"dataset_dir": str(data), "output_dir": str(out), **overrides}, ["method.json"])


def refusal(data: Path, out: Path, **overrides: Any) -> str:
    """First cause of a refused fit, which leaves nothing behind."""
    with pytest.raises((RuntimeError, ValueError)) as caught:
        fit(data, out, **{**SMALL, **overrides})
    cause: BaseException = caught.value
    while cause.__cause__ is not None:
        cause = cause.__cause__
    assert not (out / "protector.pt").exists() and not (out / "protected").exists()
    return str(cause)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "protected" / "images").iterdir())}


def make(name: str, **arguments: Any) -> Protector:
    settings = {"spatial_dims": 2, "in_channels": 1, "size": (32, 32), **arguments}
    return protector_class(name).from_settings(settings)


@pytest.fixture(scope="module")
def fitted(tiny_phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a fit of EM."""
    out = tmp_path_factory.mktemp("em") / "out"
    fit(tiny_phantom, out, **EM)
    return out


def test_a_method_is_fitted_saved_and_protects_the_training_section(fitted: Path) -> None:
    protector = load_protector(fitted / "protector.pt")
    assert type(protector).__name__ == "EM" and len(protector.state()) == 8
    manifest = Manifest.load(fitted / "protected" / MANIFEST)
    assert len(manifest.cases) == 8 and manifest.protector == repr(protector)
    assert max(np.max(case.max_abs_delta) for case in manifest.cases) <= 4


def test_an_interrupted_run_keeps_its_fit_and_ends_with_the_same_files(fitted: Path, tiny_phantom: Path) -> None:
    before, stamp = contents(fitted), (fitted / "protector.pt").stat().st_mtime_ns
    (fitted / "protected" / MANIFEST).unlink()
    for image in (fitted / "protected").rglob("*.*"):
        image.unlink()
    fit(tiny_phantom, fitted, **EM)
    assert (fitted / "protector.pt").stat().st_mtime_ns == stamp and contents(fitted) == before


def test_another_run_in_the_same_folder_is_refused(fitted: Path, tiny_phantom: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        fit(tiny_phantom, fitted, **{**EM, "eps": "8/255"})
    assert "contains a run with other settings (protector" in repr(caught.getrepr())


def test_a_target_names_a_class_of_the_package(tiny_phantom: Path, tmp_path: Path) -> None:
    stamp = {"protector#_target_": "monai_umed.protectors.ConstantStamp", "protector#period": 6}
    fit(tiny_phantom, tmp_path / "out", **SMALL, **stamp)
    protector = load_protector(tmp_path / "out" / "protector.pt")
    assert repr(protector).startswith("ConstantStamp(")
    assert "period=6.0" in repr(protector) and "bound='roi'" in repr(protector)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"method": "tapp"}, "no protector 'tapp'. Did you mean 'tap'?"),
        ({"method": "umed"}, "use train.json alone"),
        ({"method": "em", "section": "all"}, "section is 'all', but EM makes noise for the cases of its fit alone"),
        ({"method": "lsp", "key": "owner.key"}, "only umed and tint start from a key, not LSP"),
        ({"method": "lsp", "bound": "rio"}, "Did you mean 'roi'?"),
        ({"method": "uniform", "eps": 0}, "eps is 0"),
    ],
)
def test_what_cannot_work_is_refused_before_the_fit(
    tiny_phantom: Path, tmp_path: Path, overrides: dict[str, Any], text: str
) -> None:
    assert text in refusal(tiny_phantom, tmp_path / "out", **overrides)


def test_bound_and_eps_that_leave_no_grey_level_are_refused(tiny_phantom: Path, tmp_path: Path) -> None:
    text = refusal(tiny_phantom, tmp_path / "out", **{**EM, "eps": 0.5 / 255, "bound": "roi"})
    assert "eps 0.5/255 and the bound" in text and "contradict each other: in none of 8 training images" in text
    check_budget(make("uniform"), [{"bounds": torch.zeros(1, 2, 2)}, {"bounds": torch.ones(1, 2, 2)}])


def test_three_classes_are_refused_by_a_method_for_two(tmp_path: Path) -> None:
    for case in "abcdef":
        write_array(tmp_path / "in" / "images" / f"{case}.bmp", noise((40, 48)).astype(np.uint8))
        write_array(tmp_path / "in" / "masks" / f"{case}.png", square((40, 48), 2))
    text = refusal(tmp_path / "in", tmp_path / "out", **{**EM, "num_classes": 2})
    assert "problems" in text and "class" in text


def test_methods_that_need_nothing_read_no_training_set(tmp_path: Path) -> None:
    def load() -> Any:
        raise AssertionError("the training set was read")

    protector = make("uniform")
    assert fit_method(protector, load, checkpoint=tmp_path / "protector.pt", record={}, progress=False) is protector
    assert (tmp_path / "protector.pt").is_file()


@pytest.mark.parametrize(("most", "target"), [(1.0, 54.0), (4.0, 40.0)])
def test_any_method_reaches_a_psnr_by_its_eps(tiny_phantom: Path, most: float, target: float) -> None:
    protector = make("constant-stamp")
    psnr = reach_psnr(protector, find_cases(tiny_phantom, "train"), target, most=most)
    assert target <= psnr <= target + 6.1  # from two grey levels to one
    assert (protector.eps > 4 / 255) == (most > 1)


def test_a_checkpoint_of_any_method_protects_and_unknown_cases_are_named(
    fitted: Path, tiny_phantom: Path, tmp_path: Path
) -> None:
    common = {"dataset_dir": str(tiny_phantom), "progress": False}
    checkpoint = str(fitted / "protector.pt")
    place = {"output_dir": str(tmp_path / "train"), "section": "train"}
    run_config("inference.json", {**common, **place, "checkpoint": checkpoint})
    assert Manifest.load(tmp_path / "train" / MANIFEST).cases == Manifest.load(fitted / "protected" / MANIFEST).cases
    place = {"output_dir": str(tmp_path / "test"), "section": "test"}
    with pytest.raises(RuntimeError) as caught:
        run_config("inference.json", {**common, **place, "checkpoint": checkpoint})
    assert "keeps one for each of the 8 cases that it was fitted on" in repr(caught.getrepr())


def test_transforms_take_any_method_and_tell_it_the_case(fitted: Path, tiny_phantom: Path) -> None:
    label = torch.zeros(1, 40, 40)
    label[:, 10:20, 10:20] = 1
    image = torch.full((1, 40, 40), 0.5)
    protector = load_protector(fitted / "protector.pt")
    name = next(iter(protector.state()))
    expected = image + protector(image, label, case_id=name).delta
    torch.testing.assert_close(UMedProtect(fitted / "protector.pt")(image, label, name), expected)
    pipeline = UMedProtectd("image", protector, id_key="id")
    case: dict[Any, Any] = {"image": image, "label": label, "id": name}
    torch.testing.assert_close(pipeline(case)["image"], expected)
    with pytest.raises(ValueError, match="no noise for case None"):
        UMedProtectd("image", protector)({"image": image, "label": label})


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[list[tuple[Any, dict[str, Any]]], str]:
    """What ``monai-umed`` would run and what it prints."""
    calls: list[tuple[Any, dict[str, Any]]] = []

    def note(name: str, overrides: dict[str, Any], overlays: Sequence[str] = ()) -> None:
        calls.append(([name, *overlays], overrides))

    for module in (fit_workflow, protect_workflow):
        monkeypatch.setattr(module, "run_config", note)
    done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    return calls, done.output


def test_the_command_line_chooses_a_method(monkeypatch: pytest.MonkeyPatch, tiny_phantom: Path, tmp_path: Path) -> None:
    options = ["--protector", "em", "--bound", "roi", "--preset", "strong"]
    [(names, overrides)], _ = command(monkeypatch, "fit", tiny_phantom, tmp_path / "out", *options)
    assert names == ["train.json", "method.json", "strong.json"]
    assert (overrides["method"], overrides["bound"]) == ("em", "roi")
    [(names, overrides)], _ = command(monkeypatch, "protect", tiny_phantom, tmp_path / "out")
    assert names == ["train.json"] and "method" not in overrides


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--bound", "roi"], "umed has bounds of its own"),
        (["--protector", "em", "--epochs", "3"], "means umed's generators, not em"),
        (["--protector", "em", "--checkpoint", "c.pt"], "settled when the checkpoint was fitted"),
    ],
)
def test_options_that_do_not_fit_the_method_are_refused(
    monkeypatch: pytest.MonkeyPatch, tiny_phantom: Path, tmp_path: Path, options: list[str], text: str
) -> None:
    calls, printed = command(monkeypatch, "protect", tiny_phantom, tmp_path / "out", *options)
    assert not calls and text in " ".join(printed.replace("│", " ").split())


def test_list_tells_what_each_protector_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {line.split()[0]: line.split()[1:] for line in command(monkeypatch, "list")[1].splitlines() if line}
    assert lines["em"][:3] == ["fit", "Huang", "et"] and lines["tap"][:3] == ["surrogate", "*", "Fowl"]
    assert lines["lsp"][:2] == ["nothing", "*"]


def test_the_contour_may_be_left_out() -> None:
    protector = small_protector()
    label = torch.zeros(1, 32, 32)
    label[:, 8:24, 8:24] = 1
    image = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    contour, texture = protector.bounds(image, label)
    protector.contour_share = 0
    without = protector.bounds(image, label)
    assert contour.any() and not without[0].any() and torch.equal(without[1], texture)


TINY = {
    "channels": [4, 8],
    "generator_channels": [4, 8],
    "rounds": 1,
    "surrogate_steps": 1,
    "epochs": 1,
    "checkpoints": 1,
    "noise_steps": 1,
}


@pytest.mark.slow
@pytest.mark.parametrize("axis", [None, 2])
@pytest.mark.parametrize("name", [name for name in PROTECTORS if name != "umed"])
def test_every_method_protects_volumes_of_three_classes_by_its_name(
    tmp_path: Path, name: str, axis: int | None
) -> None:
    classes = square((24, 26, 20), 1)
    classes[12:] *= 2
    for seed, case in enumerate("abc"):
        write_array(tmp_path / "in" / "imagesTr" / f"{case}.nii.gz", noise((24, 26, 20), 2000, seed).astype(np.int16))
        write_array(tmp_path / "in" / "labelsTr" / f"{case}.nii.gz", classes)
    (tmp_path / "in" / "split.json").write_text('{"train": ["a", "b"], "test": ["c"]}')
    known = protector_class(name).argument_names()
    options = {f"protector#{option}": value for option, value in TINY.items() if option in known}
    overrides = {**SMALL, "method": name, "slice_axis": axis, **options}
    fit(tmp_path / "in", tmp_path / "out", **{**overrides, "working_size": None})
    manifest = Manifest.load(tmp_path / "out" / "protected" / MANIFEST)
    assert len(manifest.cases) == 2 and not manifest.quarantined
    assert all((np.max(case.max_abs_delta) > 0) == (name != "identity") for case in manifest.cases)
