"""Releases keep the layout of their dataset and its ``dataset.json``: other programs read them as the originals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from protected_folder import noise, small_protector, square, tree, write_array
from sealed_folders import KEY, folders_in, protect_and_seal

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, Manifest
from monai_umed.release.protect import protect_dataset, report
from monai_umed.release.verify import verify_folder
from monai_umed.sealing.restore import restore_dataset

SHAPE = (36, 32, 20)


def write_pair(root: Path, image: str, label: str, *, empty: bool = False) -> dict[str, str]:
    """A volume and its label, which no protector can use if it is empty; their entry in a list."""
    is_volume = image.endswith(".nii.gz")
    mask = square(SHAPE if is_volume else SHAPE[:2], 1 if is_volume else 255) * (0 if empty else 1)
    kind: Any = np.int16 if is_volume else np.uint8
    write_array(root / image, noise(mask.shape, 250, seed=len(image)).astype(kind))
    write_array(root / label, mask.astype(np.uint8))
    return {"image": f"./{image}", "label": f"./{label}"}


def write_nnunet(root: Path, *, left_out: bool = False) -> None:
    for number in range(3):
        write_pair(
            root,
            f"imagesTr/la_{number:03}_0000.nii.gz",
            f"labelsTr/la_{number:03}.nii.gz",
            empty=left_out and number == 1,
        )
    write_array(root / "imagesTs/la_009_0000.nii.gz", noise(SHAPE).astype(np.int16))
    fields = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "left atrium": 1},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(fields))


def check_as_nnunet(folder: Path) -> None:
    """What nnU-Net's verify_dataset_integrity looks for in a raw dataset."""
    fields = json.loads((folder / "dataset.json").read_text())
    ending, channels = fields["file_ending"], len(fields["channel_names"])
    suffix = f"_0000{ending}"
    identifiers = {path.name.removesuffix(suffix) for path in (folder / "imagesTr").glob(f"*{ending}")}
    assert len(identifiers) == fields["numTraining"]
    values = sorted(fields["labels"].values())
    assert values == list(range(len(values)))
    for name in identifiers:
        images = [folder / "imagesTr" / f"{name}_{channel:04}{ending}" for channel in range(channels)]
        label: Any = nib.load(folder / "labelsTr" / f"{name}{ending}")
        assert set(np.unique(label.dataobj)) <= set(values)
        for image in images:
            loaded: Any = nib.load(image)
            assert loaded.shape == label.shape and np.allclose(loaded.affine, label.affine)


