"""Key files: private, never overwritten, never published, and never shown in a message."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_umed.sealing.keys import KeyFileError, check_unpublished, is_key_file, new_key, read_key


def test_a_key_file_is_read_back_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = new_key(path)
    assert len(key) == 32 and read_key(path) == key
    assert new_key(tmp_path / "other") != key
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o600


def test_a_key_file_survives_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = new_key(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_key(path) == key


def test_no_existing_file_is_overwritten_by_a_key(tmp_path: Path) -> None:
    path, link = tmp_path / "key", tmp_path / "link"
    path.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for taken in (path, link):
        with pytest.raises(KeyFileError, match="choose another name"):
            new_key(taken)
    assert path.read_text() == "mine" and not (tmp_path / "elsewhere").exists()


def test_a_key_that_cannot_be_written_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        new_key(tmp_path / "key")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o777])
def test_a_key_that_others_can_touch_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my key"
    key = new_key(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600 '{path}'"):
        read_key(path)
    path.chmod(0o600)
    assert read_key(path) == key


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-3],
        lambda text: text.replace("key 1", "key 2"),
        lambda text: text.replace("\n", "\n*", 1),
        lambda text: text + text,
        lambda text: text + "é",
        lambda text: text * 1000,
    ],
)
def test_a_damaged_key_file_is_refused_and_shows_nothing(
    tmp_path: Path, change: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    new_key(path)
    secret = path.read_text().splitlines()[1]
    path.write_text(change(path.read_text()), encoding="utf-8")
    with caplog.at_level(logging.DEBUG), pytest.raises(KeyFileError, match="damaged") as caught:
        read_key(path)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert not any(secret[start : start + 8] in shown for start in range(len(secret) - 8))


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no such file"):
        read_key(tmp_path / "key")


def test_a_key_is_recognized_by_its_content_even_if_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    new_key(path)
    assert is_key_file(path)
    path.write_bytes(path.read_bytes()[:-5])
    assert is_key_file(path)
    for content in (b"", b"monai_umed", b"\x89PNG\r\n"):
        path.write_bytes(content)
        assert not is_key_file(path)


def test_a_key_in_a_folder_to_be_published_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = (tmp_path / "protected", tmp_path / "sealed")
    (tmp_path / "protected" / "images").mkdir(parents=True)
    outside, link, back = tmp_path / "key", tmp_path / "protected" / "link", tmp_path / "back"
    new_key(outside)
    link.symlink_to(outside)
    back.symlink_to(tmp_path / "protected" / "images" / "key")
    check_unpublished(outside, folders)
    check_unpublished(tmp_path / "protected.key", folders)
    monkeypatch.chdir(tmp_path / "protected")
    for path in (folders[0] / "images" / "key", folders[1] / "key", link, back, Path("key")):
        with pytest.raises(KeyFileError, match="will be published; move the key"):
            check_unpublished(path, folders)
