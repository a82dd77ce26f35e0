"""A fitted protector comes back from its file bit for bit, and a file that is none says why."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_umed.networks import UMedPerturbator
from monai_umed.protectors import Needs, UMed
from monai_umed.protectors.checkpoint import FORMAT_VERSION, CheckpointError, load_protector, save_protector
from monai_umed.protectors.controls import Identity


def make_protector(spatial_dims: int = 2, norm: str | None = None, output: str = "tanh", **arguments: Any) -> UMed:
    torch.manual_seed(0)
    network = UMedPerturbator(spatial_dims, 1, features=(4, 6), patch=2, norm=norm, output=output)
    network(torch.rand((2, 1) + (16,) * spatial_dims))  # in training mode: moves the running mean of batch norm
    return UMed(network.eval(), **{"working_size": (16,) * spatial_dims, **arguments})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_protector(tmp_path / "protector.pt", make_protector(), {"seed": 0})


def load_umed(path: Path) -> UMed:
    protector = load_protector(path)
    assert isinstance(protector, UMed)
    return protector


def content_of(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("output", ["tanh", "clip"])
def test_a_loaded_protector_gives_the_same_delta_bit_for_bit(
    tmp_path: Path, spatial_dims: int, norm: str | None, output: str
) -> None:
    protector = make_protector(spatial_dims, norm, output, eps=7 / 255, band_radius=3, texture="code")
    path = save_protector(tmp_path / "new folder" / "protector.pt", protector)
    loaded = load_protector(path)
    assert repr(loaded) == repr(protector)
    size = (21, 18, 9)[:spatial_dims]
    image = torch.rand((1, *size), generator=torch.Generator().manual_seed(1))
    label = torch.zeros((1, *size), dtype=torch.uint8)
    label[:, 4:15, 5:12] = 1
    expected = protector(image, label)
    assert expected.delta.any()
    assert torch.equal(loaded(image, label).delta, expected.delta)


def test_a_loaded_protector_is_ready_to_use(saved: Path) -> None:
    network = load_umed(saved).perturbator
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.skipif(os.name != "posix", reason="rights are others there")
def test_nobody_but_the_owner_reads_what_was_fitted(saved: Path) -> None:
    save_protector(saved, make_protector())
    assert saved.stat().st_mode & 0o777 == 0o600


def test_the_file_holds_plain_values_and_weights_under_monais_key(saved: Path) -> None:
    content = content_of(saved)
    assert content["record"] == {"seed": 0}
    UMedPerturbator(**content["protector"]["perturbator"]).load_state_dict(content["model"])


def test_a_file_of_the_first_format_gives_the_same_delta(saved: Path) -> None:
    protector, content = make_protector(), content_of(saved)
    del content["method"]
    network = content["protector"].pop("perturbator")
    torch.save({**content, "format": 1, "network": network}, saved)
    image, label = torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(1)), torch.zeros(1, 20, 20)
    label[:, 5:15, 5:15] = 1
    assert torch.equal(load_protector(saved)(image, label).delta, protector(image, label).delta)


def test_the_slice_axis_of_a_file_can_be_changed(saved: Path) -> None:
    assert load_protector(saved).slice_axis is None
    assert load_protector(saved, slice_axis=2).slice_axis == 2


def test_a_protector_that_is_not_fitted_is_not_saved(tmp_path: Path) -> None:
    class NeedsMore(Identity):
        needs = Needs.fit

    with pytest.raises(ValueError, match=r"is not fitted, so there is nothing to save; call fit\(\) first"):
        save_protector(tmp_path / "new" / "protector.pt", NeedsMore(2, 1))
    assert not (tmp_path / "new").exists()


def test_a_method_without_a_name_is_not_saved(tmp_path: Path) -> None:
    class Mine(Identity):
        pass

    with pytest.raises(ValueError, match=r"Mine is not in monai_umed\.protectors\.registry; add it"):
        save_protector(tmp_path / "protector.pt", Mine(2, 1))


def test_settings_computed_with_numpy_are_saved_as_plain_values(tmp_path: Path) -> None:
    protector = make_protector(eps=np.float64(4) / 255, band_radius=np.int64(2), working_size=np.array([16, 16]))
    loaded = load_protector(save_protector(tmp_path / "protector.pt", protector))
    assert loaded.settings() == make_protector(eps=4 / 255, band_radius=2).settings()


class Code:
    """Runs code when it is unpickled without restriction: creates the file ``witness``."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


