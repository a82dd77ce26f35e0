"""The bundle in MONAI Label's stock app, and the files that this app lists in its config as a dataset to fit."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from label_studies import client_of, put_label, write_studies
from monai.utils import set_determinism
from PIL import Image
from protected_folder import read_array, square, write_array

from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, Manifest
from monai_umed.fitting.run_config import run_config
from monai_umed.workflows.listed_files import ListedFiles

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "umed"
SHAPE = (128, 120)  # near the grid of the generators, whose noise shrinks with the image
SHORT = {"max_epochs": 3, "device": "cpu"}
LEVELS = 4  # of train.json


def pairs_of(studies: Path, names: str) -> list[dict[str, str]]:
    """What MONAI Label's datastore lists."""
    final = studies / "labels" / "final"
    return [{"image": str(studies / f"{name}.png"), "label": str(final / f"{name}.png")} for name in names]


def listed(train: Any, validate: Any = None, *, root: Path, options: tuple[Any, ...] = ()) -> ListedFiles:
    return ListedFiles(train, validate, root, options)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return write_studies(tmp_path / "studies", "abcd", "abc", SHAPE)


@pytest.fixture
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A workflow's `initialize` hooks into errors and fixes all seeds; undo that."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    set_determinism(None)


def test_listed_files_become_a_dataset_until_it_is_closed(studies: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in studies.rglob("*.png")}
    files = listed(pairs_of(studies, "ca"), pairs_of(studies, "b"), root=tmp_path)
    assert files.folder is not None
    assert [case.id for case in find_cases(files.folder, "train")] == ["a", "b", "c"]
    files.close()
    assert not files.folder.exists()
    assert {path: path.read_bytes() for path in studies.rglob("*.png")} == before


def test_a_dataset_that_nobody_holds_any_more_leaves_no_originals_behind(studies: Path, tmp_path: Path) -> None:
    folder = listed(pairs_of(studies, "a"), root=tmp_path).folder
    assert folder is not None and not folder.exists()


def test_equal_fits_share_a_name_and_others_do_not(studies: Path, tmp_path: Path) -> None:
    def name(train: str, validate: str, epochs: int = 3) -> str:
        files = listed(pairs_of(studies, train), pairs_of(studies, validate), root=tmp_path, options=(epochs,))
        assert files.folder is not None
        return files.folder.name

    first = name("ab", "c")
    assert name("cb", "a") == first
    assert len({first, name("ab", ""), name("ab", "c", 4)}) == 3
    write_array(studies / "labels" / "final" / "a.png", square(SHAPE, 1))
    assert name("ab", "c") != first


def test_without_lists_there_is_no_dataset(tmp_path: Path) -> None:
    assert listed(None, root=tmp_path).folder is None
    assert not any(tmp_path.iterdir())


def test_empty_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no image has a final label; draw some"):
        listed([], [], root=tmp_path)


def test_items_that_are_no_pairs_of_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has an item with image, bounds; give paths"):
        listed([{"image": torch.zeros(1, 8, 8), "bounds": torch.zeros(2, 8, 8)}], root=tmp_path)


