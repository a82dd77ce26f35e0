"""A PSNR that is asked for is reached by what is written, with as much of the budget as it leaves."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest
from protected_folder import small_protector

from monai_umed.data.case import Case, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.fitting.target_psnr import reach_psnr
from monai_umed.protectors import UMed
from monai_umed.release.protect import protect_dataset


def written_psnr(cases: list[Case], protector: UMed, folder: Path) -> float:
    manifest = protect_dataset(cases, protector, folder, progress=False)
    return fmean(case.psnr for case in manifest.cases if case.psnr is not None)


@pytest.mark.parametrize("more", [0.5, 2.0, 5.0])
def test_files_reach_the_target_and_keep_close_to_it(clean_dir: Path, tmp_path: Path, more: float) -> None:
    cases = find_cases(clean_dir, "train")
    target = written_psnr(cases, small_protector(), tmp_path / "before") + more
    protector = small_protector()
    told = reach_psnr(protector, cases, target)
    written = written_psnr(cases, protector, tmp_path / "after")
    assert written == pytest.approx(told, abs=1e-6)
    # The next of the few grey levels is 2.5 dB (4 to 3) or 3.5 dB (3 to 2) away.
    assert target <= written <= target + 3.6
    assert protector.eps < 4 / 255 or protector.texture_share < 1


def test_texture_gives_way_before_the_contour(clean_dir: Path, tmp_path: Path) -> None:
    cases = find_cases(clean_dir, "train")
    protector = small_protector()
    target = written_psnr(cases, protector, tmp_path / "before") + 0.3
    reach_psnr(protector, cases, target)
    assert protector.eps == pytest.approx(4 / 255, rel=0.01)
    assert protector.texture_share < 1
    assert target <= written_psnr(cases, protector, tmp_path / "after")


def test_what_is_close_enough_already_stays_as_it_is(clean_dir: Path) -> None:
    protector = small_protector()
    reach_psnr(protector, find_cases(clean_dir, "train"), 20)
    assert (protector.eps, protector.texture_share) == (4 / 255, 1)


def test_a_target_beyond_any_change_is_refused_and_changes_nothing(clean_dir: Path) -> None:
    protector = small_protector()
    with pytest.raises(ValueError, match="target_psnr is 90"):
        reach_psnr(protector, find_cases(clean_dir, "train"), 90)
    assert (protector.eps, protector.texture_share) == (4 / 255, 1)


def test_cases_without_a_usable_one_are_named(tmp_path: Path) -> None:
    case = Case("gone", tmp_path / "gone.png", tmp_path / "gone_mask.png")
    with pytest.raises(DatasetError, match="gone"):
        reach_psnr(small_protector(), [case], 50)
