"""One command reads each file once: decodes, checksums and scans are counted, and changed files are read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import monai_umed as mu
from monai_umed.cli import app
from monai_umed.data import cases as scans
from monai_umed.data import codec
from monai_umed.data.codec import decode
from monai_umed.io import checksum
from monai_umed.io.checksum import sha256_path
from monai_umed.io.once import once
from monai_umed.sealing import seal

CASES = 12


def count(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> Counter[str]:
    """Calls of a function of a module by its first argument, from now on."""
    calls: Counter[str] = Counter()
    function: Callable[..., object] = getattr(module, name)

    def counted(first: object, *others: object, **options: object) -> object:
        calls[str(first)] += 1
        return function(first, *others, **options)

    monkeypatch.setattr(module, name, counted)
    return calls


@pytest.mark.parametrize("preset", ["default", "stamp"])
def test_fit_protect_verify_and_seal_read_everything_once(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mu.write_phantom(tmp_path / "data", num_train=10, num_test=2)
    key = mu.new_key(tmp_path / "owner.key")
    found = count(monkeypatch, scans, "_scan")
    decoded = count(monkeypatch, codec, "_decode")
    hashed = count(monkeypatch, checksum, "sha256_file")
    in_memory = count(monkeypatch, seal, "check_content")
    options = ["--seal-key", str(key), "--section", "all", "--preset", preset, "--no-progress"]
    if preset == "default":
        options += ["--epochs", "3"]
    result = CliRunner().invoke(app, ["protect", str(data), str(tmp_path / "out"), *options])
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    assert f"Sealed {CASES}" in result.output
    assert sum(found.values()) == 1
    inputs = [str(file) for folder in ("images", "masks") for file in sorted((data / folder).iterdir())]
    outputs = [path.replace(str(data), str(tmp_path / "out" / "protected")) for path in inputs]
    assert len(inputs) == 2 * CASES
    assert decoded == Counter(inputs + [path for path in outputs if "images" in path])  # a copied mask needs no look
    assert hashed == Counter(inputs + outputs)
    assert not in_memory


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(path)
    with mu.reading_once():
        before, first = sha256_path(path), decode(path)
        assert decode(path) is first and sha256_path(path) == before
        Image.fromarray(np.ones((20, 20), np.uint8)).save(path)
        assert sha256_path(path) != before and decode(path).array.all()
    assert decode(path) is not decode(path)


def test_a_file_that_changes_while_it_is_read_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")

    def look() -> bytes:
        content = path.read_bytes()
        path.write_bytes(content + b"1")
        return content

    with mu.reading_once():
        assert [once("content", path, look) for _ in range(2)] == [b"1", b"11"]


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    looks: list[str] = []

    def look(name: str) -> str:
        def read() -> str:
            looks.append(name)
            return name

        return once("text", tmp_path / name, read, size=lambda _: 4)

    for name in "abc":
        (tmp_path / name).touch()
    with mu.reading_once(limit=8):
        for name in "abacab":
            assert look(name) == name
    assert looks == ["a", "b", "c", "b"]


def test_failures_and_other_runs_are_not_remembered(tmp_path: Path) -> None:
    with mu.reading_once():
        with pytest.raises(FileNotFoundError):
            sha256_path(tmp_path / "a")
        (tmp_path / "a").touch()
        first = once("what", tmp_path / "a", object)
        with mu.reading_once():
            assert once("what", tmp_path / "a", object) is first
    with mu.reading_once():
        assert once("what", tmp_path / "a", object) is not first