def test_several_processes_are_refused(studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 processes were started"):
        listed(pairs_of(studies, "a"), root=tmp_path)


@pytest.mark.usefixtures("quiet_process")
def test_a_fit_to_listed_files_protects_them_as_one_to_a_dataset_does(tiny_phantom: Path, tmp_path: Path) -> None:
    pairs = [{"image": str(case.image), "label": str(case.label)} for case in find_cases(tiny_phantom, "train")]
    common = {"max_epochs": 3, "device": torch.device("cpu"), "progress": False, "quick_check": False}
    run_config("train.json", {**common, "dataset_dir": str(tiny_phantom), "output_dir": str(tmp_path / "folder")})
    lists = {"train#dataset#data": pairs[2:], "validate#dataset#data": pairs[:2], "listed#root": str(tmp_path)}
    run_config("train.json", {**common, **lists, "output_dir": str(tmp_path / "list")})
    images = [sorted((tmp_path / name / "protected" / "images").iterdir()) for name in ("folder", "list")]
    assert [path.name for path in images[0]] == [path.name for path in images[1]]
    assert [path.read_bytes() for path in images[0]] == [path.read_bytes() for path in images[1]]
    assert all(path.read_bytes() != (tiny_phantom / "images" / path.name).read_bytes() for path in images[0])
    assert not any((tmp_path / ".labelled").iterdir())


@pytest.fixture
def client(studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet_process: None) -> Iterator[Any]:
    """A client of the stock app with a copy of the bundle in it."""
    pytest.importorskip("monailabel", reason="MONAI Label lives in an environment of its own, see .ci/label")
    try:
        import torchvision.utils  # noqa: F401
    except (ImportError, RuntimeError):  # its wheel does not load beside a torch without CUDA
        stand_in = ModuleType("torchvision.utils")
        vars(stand_in).update(make_grid=None, save_image=None)  # what the app imports and calls for no bundle
        monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.utils", stand_in)
    stock = Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle"
    shutil.copytree(stock, tmp_path / "app")
    ignored = shutil.ignore_patterns("outputs")
    shutil.copytree(BUNDLE, tmp_path / "app" / "model" / "umed", ignore=ignored)
    with client_of(studies, tmp_path, models="umed", zoo_source="local", sam2="false") as found:
        yield found


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "app" / "model" / "umed" / "outputs"


def train(client: Any, **options: Any) -> Any:
    return client.post("/train/umed?run_sync=true", json={**SHORT, **options})


def test_the_stock_app_lists_the_bundle_as_model_and_as_trainer(client: Any) -> None:
    info = client.get("/info/").json()
    assert list(info["models"]) == list(info["trainers"]) == ["umed"]


def test_stock_inference_answers_with_a_picture_of_the_raw_noise(client: Any) -> None:
    answer = client.post("/infer/umed?image=d&output=image", data={"params": '{"device": "cpu"}'})
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as picture:
        noise = np.asarray(picture)
    assert noise.shape == SHAPE and noise.dtype == np.uint8
    assert (noise.min(), noise.max()) == (0, 255)


def test_stock_training_fits_to_all_labelled_images_and_protects_them(
    client: Any, studies: Path, outputs: Path
) -> None:
    answer = train(client)
    assert answer.status_code == 200, answer.text
    [fit] = outputs.glob("fit_*")
    assert (fit / "protector.pt").is_file()
    manifest = Manifest.load(fit / "protected" / MANIFEST)
    assert [record.id for record in manifest.cases] == ["a", "b", "c"] and not manifest.quarantined
    for record in manifest.cases:
        change = np.abs(
            read_array(fit / "protected" / record.image).astype(int) - read_array(studies / record.image[7:])
        )
        assert 0 < change.max() <= LEVELS
    assert not any((outputs / ".labelled").iterdir())
    model = Path("models") / "model.pt"
    assert (outputs.parent / model).read_bytes() == (BUNDLE / model).read_bytes()


def test_more_labels_make_another_fit(client: Any, studies: Path, outputs: Path, tmp_path: Path) -> None:
    write_array(tmp_path / "d.png", square(SHAPE, 255))
    assert train(client).status_code == 200
    assert put_label(client, "d", tmp_path / "d.png").status_code == 200
    assert train(client).status_code == 200
    assert sorted(len(Manifest.load(fit / "protected" / MANIFEST).cases) for fit in outputs.glob("fit_*")) == [3, 4]


def test_stock_training_without_a_label_fits_nothing(client: Any, studies: Path, outputs: Path) -> None:
    for name in "abc":
        assert client.delete(f"/datastore/label?id={name}&tag=final").status_code == 200
    assert train(client).status_code == 500
    assert not outputs.exists()
