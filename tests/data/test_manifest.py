"""The manifest survives a round trip byte by byte and refuses what is damaged; fidelity gives JSON-safe numbers."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_umed.data.manifest import CaseRecord, Manifest, ManifestError, Quarantined
from monai_umed.io.checksum import sha256_file
from monai_umed.io.fidelity import measure

RECORD = CaseRecord(
    id="benign (1)",
    image="images/benign (1).png",
    label="masks/benign (1).png",
    source="benign (1).jpg",
    sha256_before="0" * 64,
    sha256_after="a" * 64,
    label_sha256="f" * 64,
    shape=(1, 471, 562),
    dtype="uint8",
    intensity_window=(0.0, 255.0),
    max_abs_delta=8,
    psnr=37.25,
    ssim=0.99,
    perturbed_fraction=0.5,
    note="JPEG input written as PNG",
)
UNCHANGED = dataclasses.replace(RECORD, id="a", max_abs_delta=0.0, psnr=None, note=None)
MANIFEST = Manifest(
    tool="umed",
    version="1.0.0",
    protector="UMed(eps=8/255, ü)",
    seed=3,
    eps=8 / 255,
    cases=[UNCHANGED, RECORD],
    quarantined=[Quarantined("b", "mask is empty"), Quarantined("c", "constant")],
)


def test_round_trip_gives_an_equal_manifest_and_equal_bytes(tmp_path: Path) -> None:
    MANIFEST.save(tmp_path / "a.json")
    loaded = Manifest.load(tmp_path / "a.json")
    assert loaded == MANIFEST
    loaded.cases.reverse()
    loaded.quarantined.reverse()
    loaded.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_saving_does_not_reorder_the_callers_lists(tmp_path: Path) -> None:
    manifest = dataclasses.replace(MANIFEST, cases=[RECORD, UNCHANGED])
    manifest.save(tmp_path / "a.json")
    assert manifest.cases == [RECORD, UNCHANGED]


def test_infinity_is_refused_because_json_has_none(tmp_path: Path) -> None:
    manifest = dataclasses.replace(MANIFEST, cases=[dataclasses.replace(RECORD, psnr=float("inf"))])
    with pytest.raises(ManifestError, match="None instead of infinity"):
        manifest.save(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def damaged(tmp_path: Path, field: str, value: Any) -> Path:
    """A saved manifest with one field of the file, or of its second case (``case.NAME``), replaced or removed."""
    path = tmp_path / "manifest.json"
    MANIFEST.save(path)
    content = json.loads(path.read_text())
    target = content["cases"][1] if field.startswith("case.") else content
    name = field.removeprefix("case.")
    if value is ...:
        del target[name]
    else:
        target[name] = value
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("seed", ..., "'seed' is missing"),
        ("seed", "3", "'seed' is '3', must be int"),
        ("seed", True, "'seed' is True"),
        ("eps", float("nan"), "'eps' is nan, must be float"),
        ("extra", 1, "'extra' is unknown"),
        ("format", ..., "'format' is None"),
        ("format", 99, "'format' is 99, this version reads up to 3; update the package"),
        ("cases", {}, "'cases' must be a list"),
        ("quarantined", [3], r"'quarantined\[0\]' must be a JSON object"),
        ("quarantined", [{"id": "x"}], r"'quarantined\[0\]\.reason' is missing"),
        ("case.id", "a", r"'cases\[1\]\.id' repeats 'a'"),
        ("case.shape", [1, 2.5], r"'cases\[1\]\.shape' is \[1, 2\.5\]"),
        ("case.shape", "1x2", r"'cases\[1\]\.shape'"),
        ("case.window", [0, 1, 2], r"'cases\[1\]\.window'"),
        ("case.psnr", "high", r"'cases\[1\]\.psnr' is 'high', must be float \| None"),
        ("case.ssim", None, r"'cases\[1\]\.ssim'"),
        ("case.image", "images/../../x.png", r"'cases\[1\]\.image' .* must not contain '\.\.'"),
        ("case.label", "/etc/passwd", r"'cases\[1\]\.label' .* must be a relative path"),
        ("case.source", "C:\\x.png", r"'cases\[1\]\.source' .* must be a relative path"),
        ("case.image", "..\\x.png", "must not contain"),
        ("case.sha256_after", "abc", r"'cases\[1\]\.sha256_after' .* 64 hexadecimal digits"),
    ],
)
def test_damage_is_named_by_field(tmp_path: Path, field: str, value: Any, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.load(damaged(tmp_path, field, value))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_files_that_are_no_manifest_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(ManifestError, match=r"^m\.json: "):
        Manifest.load(tmp_path / "m.json")
    with pytest.raises(ManifestError, match=r"^missing\.json: "):
        Manifest.load(tmp_path / "missing.json")


def test_checksum_of_a_file_larger_than_a_block(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8193
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("channels", [1, 3])
def test_fidelity_of_a_known_difference(channels: int) -> None:
    before = np.random.default_rng(0).integers(10, 240, (channels, 32, 40)).astype(np.uint8)
    after = before.copy()
    after[:, :16] += 8
    fidelity = measure(before, after, data_range=255)
    # mean squared error 8**2 / 2
    assert fidelity.psnr == pytest.approx(10 * np.log10(255**2 / 32), abs=1e-4)
    assert fidelity.max_abs_delta == 8 and isinstance(fidelity.max_abs_delta, int)
    assert fidelity.perturbed_fraction == 0.5
    assert 0.9 < fidelity.ssim < 1


def test_fidelity_of_identical_images_has_no_infinite_psnr() -> None:
    image = np.random.default_rng(0).random((1, 16, 16, 16)).astype(np.float32)
    fidelity = measure(image, image.copy(), data_range=-1.0)
    assert (fidelity.psnr, fidelity.ssim, fidelity.max_abs_delta, fidelity.perturbed_fraction) == (None, 1, 0, 0)


def test_fidelity_does_not_depend_on_the_intensity_scale() -> None:
    rng = np.random.default_rng(0)
    before = rng.random((1, 20, 20, 20))
    after = before + rng.uniform(-0.03, 0.03, before.shape)
    large = measure((before * 1e6 + 1e6).astype(np.float32), (after * 1e6 + 1e6).astype(np.float32), data_range=1e6)
    small = measure(before.astype(np.float32), after.astype(np.float32), data_range=1.0)
    assert large.psnr == pytest.approx(small.psnr, rel=1e-3)


@pytest.mark.parametrize(("after", "data_range"), [(np.zeros((1, 8, 9)), 1.0), (np.zeros((1, 8, 8)), 0.0)])
def test_fidelity_refuses_what_cannot_be_compared(after: np.ndarray, data_range: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        measure(np.zeros((1, 8, 8)), after, data_range)
