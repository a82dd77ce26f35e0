"""Decoded cases of a run: decoded by one process, mapped into the memory of all, equal to what was decoded."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_umed.evaluation import shared_items
from monai_umed.evaluation.folders import Files, Folders, _read_items, check_folders
from monai_umed.evaluation.shared_items import decoded_once, share_items


def decode(calls: Path) -> list[dict[str, Any]]:
    with calls.open("a") as file:
        file.write("decoded\n")
    return [{"id": "é", "image": torch.arange(12.0).reshape(1, 3, 4), "label": torch.ones(1, 3, 4)}]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_items, "_folder", None)


def read_elsewhere(folder: Path, calls: Path) -> float:
    share_items(folder)
    [item] = decoded_once("key", lambda: decode(calls))
    total = float(item["image"].sum())
    item["image"] += 1  # a copy of this process's own
    return total


def test_processes_decode_once_and_do_not_write_into_each_other(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(read_elsewhere, [(tmp_path, calls)] * 3, chunksize=1) == [66.0] * 3
    assert calls.read_text() == "decoded\n"
    share_items(tmp_path)
    [item] = decoded_once("key", lambda: decode(calls))
    assert item["id"] == "é" and torch.equal(item["image"], torch.arange(12.0).reshape(1, 3, 4))
    decoded_once("another key", lambda: decode(calls))
    assert calls.read_text() == "decoded\n" * 2


def test_without_a_folder_or_room_on_its_disk_cases_are_decoded_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    calls = tmp_path / "calls"
    assert decoded_once("key", lambda: decode(calls))[0]["id"] == "é"
    share_items(tmp_path)
    monkeypatch.setattr(torch, "save", full)
    assert decoded_once("key", lambda: decode(calls))[0]["id"] == "é"
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["calls"]


def test_folders_read_the_same_from_a_shared_file(clean_dir: Path, protected_dir: Path, tmp_path: Path) -> None:
    files = Files(str(protected_dir), str(clean_dir), test_dir=str(clean_dir), grid=(32, 32))
    folders = Folders(files, check_folders(files), grid=files.grid)
    own = folders.protected()
    _read_items.cache_clear()
    share_items(tmp_path)
    for shared in (folders.protected(), folders.protected()):
        assert [item["id"] for item in shared] == [item["id"] for item in own]
        for name in ("image", "label"):
            assert all(torch.equal(a[name], b[name]) for a, b in zip(shared, own, strict=True))
    _read_items.cache_clear()