@pytest.mark.parametrize("writer", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_with_code_is_refused_and_the_code_does_not_run(saved: Path, writer: Any) -> None:
    witness = saved.with_name("witness")
    writer({**content_of(saved), "record": Code(witness)}, saved)
    with pytest.raises(CheckpointError, match="contains more than weights and plain settings"):
        load_protector(saved)
    assert not witness.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    cut = saved.with_name("cut.pt")
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"cut.pt cannot be read as a checkpoint .* damaged"):
        load_protector(cut)


@settings(
    max_examples=100,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=64) | st.binary(max_size=40).map(lambda tail: b"\x80\x02" + tail))
def test_a_file_of_any_other_bytes_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other.pt (cannot be read as a checkpoint|is not a fitted protector)"):
        load_protector(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No checkpoint at .*none.pt; fit one with the bundle's train.json"):
        load_protector(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        load_protector(tmp_path)


@pytest.mark.parametrize(
    "foreign", [torch.nn.Linear(2, 2).state_dict(), {"model": {}}, [1, 2], torch.zeros(3)], ids=type
)
def test_a_foreign_state_dict_is_refused(tmp_path: Path, foreign: Any) -> None:
    torch.save(foreign, tmp_path / "unet.pt")
    with pytest.raises(CheckpointError, match=r"unet\.pt is not a fitted protector: it lacks the settings"):
        load_protector(tmp_path / "unet.pt")


def test_a_newer_format_asks_for_an_update(saved: Path) -> None:
    torch.save({**content_of(saved), "format": FORMAT_VERSION + 1}, saved)
    with pytest.raises(CheckpointError, match=f"has format {FORMAT_VERSION + 1}, .* update monai_umed"):
        load_protector(saved)


@pytest.mark.parametrize("change", [{"features": (4, 8)}, {"patch": 1}, {"norm": "batch"}, {"in_channels": 3}], ids=str)
def test_weights_that_do_not_fit_the_settings_are_refused(saved: Path, change: dict[str, Any]) -> None:
    content = content_of(saved)
    protector = content["protector"]
    torch.save({**content, "protector": {**protector, "perturbator": {**protector["perturbator"], **change}}}, saved)
    with pytest.raises(CheckpointError, match="has weights that do not fit its own settings"):
        load_protector(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "umedd"},
        {"method": "identity"},
        {"protector": {"perturbator": {"layers": 3}}},
        {"protector": {"perturbator": None}},
        {"protector": {"strength": 1}},
        {"format": 1},
        {"format": 1, "network": None},
        {"protector": {"eps": 4}},
        {"model": None},
        {"format": "one"},
    ],
    ids=str,
)
def test_settings_that_no_version_wrote_are_refused(saved: Path, change: dict[str, Any]) -> None:
    torch.save({**content_of(saved), **change}, saved)
    with pytest.raises(CheckpointError, match=r"protector\.pt"):
        load_protector(saved)


def test_a_failed_save_leaves_no_file_behind_and_keeps_the_old_one(tmp_path: Path) -> None:
    unpicklable = {"dataset": lambda: None}
    with pytest.raises(Exception, match="lambda"):
        save_protector(tmp_path / "protector.pt", make_protector(), unpicklable)
    assert list(tmp_path.iterdir()) == []
    before = save_protector(tmp_path / "protector.pt", make_protector()).read_bytes()
    with pytest.raises(Exception, match="lambda"):
        save_protector(tmp_path / "protector.pt", make_protector(eps=1 / 255), unpicklable)
    assert [path.name for path in tmp_path.iterdir()] == ["protector.pt"]
    assert (tmp_path / "protector.pt").read_bytes() == before