def test_nnunet_reads_a_release_as_the_original_and_restore_brings_its_list_back(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    write_nnunet(made.dataset)
    assert not protect_and_seal(made, spatial_dims=3).failed
    check_as_nnunet(made.protected)
    originals, written = tree(made.dataset), tree(made.protected)
    assert written["dataset.json"] == originals["dataset.json"]
    assert written.keys() == {name for name in originals if not name.startswith("imagesTs")} | {MANIFEST}
    assert verify_folder(made.protected, made.dataset, progress=False) == []
    assert not restore_dataset(made.protected, made.sealed, made.output, key=KEY, progress=False).failed
    assert tree(made.output).items() <= originals.items() and "dataset.json" in tree(made.output)
    assert verify_folder(made.protected, made.output, progress=False) == []


def test_cases_that_are_left_out_are_not_counted(tmp_path: Path) -> None:
    write_nnunet(tmp_path / "data", left_out=True)
    manifest = protect_dataset(find_cases(tmp_path / "data"), small_protector(1, 3), tmp_path / "out", progress=False)
    assert [entry.id for entry in manifest.quarantined] == ["la_001"]
    check_as_nnunet(tmp_path / "out")
    assert json.loads((tmp_path / "out/dataset.json").read_text())["numTraining"] == 2
    assert verify_folder(tmp_path / "out", tmp_path / "data", progress=False) == []


def test_images_without_a_label_are_counted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_nnunet(data)
    write_array(data / "imagesTs/la_009_0001.nii.gz", noise(SHAPE).astype(np.int16))  # a channel is no image of its own
    fields = json.loads((data / "dataset.json").read_text())
    fields["test"] = ["./imagesTs/la_009.nii.gz", {"image": "./imagesTs/la_010.nii.gz"}]
    (data / "dataset.json").write_text(json.dumps(fields))
    report(protect_dataset(find_cases(data), small_protector(1, 3), out, progress=False), out)
    assert Manifest.load(out / MANIFEST).unlabeled == 2
    assert "Left out 2 images without a label: nothing says where to protect them" in capsys.readouterr().out
    assert verify_folder(out, data, progress=False) == []


def write_decathlon(root: Path) -> None:
    pairs = [write_pair(root, f"imagesTr/h_{number}.nii.gz", f"labelsTr/h_{number}.nii.gz") for number in (1, 2)]
    fields = {"numTraining": 2, "numTest": 1, "training": pairs, "test": ["./imagesTs/h_9.nii.gz"]}
    (root / "dataset.json").write_text(json.dumps(fields))


def write_per_case(root: Path) -> None:
    pairs = [write_pair(root, f"case_{number}/imaging.png", f"case_{number}/segmentation.png") for number in (1, 2)]
    (root / "dataset.json").write_text(json.dumps({"training": pairs}))


def write_nested(root: Path) -> None:
    names = [(f"sub-{n}/anat/sub-{n}_T1w.png", f"derivatives/sub-{n}/sub-{n}_mask.png") for n in (1, 2)]
    (root / "dataset.json").write_text(json.dumps({"training": [write_pair(root, *pair) for pair in names]}))


def write_split_folders(root: Path) -> None:
    names = [(f"images/{part}/x.png", f"labels/{part}/x.png") for part in ("train", "val")]
    (root / "dataset.json").write_text(json.dumps({"training": [write_pair(root, *pair) for pair in names]}))


def write_plain_folders(root: Path) -> None:
    pairs = [write_pair(root, f"images/{name}.png", f"labels/{name}.png") for name in "ab"]
    (root / "dataset.json").write_text(json.dumps({"training": pairs}))


WRITERS = [write_decathlon, write_per_case, write_nested, write_split_folders, write_plain_folders]


@pytest.mark.parametrize("write", WRITERS)
def test_monai_reads_the_list_of_a_release_as_that_of_the_original(tmp_path: Path, write: Any) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write(data)
    cases = find_cases(data)
    dims = 3 if cases[0].image.name.endswith(".nii.gz") else 2
    manifest = protect_dataset(cases, small_protector(1, dims), out, progress=False)
    before, after = (load_decathlon_datalist(folder / "dataset.json", True, "training") for folder in (data, out))
    names = [
        [{key: Path(item[key]).resolve().relative_to(folder) for key in ("image", "label")} for item in items]
        for folder, items in ((data, before), (out, after))
    ]
    assert names[0] == names[1] and all((out / path).is_file() for item in names[1] for path in item.values())
    assert [case.id for case in find_cases(out)] == [record.id for record in manifest.cases] == [it.id for it in cases]
    assert verify_folder(out, data, progress=False) == []


def test_equal_file_names_are_cases_of_their_own_and_keep_their_ids_when_others_are_left_out(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    pairs = [write_pair(data, f"c{n}/imaging.png", f"c{n}/segmentation.png", empty=n == 2) for n in (1, 2)]
    (data / "dataset.json").write_text(json.dumps({"training": pairs}))
    assert [case.id for case in find_cases(data)] == ["c1/imaging", "c2/imaging"]
    protect_dataset(find_cases(data), small_protector(), out, progress=False)
    assert [case.id for case in find_cases(out)] == ["c1/imaging"]
    assert verify_folder(out, data, progress=False) == []


def test_jpeg_comes_back_under_its_own_name_in_the_list(tmp_path: Path) -> None:
    made = folders_in(tmp_path)
    pair = write_pair(made.dataset, "scans/a.jpg", "scans/a_mask.png")
    (made.dataset / "dataset.json").write_text(json.dumps({"training": [pair]}, indent=4) + "\n")
    assert not protect_and_seal(made).failed
    assert load_decathlon_datalist(made.protected / "dataset.json")[0]["image"].endswith("scans/a.png")
    assert not restore_dataset(made.protected, made.sealed, made.output, key=KEY, progress=False).failed
    assert load_decathlon_datalist(made.output / "dataset.json")[0]["image"].endswith("scans/a.jpg")
    assert verify_folder(made.protected, made.output, progress=False) == []


def test_a_list_that_is_missing_changed_or_foreign_is_found(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write_per_case(data)
    protect_dataset(find_cases(data), small_protector(), out, progress=False)
    content = (out / "dataset.json").read_bytes()
    (out / "dataset.json").write_bytes(content + b" ")
    assert ["not the file that manifest.json" in it.what for it in verify_folder(out, progress=False)] == [True]
    (out / "dataset.json").unlink()
    assert ["is missing" in problem.what for problem in verify_folder(out, progress=False)] == [True]
    (out / "dataset.json").write_bytes(content)
    manifest = Manifest.load(out / MANIFEST)
    manifest.dataset_json_sha256 = None
    manifest.save(out / MANIFEST)
    assert ["not in manifest.json" in problem.what for problem in verify_folder(out, progress=False)] == [True]


def test_a_second_run_replaces_the_list_and_a_manifest_without_one_is_as_before(tmp_path: Path) -> None:
    data, out, plain = tmp_path / "data", tmp_path / "out", tmp_path / "plain"
    data.mkdir()
    write_per_case(data)
    for _ in range(2):
        protect_dataset(find_cases(data), small_protector(), out, progress=False)
    assert verify_folder(out, data, progress=False) == []
    write_pair(plain, "images/a.png", "masks/a.png")
    protect_dataset(find_cases(plain), small_protector(), tmp_path / "flat", progress=False)
    fields = json.loads((tmp_path / "flat" / MANIFEST).read_text())
    assert "dataset_json_sha256" not in fields


def test_a_broken_list_beside_folders_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_nnunet(tmp_path / "data")
    (tmp_path / "data/dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"dataset\.json: no valid JSON .*repair it, or move it away"):
        protect_dataset(find_cases(tmp_path / "data"), small_protector(1, 3), tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").rglob("*.nii.gz"))
