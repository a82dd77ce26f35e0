"""Full disks and missing rights: what is finished stays, the rest is listed, a second run mends it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fault_folders import NAMES, protect, write_dataset
from protected_folder import noise, small_protector, square, tree, write_array
from typer.testing import CliRunner

from monai_umed import cli
from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED, Manifest
from monai_umed.release.protect import protect_dataset, report
from monai_umed.release.verify import verify_folder
from monai_umed.workflows import protect as protect_workflow

resource = pytest.importorskip("resource", reason="limits on files are set in another way")
BIG = (300, 300)  # pixels, and about as many bytes


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "dataset")


@pytest.fixture
def whole(dataset: Path, tmp_path: Path) -> dict[str, str]:
    """What is written if nothing fails."""
    protect(dataset, tmp_path / "whole")
    return tree(tmp_path / "whole")


def left_out(manifest: Manifest) -> dict[str, str]:
    return {entry.id: entry.reason for entry in manifest.quarantined}


def without_marks(out: Path) -> dict[str, str]:
    """All that is in the folder to stay, but the manifest."""
    return {name: sha for name, sha in tree(out).items() if name != MANIFEST and not name.startswith(UNFINISHED)}


def check_rest(out: Path, whole: dict[str, str], missing: str) -> None:
    """All files but those of one case are as if nothing had failed."""
    expected = {name: checksum for name, checksum in whole.items() if f"/{missing}." not in name and name != MANIFEST}
    assert without_marks(out) == expected


# A real fault of the machine: a disk that is too small, and where mounting one is not permitted, at least a limit that
# the operating system itself enforces on every file.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB on which all but 64 kB are taken, of which every file takes 4 kB or more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not permitted; the limit on files stands in")
    try:
        (disk / "ballast").write_bytes(bytes((1 << 20) - 64_000))
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 40 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def add_big(dataset: Path) -> None:
    write_array(dataset / "images" / "big.bmp", noise(BIG).astype(np.uint8))
    write_array(dataset / "masks" / "big.png", square(BIG))


def test_on_a_full_disk_small_cases_are_finished_and_space_mends_the_rest(
    dataset: Path, tmp_path: Path, small_disk: Path
) -> None:
    add_big(dataset)
    protect(dataset, tmp_path / "whole")
    manifest = protect(dataset, small_disk / "out")
    assert left_out(manifest) == {"big": "No space left on device; free space on the disk, and run again"}
    assert Manifest.load(small_disk / "out" / MANIFEST) == manifest
    check_rest(small_disk / "out", tree(tmp_path / "whole"), "big")
    (small_disk / "ballast").unlink()
    protect(dataset, small_disk / "out")
    assert tree(small_disk / "out") == tree(tmp_path / "whole")


def test_on_a_disk_that_is_too_full_for_the_manifest_nothing_is_lost(
    dataset: Path, tmp_path: Path, whole: dict[str, str], small_disk: Path
) -> None:
    (small_disk / "more").write_bytes(bytes(24_000))
    with pytest.raises(DatasetError, match=r"No space left on device; free space .* finished will be kept"):
        protect(dataset, small_disk / "out")
    assert without_marks(small_disk / "out").items() <= whole.items()
    (small_disk / "ballast").unlink()
    protect(dataset, small_disk / "out")
    assert tree(small_disk / "out") == whole


def test_a_limit_on_the_size_of_files_leaves_out_what_is_too_large(
    dataset: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    add_big(dataset)
    protect(dataset, tmp_path / "whole")
    request.getfixturevalue("small_files")
    reasons = left_out(protect(dataset, tmp_path / "out"))
    assert reasons.keys() == {"big"} and reasons["big"].startswith("File too large; lift the limit")
    check_rest(tmp_path / "out", tree(tmp_path / "whole"), "big")


# The same at every single step: each call that brings bytes to the disk fails once.


class FullDisk:
    """`os.fsync` that fails from the n-th call on, ``times`` times."""

    def __init__(self, first: int, times: int) -> None:
        self.calls = 0
        self.failing = range(first, first + times)
        self.sync = os.fsync

    def __call__(self, descriptor: int) -> None:
        self.calls += 1
        if self.calls in self.failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.sync(descriptor)


@pytest.mark.parametrize("times", [1, 1000], ids=["for a moment", "for good"])
def test_a_disk_that_is_full_at_any_step_costs_no_finished_case(
    dataset: Path, tmp_path: Path, whole: dict[str, str], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, first = tmp_path / "out", 0
    while True:
        first += 1
        disk = FullDisk(first, times)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", disk)
            try:
                reasons = left_out(protect(dataset, out))
            except DatasetError as error:
                assert "No space left" in str(error)
                assert not (out / MANIFEST).exists() or disk.calls > 3 * len(NAMES)
            else:
                assert not (out / UNFINISHED).exists() or reasons
                assert all("No space left on device; free space" in reason for reason in reasons.values())
        assert without_marks(out).items() <= whole.items()
        protect(dataset, out)
        assert tree(out) == whole
        if disk.calls < first:
            break
    assert first > 3 * len(NAMES)  # image, mask and record


# Rights


def deny(path: Path, patch: pytest.MonkeyPatch) -> None:
    """What opening a file gives to whoever may not read it; administrators may read everything."""
    if os.geteuid() != 0:
        path.chmod(0)
        return
    read = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return read(self)

    patch.setattr(Path, "read_bytes", refuse)


@pytest.mark.parametrize("name", ["images/b.bmp", "masks/b.png"])
def test_a_file_that_may_not_be_read_is_listed_and_mended_by_a_second_run(
    dataset: Path, tmp_path: Path, whole: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        deny(dataset / name, patch)
        reasons = left_out(protect(dataset, out))
    (dataset / name).chmod(0o644)
    cure = "make it readable, and the output folder writable, and run again"
    assert reasons == {"b": f"{Path(name).name}: Permission denied; {cure}"}
    check_rest(out, whole, "b")
    protect(dataset, out)
    assert tree(out) == whole


def test_a_folder_that_may_not_be_written_is_an_error_with_a_cure(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DatasetError, match="Permission denied; make it readable, and the output folder writable"):
        protect(dataset, tmp_path / "out")


def test_a_file_in_the_place_of_the_output_folder_is_an_error_that_names_it(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DatasetError, match="out"):
        protect(dataset, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


# Command line


def test_the_command_lists_what_was_left_out_and_ends_with_1(
    dataset: Path, tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, overrides: dict[str, object], overlays: Sequence[str] = ()) -> None:
        out = Path(str(overrides["output_dir"]))
        report(protect_dataset(find_cases(dataset), small_protector(), out, num_workers=1, progress=False), out)

    monkeypatch.setattr(protect_workflow, "run_config", run)
    arguments = ["protect", str(dataset), str(tmp_path / "out"), "--checkpoint", "C.pt", "--no-progress"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", FullDisk(first=5, times=1))  # owner, three of the first case, an image
        done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert "Left out 1, which were not written:\n  b: No space left on device; free space on the disk" in done.output
    check_rest(tmp_path / "out" / "protected", whole, "b")

    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    assert tree(tmp_path / "out" / "protected") == whole
    assert verify_folder(tmp_path / "out" / "protected", dataset, progress=False) == []
