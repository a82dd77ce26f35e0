"""An interrupted run goes on: what is provably finished is kept, all else is computed again, the end is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fault_folders import NAMES, SHAPE, protect, write_dataset
from protected_folder import noise, small_protector, square, tree, write_array

from monai_umed.data.cases import find_cases
from monai_umed.data.manifest import MANIFEST, UNFINISHED
from monai_umed.protectors import UMed
from monai_umed.release import protect as module
from monai_umed.release.protect import protect_dataset
from monai_umed.release.run_digest import fingerprint


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "dataset")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of cases that were not merely kept."""
    found: list[str] = []
    protect_case = module.protect_case

    def count(case, *arguments):  # type: ignore[no-untyped-def]
        found.append(case.id)
        return protect_case(case, *arguments)

    monkeypatch.setattr(module, "protect_case", count)
    return found


@pytest.fixture
def interrupted(dataset: Path, tmp_path: Path, computed: list[str]) -> Path:
    """A run that ended after its last case: the manifest is missing, the journal is not."""
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
    before = {path: path.stat().st_mtime_ns for path in interrupted.glob("*/*")}
    protect(dataset, interrupted, num_workers=2)
    assert computed == []
    assert {path: path.stat().st_mtime_ns for path in interrupted.glob("*/*")} == before
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
    protect_dataset(cases, small_protector(), interrupted, window=(10, 200), num_workers=1, progress=False)
    assert computed == [*NAMES]


def test_every_setting_weight_and_unknown_attribute_changes_the_fingerprint() -> None:
    protector = small_protector()
    known = [fingerprint(protector, seed=0, window=None), fingerprint(small_protector(), seed=1, window=None)]
    known += [fingerprint(small_protector(), seed=0, window=(0, 1)), fingerprint(other_weights(), seed=0, window=None)]
    assert fingerprint(small_protector(), seed=0, window=None) == known[0]
    protector.extra = object()  # type: ignore[attr-defined]
    known += [fingerprint(protector, seed=0, window=None), fingerprint(protector, seed=0, window=None)]
    assert len(set(known)) == len(known)


def test_a_journal_that_was_cut_or_damaged_anywhere_only_costs_time(
    dataset: Path, interrupted: Path, computed: list[str]
) -> None:
    journal, expected = (interrupted / UNFINISHED).read_bytes(), whole(dataset)
    first = journal.index(b"\n")
    second = journal.index(b"\n", first + 1)  # between them it is said which process wrote
    places = [0, 1, first - 1, first, second + 1, second + 80, len(journal) // 2, len(journal) - 1]
    for place in places:
        for damaged in (journal[:place], journal[:place] + b"\0" + journal[place + 1 :]):
            (interrupted / UNFINISHED).write_bytes(damaged)
            (interrupted / MANIFEST).unlink(missing_ok=True)
            computed.clear()
            protect(dataset, interrupted)
            assert tree(interrupted) == expected
            # A damaged first line may belong to any run; behind it, one line is lost and those after a cut.
            lost = len(NAMES) if place < first else len(computed)
            assert 1 <= len(computed) == lost


def test_a_torn_line_does_not_swallow_the_next(dataset: Path, interrupted: Path, computed: list[str]) -> None:
    """As after a moment without space on the disk."""
    lines = (interrupted / UNFINISHED).read_bytes().split(b"\n")
    lines.insert(2, lines[2][:50])
    (interrupted / UNFINISHED).write_bytes(b"\n".join(lines))
    protect(dataset, interrupted)
    assert computed == []


def test_convention_a_finished_folder_is_protected_anew(dataset: Path, tmp_path: Path, computed: list[str]) -> None:
    """Its manifest does not say which weights made it."""
    for _ in range(2):
        protect(dataset, tmp_path / "out")
        assert not (tmp_path / "out" / UNFINISHED).exists()
    assert computed == [*NAMES] * 2
