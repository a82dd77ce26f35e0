"""Which numbers come out of a file: intensity windows and label values."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_umed.data.codec import read_image
from monai_umed.data.labels import read_label

GRAY = np.random.default_rng(0).integers(0, 256, (24, 20)).astype(np.uint8)


def save_volume(path: Path, slope: float = 1, intercept: float = 0) -> None:
    image = nib.Nifti1Image(GRAY.reshape(6, 8, 10).astype(np.int16), np.eye(4))
    image.header.set_slope_inter(slope, intercept)
    image.to_filename(path)


def test_default_windows_are_the_full_range_for_8_bits_and_percentiles_else(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "gray.png")
    Image.fromarray(GRAY.astype(np.uint16) * 9).save(tmp_path / "a.png")
    save_volume(tmp_path / "a.nii")
    assert read_image(tmp_path / "gray.png").intensity_window == (0, 255)
    deep = read_image(tmp_path / "a.png")
    assert deep.intensity_window[0] == pytest.approx(np.percentile(deep.array, 0.5), abs=30)
    assert deep.intensity_window[1] == pytest.approx(np.percentile(deep.array, 99.5), abs=30)
    volume = read_image(tmp_path / "a.nii")
    assert set(volume.intensity_window) <= set(volume.array.ravel().tolist())


def test_an_explicit_window_is_in_displayed_units_also_with_a_negative_slope(tmp_path: Path) -> None:
    save_volume(tmp_path / "a.nii.gz", -2, 100)
    stored = read_image(tmp_path / "a.nii.gz", intensity_window=(-160, 240))
    assert stored.intensity_window == (130, -70)
    displayed = nib.Nifti1Image.from_filename(tmp_path / "a.nii.gz").get_fdata()
    np.testing.assert_allclose(stored.scaled()[0], np.clip((displayed + 160) / 400, 0, 1), atol=1e-6)
    default = read_image(tmp_path / "a.nii.gz")
    assert default.ends[0] > default.ends[1]


def test_a_volume_of_background_still_gets_a_window(tmp_path: Path) -> None:
    data = np.zeros((20, 20, 20), np.float32)
    nib.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "empty.nii")
    assert read_image(tmp_path / "empty.nii").intensity_window == (0, 1)
    data[0, 0, 0] = 7
    nib.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "sparse.nii")
    assert read_image(tmp_path / "sparse.nii").intensity_window == (0, 7)
    nib.Nifti1Image(data * np.nan, np.eye(4)).to_filename(tmp_path / "nan.nii")
    assert read_image(tmp_path / "nan.nii").intensity_window == (0, 1)


def test_labels_are_read_from_every_usual_kind_of_file(tmp_path: Path) -> None:
    label = (GRAY // 100).astype(np.uint8)
    Image.fromarray(label).save(tmp_path / "gray.png")
    Image.fromarray(label.astype(np.uint16) * 30000).save(tmp_path / "deep.png")
    Image.fromarray(label > 0).save(tmp_path / "bit.png")
    Image.fromarray(np.stack([label] * 3, -1)).save(tmp_path / "color.png")
    Image.fromarray(np.stack([label] * 3 + [label * 0 + 255], -1)).save(tmp_path / "alpha.png")
    nib.Nifti1Image(label[..., None].astype(np.float64), np.eye(4)).to_filename(tmp_path / "float.nii.gz")
    expected = {"gray.png": label, "deep.png": label * np.uint16(30000), "bit.png": label > 0, "color.png": label}
    expected |= {"alpha.png": label, "float.nii.gz": label[..., None]}
    for name, values in expected.items():
        read = read_label(tmp_path / name)
        assert read.dtype.kind in "iu"
        np.testing.assert_array_equal(read[0], values)
