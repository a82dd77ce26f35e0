"""A real MONAI Label server, as a process of its own: upload, fit, protect, score, download, check, stop."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from label_studies import protect, put_image, put_label, write_studies

pytest.importorskip("monailabel", reason="MONAI Label lives in an environment of its own, see .ci/label")
import httpx

from monai_umed.data.manifest import MANIFEST, Manifest
from monai_umed.label.folder import write_label_app
from monai_umed.release.verify import verify_folder

SECONDS = 90  # for a server to answer, on a busy machine
SHAPE = (32, 32, 16)


def start_server(app: Path, studies: Path, port: int, **conf: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    for name, value in conf.items():
        command += ["--conf", name, value]
    log = (app.parent / f"server_{time.time_ns()}.log").open("wb")
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=app.parent)


def wait_for(client: httpx.Client, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/info/").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    pytest.fail(f"no answer from the server (exit code {process.poll()})")


def wait_for_task(client: httpx.Client, path: str) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        task = client.get(path).json()
        if task["status"] not in ("SUBMITTED", "RUNNING"):
            return task
        time.sleep(0.3)
    pytest.fail(f"{path} did not end in {SECONDS} s")


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("label") / "studies", names="abc", labelled="ab", shape=SHAPE)


@pytest.fixture(scope="module")
def client(studies: Path, port: int) -> Iterator[httpx.Client]:
    app = write_label_app(studies.parent / "app")
    process = start_server(app, studies, port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
            wait_for(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def test_an_image_is_uploaded_fitted_protected_scored_and_downloaded(
    client: httpx.Client, studies: Path, tmp_path: Path
) -> None:
    for source, name in (("b.nii.gz", "d.nii.gz"), ("labels/final/b.nii.gz", "d_label.nii.gz")):
        shutil.copy(studies / source, tmp_path / name)
    assert put_image(client, tmp_path / "d.nii.gz").json() == {"image": "d"}
    answer = put_label(client, "d", tmp_path / "d_label.nii.gz")
    assert answer.status_code == 200, answer.text

    answer = client.post("/train/umed_fit", json={"max_epochs": 3, "batch_size": 4})
    assert answer.status_code == 200, answer.text
    task = wait_for_task(client, "/train/")
    assert task["status"] == "DONE", "\n".join(task["details"])

    answer = protect(client, "d")
    assert answer.status_code == 200, answer.text
    record, folder = answer.json(), Path(answer.json()["folder"])
    manifest = Manifest.load(folder / MANIFEST)
    assert [case.id for case in manifest.cases] == ["a", "b", "d"]  # the fit protects what it was fitted to
    assert not (folder.parent / ".labelled").exists()

    download = protect(client, "d", output="image").content
    (tmp_path / "protected.nii.gz").write_bytes(download)
    before: Any = nib.load(tmp_path / "d.nii.gz")
    after: Any = nib.load(tmp_path / "protected.nii.gz")
    assert after.header == before.header and np.array_equal(after.affine, before.affine)
    change = np.abs(np.asarray(after.dataobj).astype(int) - np.asarray(before.dataobj))
    low, high = record["window"]
    assert 0 < change.max() == record["max_abs_delta"] <= manifest.eps * (high - low)

    scores = client.post("/scoring/umed_fidelity?run_sync=true").json()
    assert scores["problems"] == [] and scores["images"]["d"]["problems"] == []
    assert scores["images"]["d"]["psnr"] == record["psnr"]
    assert client.get("/datastore/image/info?image=d").json()["umed"] == scores["images"]["d"]
    assert verify_folder(folder, progress=False) == []

    assert protect(client, "c").status_code == 409
    assert client.get("/info/").status_code == 200


def test_a_batch_runs_in_the_background(client: httpx.Client) -> None:
    assert client.post("/batch/infer/umed_protect?images=labeled").status_code == 200
    task = wait_for_task(client, "/batch/infer")
    assert task["status"] == "DONE", "\n".join(task["details"])
    assert client.get("/datastore/").json()["label_tags"] == {"final": 3}


def test_a_second_server_on_the_same_port_says_so_and_the_first_lives_on(
    client: httpx.Client, studies: Path, port: int, tmp_path: Path
) -> None:
    other = start_server(write_label_app(tmp_path / "app"), write_studies(tmp_path / "studies"), port)
    assert other.wait(timeout=SECONDS) != 0
    [log] = tmp_path.glob("server_*.log")
    assert "address already in use" in log.read_text()
    assert set(json.loads(client.get("/info/").text)["trainers"]) == {"umed_fit"}
