"""Models that come as files, and volumes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

import monai_umed as mu
from monai_umed.evaluation.proof.models import load_network
from monai_umed.evaluation.proof.plan import Plan
from monai_umed.sealing.keys import read_key

NETWORK = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 3, "padding": 1}


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_bundle_is_its_config_and_its_weights(tmp_path: Path, wrapped: bool) -> None:
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    (tmp_path / "configs").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "configs" / "inference.json").write_text(json.dumps({"network_def": NETWORK}))
    state = network.state_dict()
    torch.save({"model": state} if wrapped else state, tmp_path / "models" / "model.pt")
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(load_network(tmp_path)(image), network(image))


def test_a_bundle_may_bring_its_network_as_torchscript(tmp_path: Path) -> None:
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    (tmp_path / "models").mkdir()
    torch.jit.script(network).save(tmp_path / "models" / "model.ts")
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(load_network(tmp_path)(image), network(image))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    for name in ("configs", "models"):
        (tmp_path / name).mkdir()
    (tmp_path / "configs" / "inference.json").write_text(json.dumps({"network_def": NETWORK}))
    torch.save(torch.nn.Conv2d(1, 2, 3).state_dict(), tmp_path / "models" / "model.pt")
    with pytest.raises(mu.ProofError, match="cannot be loaded as a bundle"):
        load_network(tmp_path)


def test_volumes_are_asked_about_in_their_own_format(tmp_path: Path) -> None:
    data = mu.write_phantom(tmp_path / "data", spatial_dims=3, num_train=14, num_test=0)
    key = mu.new_key(tmp_path / "proof.key")
    mu.protect(data, tmp_path / "out", preset="stamp", section="all", reserve=0.3, proof_key=key, progress=False)
    asked = mu.queries(tmp_path / "out", tmp_path / "ask", key=key, progress=False)
    plan = Plan.load(tmp_path / "ask", read_key(key))
    assert asked.count == 28 and all(query.name.endswith(".nii.gz") for query in plan.queries)
    answers = tmp_path / "answers"
    answers.mkdir()
    rng = np.random.default_rng(0)
    for query in plan.queries:
        image = nibabel.Nifti1Image.from_filename(tmp_path / "ask" / "images" / query.name)
        soft = np.asarray(rng.random(image.shape), dtype=np.float32)
        nibabel.save(nibabel.Nifti1Image(soft, image.affine), answers / query.name)
    found = mu.prove(tmp_path / "ask", answers, key=key, progress=False)
    assert found.results.reserve is not None and found.results.reserve.held_back == 5
    assert mu.recheck(found.proof, key=key, predictions=answers, progress=False) == []
    assert "data:image/jpeg" in found.report.read_text(encoding="utf-8")
