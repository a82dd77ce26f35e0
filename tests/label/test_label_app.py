"""The MONAI Label app in the test's own process: protect, batch, score, protect on save, and every refusal."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from channel_datasets import write_decathlon
from grid_files import label_array, placed, reordered, volume
from label_studies import SHAPE, client_of, protect, put_image, put_label, write_checkpoint, write_studies
from protected_folder import EPS, noise, read_array, small_protector, square, write_array
from scipy.ndimage import binary_dilation

pytest.importorskip("monailabel", reason="MONAI Label lives in an environment of its own, see .ci/label")

from filelock import FileLock
from monai.utils import set_determinism
from monailabel.interfaces.utils.app import app_instance

from monai_umed.data.manifest import MANIFEST, UNFINISHED, Manifest
from monai_umed.label import protected_folder as release
from monai_umed.label.application import UMedApp
from monai_umed.label.settings import read_parameters, read_settings
from monai_umed.label.train import fit_options
from monai_umed.protectors.checkpoint import save_protector
from monai_umed.release.verify import verify_folder

LEVELS = round(EPS * 255)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return write_studies(tmp_path / "studies")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "protector.pt")


@pytest.fixture
def client(studies: Path, tmp_path: Path, checkpoint: Path) -> Iterator[Any]:
    with client_of(studies, tmp_path, checkpoint=str(checkpoint)) as found:
        yield found


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def released(studies: Path) -> set[str]:
    """All files that were written, without locks."""
    return {name for name in files_below(studies.with_name("studies_umed")) if not name.endswith(".lock")}


def test_the_server_lists_the_three_tasks(client: Any) -> None:
    info = client.get("/info/").json()
    assert info["models"]["umed_protect"]["type"] == "others"
    assert set(info["models"]["umed_protect"]["config"]) == {"preset", "eps", "band_mm", "into"}
    assert list(info["trainers"]) == ["umed_fit"]
    assert list(info["scoring"]) == ["umed_fidelity"]


def test_a_protected_image_keeps_its_format_and_its_budget_and_has_an_entry(client: Any, studies: Path) -> None:
    answer = protect(client, "a")
    assert answer.status_code == 200, answer.text
    folder = Path(answer.json()["folder"])
    assert folder.parent.parent == studies.with_name("studies_umed")
    before, after = read_array(studies / "a.png"), read_array(folder / "images" / "a.png")
    assert after.dtype == before.dtype and after.shape == before.shape
    assert 0 < np.abs(after.astype(int) - before).max() <= LEVELS
    [record] = Manifest.load(folder / MANIFEST).cases
    assert (record.id, record.sha256_after, record.max_abs_delta) == ("a", answer.json()["sha256_after"], LEVELS)
    assert Manifest.load(folder / MANIFEST).seed == 7


def test_the_download_is_the_protected_file_and_stays_where_it_was_written(client: Any) -> None:
    answer = protect(client, "a", output="image")
    folder = Path(protect(client, "a").json()["folder"])
    assert answer.content == (folder / "images" / "a.png").read_bytes()


def test_nothing_is_written_below_the_studies_that_could_be_taken_for_a_label(client: Any, studies: Path) -> None:
    before = files_below(studies)
    protect(client, "a", save_label=True, label_tag="original")
    assert client.post("/batch/infer/umed_protect?run_sync=true").status_code == 200
    assert files_below(studies) == before
    assert client.get("/datastore/").json()["label_tags"] == {"final": 2}


def test_images_are_added_to_one_manifest_and_a_new_label_replaces_an_entry(client: Any, tmp_path: Path) -> None:
    first = protect(client, "a").json()
    protect(client, "b")
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:30, 5:20] = 1
    write_array(tmp_path / "new.png", mask)
    assert put_label(client, "a", tmp_path / "new.png").status_code == 200
    again = protect(client, "a").json()
    cases = {record.id: record for record in Manifest.load(Path(first["folder"]) / MANIFEST).cases}
    assert set(cases) == {"a", "b"}
    assert cases["a"].label_sha256 == again["label_sha256"] != first["label_sha256"]


def test_channels_along_a_fourth_axis_are_one_image(tmp_path: Path) -> None:
    write_decathlon(tmp_path, 1, 2)
    studies = tmp_path / "studies"
    (studies / "labels" / "final").mkdir(parents=True)
    shutil.copy(tmp_path / "imagesTr" / "b_0.nii.gz", studies)
    shutil.copy(tmp_path / "labelsTr" / "b_0.nii.gz", studies / "labels" / "final")
    checkpoint = save_protector(tmp_path / "protector.pt", small_protector(2, 3), {"seed": 7, "num_classes": 2})
    with client_of(studies, tmp_path, checkpoint=str(checkpoint)) as client:
        answer = protect(client, "b_0")
    assert answer.status_code == 200, answer.text
    record = answer.json()
    assert len(record["window"]) == 2 and min(record["max_abs_delta"]) > 0
    assert verify_folder(Path(record["folder"]), progress=False) == []


def test_a_label_protects_where_it_lies_and_one_on_another_grid_is_refused(tmp_path: Path) -> None:
    studies, name = tmp_path / "studies", "a.nii.gz"
    (studies / "labels" / "final").mkdir(parents=True)
    label = placed(label_array())
    SimpleITK.WriteImage(volume(), studies / name)
    SimpleITK.WriteImage(reordered(label, (1, 0, 2), (True, False, True)), studies / "labels" / "final" / name)
    checkpoint = save_protector(tmp_path / "protector.pt", small_protector(1, 3), {"seed": 7, "num_classes": 2})
    with client_of(studies, tmp_path, checkpoint=str(checkpoint)) as client:
        answer = protect(client, "a")
        assert answer.status_code == 200, answer.text
        folder = Path(answer.json()["folder"])
        files = studies / name, folder / "images" / name
        before, after = (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file)) for file in files)
        changed = (before != after).T
        mask = label_array() > 0
        around = binary_dilation(mask, np.ones((3, 3, 3)))  # with the outer half of the contour band
        assert changed[mask].mean() > 0.9 and not changed[~around].any()
        label.SetOrigin((-31.25, 12.5, 405.0))
        SimpleITK.WriteImage(label, tmp_path / name)
        put_label(client, "a", tmp_path / name)
        answer = protect(client, "a")
        assert answer.status_code == 422 and "the mask is not on the image's grid" in answer.json()["detail"]


def test_eps_of_a_request_has_a_folder_of_its_own(client: Any) -> None:
    usual, other = protect(client, "a").json(), protect(client, "a", eps="2/255").json()
    assert Path(other["folder"]).name == "protected_eps_0.00784314"
    assert Path(other["folder"]).parent == Path(usual["folder"]).parent
    assert (usual["max_abs_delta"], other["max_abs_delta"]) == (LEVELS, 2)
    assert Manifest.load(Path(other["folder"]) / MANIFEST).eps == pytest.approx(2 / 255)
    assert protect(client, "a", eps="").json() == usual  # clients send all fields, empty ones as well


def test_a_batch_protects_all_labelled_images_and_says_what_was_left_out(client: Any, tmp_path: Path) -> None:
    result = client.post("/batch/infer/umed_protect?run_sync=true&images=labeled").json()
    assert result["cases"] == ["a", "b"] and result["left_out"] == {}
    write_array(tmp_path / "empty.png", np.zeros(SHAPE, np.uint8))
    put_label(client, "c", tmp_path / "empty.png")
    result = client.post("/batch/infer/umed_protect?run_sync=true").json()
    assert result["cases"] == ["a", "b"] and "the mask is empty" in result["left_out"]["c"]


def test_images_after_a_batch_are_those_of_single_requests(client: Any) -> None:
    single = protect(client, "a").json()
    client.post("/batch/infer/umed_protect?run_sync=true")
    [record, _] = Manifest.load(Path(single["folder"]) / MANIFEST).cases
    assert record.sha256_after == single["sha256_after"]


def test_protected_copies_in_the_datastore_are_tagged_and_never_annotated_or_protected_again(client: Any) -> None:
    assert client.post("/batch/infer/umed_protect?run_sync=true", json={"into": "datastore"}).status_code == 200
    info = client.get("/datastore/image/info?image=a_protected").json()
    assert (info["tag"], info["original"]) == ("protected", "a")
    assert client.get("/datastore/").json()["label_tags"] == {"final": 2}
    assert app_instance().datastore().get_unlabeled_images() == ["c"]
    answer = protect(client, "a_protected")
    assert answer.status_code == 409 and "give the id of its original" in answer.json()["detail"]
    answer = protect(client, "a", into="datastore")
    assert answer.status_code == 200  # replaces the copy
    folder = Path(answer.json()["folder"])
    copy = client.get("/datastore/image?image=a_protected").content
    assert copy == (folder / "images" / "a.png").read_bytes()


def test_a_copy_never_replaces_an_image_of_somebody_else(client: Any, studies: Path, tmp_path: Path) -> None:
    write_array(tmp_path / "a_protected.png", noise(SHAPE).astype(np.uint8))
    assert put_image(client, tmp_path / "a_protected.png").status_code == 200
    answer = protect(client, "a", into="datastore")
    assert answer.status_code == 409 and "rename it" in answer.json()["detail"]
    assert (studies / "a_protected.png").read_bytes() == (tmp_path / "a_protected.png").read_bytes()


def test_scores_are_verified_and_entered_into_the_datastore(client: Any) -> None:
    record = protect(client, "a").json()
    scores = client.post("/scoring/umed_fidelity?run_sync=true").json()
    assert scores["problems"] == []
    score = scores["images"]["a"]
    assert score["problems"] == [] and score["psnr"] == record["psnr"] and score["max_abs_delta"] == LEVELS
    assert client.get("/datastore/image/info?image=a").json()["umed"] == score
    assert "umed" not in client.get("/datastore/image/info?image=b").json()


def test_scores_tell_of_a_file_that_somebody_changed(client: Any) -> None:
    folder = Path(protect(client, "a").json()["folder"])
    write_array(folder / "images" / "a.png", noise(SHAPE).astype(np.uint8))
    [problem] = client.post("/scoring/umed_fidelity?run_sync=true").json()["images"]["a"]["problems"]
    assert "a.png" in problem


def test_scores_name_the_verdict_of_the_audit_of_this_folder_alone(client: Any) -> None:
    folder = Path(protect(client, "a").json()["folder"])
    scores = {"verdict": "not protected", "reason": "x", "settings": {"protected_dir": str(folder)}}
    (folder.parent / "audit").mkdir()
    (folder.parent / "audit" / "scores.json").write_text(json.dumps(scores))
    found = client.post("/scoring/umed_fidelity?run_sync=true").json()["images"]["a"]
    assert found["audit"] == {"verdict": "not protected", "reason": "x"}
    scores["settings"] = {"protected_dir": str(folder.parent)}
    (folder.parent / "audit" / "scores.json").write_text(json.dumps(scores))
    assert "audit" not in client.post("/scoring/umed_fidelity?run_sync=true").json()["images"]["a"]


def test_scoring_before_anything_is_protected_says_so(client: Any) -> None:
    scores = client.post("/scoring/umed_fidelity?run_sync=true").json()
    assert scores["images"] == {} and "nothing is protected" in scores["problems"][0]


def test_a_submitted_label_protects_its_image_if_the_server_was_told_to(
    studies: Path, tmp_path: Path, checkpoint: Path
) -> None:
    write_array(tmp_path / "label.png", square(SHAPE))
    write_array(tmp_path / "small.png", square((20, 20)))
    with client_of(studies, tmp_path, checkpoint=str(checkpoint), protect_on_save="true") as client:
        answer = put_label(client, "c", tmp_path / "label.png")
        assert answer.status_code == 200
        assert (Path(answer.json()["umed_protect"]["folder"]) / "images" / "c.png").is_file()
        answer = put_label(client, "c", tmp_path / "small.png")  # saved all the same
        assert answer.status_code == 200 and "(20, 20)" in answer.json()["umed_protect"]["error"]
        tags = client.get("/datastore/?output=all").json()["objects"]["c"]["labels"]
        assert list(tags) == ["final"]


@pytest.mark.parametrize(
    ("image", "parameters", "status", "reason"),
    [
        ("c", {}, 409, "'c' has no final label, which says where to protect; draw it"),
        ("nobody", {}, 404, "no image 'nobody'; upload it"),
        ("../secret", {}, 404, "no image '../secret'"),
        ("a", {"eps": "9"}, 422, "eps is '9'"),
        ("a", {"preset": "loud"}, 422, "must be invisible or default or medium or strong"),
        ("a", {"eps": "four"}, 422, "write it as 0.0157 or as 4/255"),
        ("a", {"band_mm": -1}, 422, "band_mm is -1: must be a positive number of mm"),
        ("a", {"band_mm": 2}, 422, "needs the spacing"),  # PNG files have none
        ("a", {"into": "labels"}, 422, "must be folder or datastore"),
        ("a", {"label": "/etc/hostname"}, 422, "a label was sent along; save it with PUT /datastore/label"),
    ],
)
def test_what_cannot_be_protected_is_an_answer_with_its_reason(
    client: Any, studies: Path, image: str, parameters: dict[str, Any], status: int, reason: str
) -> None:
    answer = protect(client, image, **parameters)
    assert answer.status_code == status and reason in answer.json()["detail"]
    assert released(studies) == set()
    assert protect(client, "b").status_code == 200  # the server lives on


def test_a_label_of_another_size_is_refused_and_leaves_the_earlier_files(client: Any, tmp_path: Path) -> None:
    folder = Path(protect(client, "b").json()["folder"])
    before = {name: (folder / name).read_bytes() for name in files_below(folder)}
    write_array(tmp_path / "small.png", square((20, 20)))
    put_label(client, "a", tmp_path / "small.png")
    answer = protect(client, "a")
    assert answer.status_code == 422
    assert "the image has shape (40, 48), its mask (20, 20); export the mask" in answer.json()["detail"]
    assert {name: (folder / name).read_bytes() for name in files_below(folder)} == before


def test_pixels_of_no_class_stay_as_they_are(studies: Path, tmp_path: Path, checkpoint: Path) -> None:
    mask = square(SHAPE, 1)
    mask[:10] = 255
    write_array(studies / "labels" / "final" / "a.png", mask)
    with client_of(studies, tmp_path, checkpoint=str(checkpoint), ignore_label="255") as client:
        answer = protect(client, "a")
        assert answer.status_code == 200, answer.text
        folder = Path(answer.json()["folder"])
        assert Manifest.load(folder / MANIFEST).ignore_label == 255
        changed = read_array(studies / "a.png") != read_array(folder / "images" / "a.png")
        assert changed[mask == 1].any() and not changed[mask == 255].any()
        assert not client.post("/scoring/umed_fidelity?run_sync=true").json()["images"]["a"]["problems"]


def test_a_server_without_a_fit_says_how_to_get_one(studies: Path, tmp_path: Path) -> None:
    with client_of(studies, tmp_path) as client:
        answer = protect(client, "a")
        assert answer.status_code == 409 and "POST /train/umed_fit" in answer.json()["detail"]
        scores = client.post("/scoring/umed_fidelity?run_sync=true").json()
        assert "no fitted protector" in scores["problems"][0]


def test_a_fit_without_labels_says_what_is_missing(tmp_path: Path) -> None:
    with client_of(write_studies(tmp_path / "studies", labelled=""), tmp_path) as client:
        answer = client.post("/train/umed_fit?run_sync=true", json={})
        assert answer.status_code == 409 and "no image has a final label" in answer.json()["detail"]


def test_a_fit_that_the_bundle_refuses_is_an_answer_and_leaves_no_originals_behind(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # a workflow hooks into errors and fixes all seeds
    with client_of(studies, tmp_path) as client:
        answer = client.post("/train/umed_fit?run_sync=true", json={"max_epochs": 1, "working_size": [32, 32]})
    set_determinism(None)
    assert answer.status_code == 422 and "use at least 3" in answer.json()["detail"]
    assert not [name for name in released(studies) if name.endswith((".png", ".pt"))]


def test_empty_options_of_a_fit_are_left_to_the_server_and_the_bundle(tmp_path: Path) -> None:
    settings = read_settings({"eps": "2/255", "intensity_window": "ct-soft"}, tmp_path)
    usual = {"eps": 2 / 255, "intensity_window": (-160.0, 240.0), "quick_check": False}
    assert fit_options({"eps": "", "seed": None, "gpus": "all"}, settings) == usual
    assert fit_options({"eps": "8/255", "seed": 3}, settings) == {**usual, "eps": "8/255", "seed": 3}
    # A preset settles eps: that of the server would undo it.
    assert "eps" not in fit_options({"preset": "strong"}, settings)


def test_a_preset_is_another_name_of_its_eps(tmp_path: Path) -> None:
    usual = read_settings({"preset": "strong"}, tmp_path).parameters
    assert usual.eps == 12 / 255
    assert read_parameters({"preset": "default"}, usual).eps == 4 / 255
    assert read_parameters({"preset": "strong", "eps": "2/255"}, usual).eps == 2 / 255
    with pytest.raises(ValueError, match="others are for umed_fit"):
        read_parameters({"preset": "contour"}, usual)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_datastore_that_became_read_only_is_an_answer(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def copy(source: str, target: str) -> None:
        raise OSError(code, "no writing here", target)

    write_array(tmp_path / "d.png", square(SHAPE))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy", copy)
        for answer in (put_label(client, "a", tmp_path / "d.png"), put_image(client, tmp_path / "d.png")):
            assert answer.status_code == 403 and "no writing here" in answer.json()["detail"]
    assert put_image(client, tmp_path / "d.png").status_code == 200


@pytest.mark.parametrize(("code", "status"), [(errno.EROFS, 403), (errno.ENOSPC, 507)])
def test_an_output_folder_that_cannot_be_written_is_an_answer_and_leaves_nothing(
    client: Any, studies: Path, monkeypatch: pytest.MonkeyPatch, code: int, status: int
) -> None:
    def save(self: Manifest, path: Path) -> None:
        raise OSError(code, "no writing here", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "save", save)
        answer = protect(client, "a")
    assert answer.status_code == status and "no writing here" in answer.json()["detail"]
    assert released(studies) == set()
    assert protect(client, "a").status_code == 200


@pytest.mark.parametrize(
    ("query", "status"), [("?image=../evil", 422), ("?image=..", 422), ("?image=a%5Cb", 422), ("?image=new", 200)]
)
def test_an_image_id_is_a_plain_name(client: Any, tmp_path: Path, query: str, status: int) -> None:
    write_array(tmp_path / "upload.png", square(SHAPE))
    assert put_image(client, tmp_path / "upload.png", query).status_code == status
    assert not (tmp_path / "evil.png").exists()


def test_a_label_for_an_unknown_image_is_an_answer(client: Any, tmp_path: Path) -> None:
    write_array(tmp_path / "label.png", square(SHAPE))
    answer = put_label(client, "nobody", tmp_path / "label.png")
    assert answer.status_code == 404 and "nobody" in answer.json()["detail"]


def test_a_folder_of_other_origin_is_never_written_to(client: Any) -> None:
    folder = Path(protect(client, "a").json()["folder"])
    (folder / "images" / "notes.png").write_bytes(b"mine")
    answer = protect(client, "b")
    assert answer.status_code == 422 and "notes.png" in answer.json()["detail"]
    assert not (folder / "images" / "b.png").exists()
    (folder / "images" / "notes.png").unlink()
    (folder / MANIFEST).rename(folder / UNFINISHED)
    answer = protect(client, "b")
    assert answer.status_code == 409 and "run the batch" in answer.json()["detail"]


def test_a_request_does_not_wait_long_for_another_process(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(protect(client, "a").json()["folder"])
    monkeypatch.setattr(release, "_BUSY_SECONDS", 0.1)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        answer = protect(client, "b")
        assert answer.status_code == 409 and "try again later" in answer.json()["detail"]
    assert protect(client, "b").status_code == 200


def test_a_manifest_of_another_protector_is_not_mixed_with_this_one(client: Any) -> None:
    folder = Path(protect(client, "a").json()["folder"])
    manifest = Manifest.load(folder / MANIFEST)
    manifest.eps = 0.5
    manifest.save(folder / MANIFEST)
    answer = protect(client, "b")
    assert answer.status_code == 409 and "(eps)" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ({"epsilon": "4/255"}, r"--conf epsilon: there is no such setting. Did you mean 'eps'\?"),
        ({"eps": "4"}, "eps is '4'"),
        ({"checkpoint": "missing.pt"}, "checkpoint is 'missing.pt': no such file"),
        ({"protect_on_save": "yes"}, "must be true or false"),
        ({"output": "studies/labels"}, "below the studies; choose a folder outside"),
        ({"num_classes": "1"}, "2 to 256"),
    ],
)
def test_a_server_does_not_start_with_a_setting_that_is_none(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conf: dict[str, str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=reason), client_of(studies, tmp_path, **conf):
        pass


def test_studies_on_a_read_only_disk_end_the_start_with_a_cure(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(path: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr("monailabel.datastore.local.FileLock", lock)
    with pytest.raises(ValueError, match=r"Read-only file system.*make it writable, or copy the images"):
        UMedApp(str(tmp_path), str(studies), {})


def test_a_server_for_remote_studies_is_refused_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="export the images into one"):
        UMedApp(str(tmp_path), "http://host/dicom-web", {})
