"""An interrupted run goes on: what is provably finished is kept, all else is computed again, the end is the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from fault_folders import NAMES, SHAPE, protect, write_dataset
from protected_folder import noise, small_protector, square, tree, write_array

from monai_umed.data.case import DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED
from monai_umed.protectors import UMed
from monai_umed.release import protect as module
from monai_umed.release.protect import protect_dataset, protect_shard
from monai_umed.release.run_digest import run_digest
from monai_umed.release.unfinished import Unfinished
from monai_umed.release.verify import verify_folder
from monai_umed.training.shard import Shard


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "dataset")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of cases that were not merely kept."""
    found: list[str] = []
    protect_case = module.protect_case

    def count(case, *arguments, **named):  # type: ignore[no-untyped-def]
        found.append(case.id)
        return protect_case(case, *arguments, **named)

    monkeypatch.setattr(module, "protect_case", count)
    return found


@pytest.fixture
def interrupted(dataset: Path, tmp_path: Path, computed: list[str]) -> Path:
    """A run that ended after its last case: the manifest is missing, the records are not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Manifest, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            protect(dataset, tmp_path / "out")
    assert computed == [*NAMES] and not (tmp_path / "out" / MANIFEST).exists()
    computed.clear()
    return tmp_path / "out"


def whole(dataset: Path, protector: UMed | None = None) -> dict[str, str]:
    """What an uninterrupted run writes."""
    protect(dataset, dataset.parent / "whole", protector)
    return tree(dataset.parent / "whole")


def test_finished_cases_are_kept_and_not_computed_again(dataset: Path, interrupted: Path, computed: list[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in interrupted.glob("*s/*")}
    protect(dataset, interrupted, num_workers=2)
    assert computed == []
    assert {path: path.stat().st_mtime_ns for path in interrupted.glob("*s/*")} == before
    assert tree(interrupted) == whole(dataset)


def new_image(dataset: Path, out: Path) -> None:
    write_array(dataset / "images" / "b.bmp", noise(SHAPE, seed=99).astype(np.uint8))


def new_mask(dataset: Path, out: Path) -> None:
    write_array(dataset / "masks" / "b.png", np.roll(square(SHAPE), 3))


def renamed_image(dataset: Path, out: Path) -> None:
    """Same id, same bytes, same place to go; only the record has another source."""
    write_array(dataset / "images" / "b.bmp", noise(SHAPE, seed=98).astype(np.uint8))
    (out / "images" / "b.bmp").write_bytes((dataset / "images" / "b.bmp").read_bytes())


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "image": new_image,
    "mask": new_mask,
    "unprotected copy": renamed_image,
    "protected image": lambda dataset, out: (out / "images" / "b.bmp").write_bytes(b"other"),
    "protected mask": lambda dataset, out: (out / "masks" / "b.png").write_bytes(b"other"),
    "missing image": lambda dataset, out: (out / "images" / "b.bmp").unlink(),
    "missing mask": lambda dataset, out: (out / "masks" / "b.png").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_case_with_any_changed_file_is_computed_again(
    dataset: Path, interrupted: Path, computed: list[str], change: str
) -> None:
    CHANGES[change](dataset, interrupted)
    protect(dataset, interrupted)
    assert computed == ["b"]
    assert tree(interrupted) == whole(dataset)


def test_a_finished_case_that_turned_bad_is_left_out_and_removed(dataset: Path, interrupted: Path) -> None:
    write_array(dataset / "masks" / "b.png", square(SHAPE, 0))
    assert [entry.id for entry in protect(dataset, interrupted).quarantined] == ["b"]
    assert tree(interrupted).keys() == {"images/a.bmp", "images/c.bmp", "masks/a.png", "masks/c.png", MANIFEST}


def other_weights() -> UMed:
    protector = small_protector()
    with torch.no_grad():
        protector.perturbator.contour.unfold.weight.flatten()[0] += 1
    return protector


def other_eps() -> UMed:
    protector = small_protector()
    protector.eps = 8 / 255
    return protector


@pytest.mark.parametrize("protector", [other_weights(), other_eps()], ids=["weights", "eps"])
def test_another_protector_computes_everything_again(
    dataset: Path, interrupted: Path, computed: list[str], protector: UMed
) -> None:
    protect(dataset, interrupted, protector)
    assert computed == [*NAMES]
    assert tree(interrupted) == whole(dataset, protector)


def test_another_window_computes_everything_again(dataset: Path, interrupted: Path, computed: list[str]) -> None:
    cases = find_cases(dataset)
    protect_dataset(cases, small_protector(), interrupted, intensity_window=(10, 200), num_workers=1, progress=False)
    assert computed == [*NAMES]


def test_every_setting_weight_and_unknown_attribute_changes_the_run_digest() -> None:
    protector = small_protector()
    known = [
        run_digest(protector, seed=0, intensity_window=None),
        run_digest(small_protector(), seed=1, intensity_window=None),
    ]
    known += [
        run_digest(small_protector(), seed=0, intensity_window=(0, 1)),
        run_digest(other_weights(), seed=0, intensity_window=None),
    ]
    assert run_digest(small_protector(), seed=0, intensity_window=None) == known[0]
    protector.extra = object()  # type: ignore[attr-defined]
    known += [
        run_digest(protector, seed=0, intensity_window=None),
        run_digest(protector, seed=0, intensity_window=None),
    ]
    assert len(set(known)) == len(known)


def path_of(case: str) -> Path:
    return Path(UNFINISHED) / f"{hashlib.sha256(case.encode()).hexdigest()}.json"


def test_a_record_that_was_cut_or_damaged_anywhere_only_costs_its_case(
    dataset: Path, interrupted: Path, computed: list[str]
) -> None:
    expected, backup = whole(dataset), interrupted.with_name("backup")
    shutil.copytree(interrupted, backup)
    record = (interrupted / path_of("b")).read_bytes()
    digits = [place for place, byte in enumerate(record) if chr(byte).isdigit()]
    for place in (0, 1, len(record) // 2, len(record) - 1, *digits[::7]):
        other = b"1" if record[place : place + 1] == b"2" else b"2"  # still JSON in most places
        for damaged in (record[:place], record[:place] + b"\0" + record[place + 1 :], record[:place] + other):
            shutil.rmtree(interrupted)
            shutil.copytree(backup, interrupted)
            (interrupted / path_of("b")).write_bytes(damaged + (record[place + 1 :] if damaged[-1:] == other else b""))
            computed.clear()
            protect(dataset, interrupted)
            assert computed == ["b"]
            assert tree(interrupted) == expected


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run": 5}'])
def test_without_knowing_whose_the_records_are_all_is_computed_again(
    dataset: Path, interrupted: Path, computed: list[str], content: bytes
) -> None:
    (interrupted / UNFINISHED / "lock.json").write_bytes(content)
    protect(dataset, interrupted)
    assert computed == [*NAMES]
    assert tree(interrupted) == whole(dataset)


def test_a_record_of_another_run_or_case_is_not_taken(dataset: Path, interrupted: Path, computed: list[str]) -> None:
    """As when a run was killed while it removed what another one had left."""
    record = Unfinished(interrupted, run_digest(small_protector(), seed=0, num_classes=2, window=None)).find("a")
    assert record is not None
    Unfinished(interrupted, "other").add(record)
    (interrupted / path_of("c")).write_bytes((interrupted / path_of("b")).read_bytes())
    protect(dataset, interrupted)
    assert computed == ["a", "c"]


# Versions before kept a journal, a file in place of the folder, and one more per shard.


def line(**content: object) -> bytes:
    text = json.dumps(content, sort_keys=True).encode("ascii")
    return b"\n" + hashlib.sha256(text).hexdigest().encode("ascii") + b" " + text


@pytest.fixture
def with_journal(dataset: Path, tmp_path: Path) -> Path:
    """A copy that an older version was killed in, with files of other settings."""
    out = tmp_path / "out"
    records = protect(dataset, out, other_eps()).cases
    (out / MANIFEST).unlink()
    header = b"monai_umed journal 1 " + 32 * b"0f"
    signature = line(process=7, host="there", shards=2)
    (out / UNFINISHED).write_bytes(header + signature)
    (out / f"{UNFINISHED}-0-of-2").write_bytes(header + signature + b"".join(line(**asdict(it)) for it in records))
    return out


@pytest.mark.parametrize("shard", [None, Shard(1, 2)])
def test_what_an_older_version_left_is_ours_and_done_anew(
    dataset: Path, with_journal: Path, computed: list[str], shard: Shard | None
) -> None:
    computed.clear()
    if shard is not None:
        protect_shard(find_cases(dataset), small_protector(), with_journal, shard=shard, progress=False)
        assert tree(with_journal).keys() & {"images/a.bmp", "images/b.bmp", "images/c.bmp"} == {"images/b.bmp"}
    protect(dataset, with_journal)
    assert sorted(computed) == [*NAMES]
    assert tree(with_journal) == whole(dataset)


def test_what_an_older_version_left_is_not_protected_twice(with_journal: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="an unfinished protected copy; give the folder of the originals"):
        protect(with_journal, tmp_path / "twice")
    assert [problem.id for problem in verify_folder(with_journal, progress=False)] == [UNFINISHED]


def test_convention_a_finished_folder_is_protected_anew(dataset: Path, tmp_path: Path, computed: list[str]) -> None:
    """Its manifest does not say which weights made it."""
    for _ in range(2):
        protect(dataset, tmp_path / "out")
        assert not (tmp_path / "out" / UNFINISHED).exists()
    assert computed == [*NAMES] * 2
