"""Intensity windows by name, as text and as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_umed.data.codec import read_image
from monai_umed.data.windows import WINDOWS, as_window

LEVELS_AND_WIDTHS = {"ct-soft": (40, 400), "ct-lung": (-600, 1500), "ct-bone": (400, 1800)}


def test_presets_are_the_levels_and_widths_of_radiology() -> None:
    found = {name: ((low + high) / 2, high - low) for name, (low, high) in WINDOWS.items()}
    assert found == LEVELS_AND_WIDTHS


@pytest.mark.parametrize("value", ["ct-soft", " ct-soft ", "-160,240", "-160, 240.0", [-160, 240], (-160.0, 240.0)])
def test_every_way_to_give_a_window_means_the_same(value: str | Sequence[float]) -> None:
    intensity_window = as_window(value)
    assert intensity_window == (-160.0, 240.0)
    assert isinstance(intensity_window, tuple) and all(isinstance(end, float) for end in intensity_window)


def test_no_window_stays_none() -> None:
    assert as_window(None) is None


@pytest.mark.parametrize(
    ("typo", "nearest"), [("ct_soft", "ct-soft"), ("soft", "ct-soft"), ("CT-Lung", "ct-lung"), ("bones", "ct-bone")]
)
def test_a_typo_is_answered_with_the_nearest_preset(typo: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"no window '{typo}'\. Did you mean '{nearest}'\?"):
        as_window(typo)


@pytest.mark.parametrize("value", ["", "3", "1,2,3", "low,high", [1.0], [1.0, 2.0, 3.0], 3])
def test_what_is_no_window_is_refused_with_all_presets(value: str | Sequence[float]) -> None:
    with pytest.raises(ValueError, match="two numbers such as -160,240, or one of ct-soft, ct-lung, ct-bone"):
        as_window(value)


@pytest.mark.parametrize("value", ["1,1", "nan,1", [0.0, float("inf")]])
def test_ends_that_are_equal_or_not_finite_are_refused(value: str | Sequence[float]) -> None:
    with pytest.raises(ValueError, match="two different finite numbers"):
        as_window(value)


def test_a_preset_is_in_hounsfield_units_whatever_the_file_stores(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8), np.eye(4))
    image.header.set_slope_inter(2, -1000)
    image.to_filename(tmp_path / "ct.nii")
    assert read_image(tmp_path / "ct.nii", as_window("ct-soft")).intensity_window == (420, 620)
