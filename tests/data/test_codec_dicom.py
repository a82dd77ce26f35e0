"""What read_image, write_image and read_label do with DICOM, NRRD and MHA files once they are plugged in."""

import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import DEEP, make, make_segmentation, save, write_series
from pydicom import uid

from monai_umed.data.codec import read_image, write_image
from monai_umed.data.labels import read_label
from monai_umed.io.quantize import add_delta
from monai_umed.io.stored import CodecError


def test_bits_and_padding_limit_the_perturbation_for_any_window(tmp_path: Path) -> None:
    pixels = np.clip(DEEP[0], 10, 4095)
    pixels[:4] = 0
    source = save(make(pixels, bits=12, PixelPaddingValue=0), tmp_path / "a.dcm")
    for intensity_window in (None, (-500.0, 6000.0)):
        image = read_image(source, intensity_window)
        assert image.value_range == (1, 4095)
        delta = np.where(np.arange(20) % 2, -0.2, 0.2).astype(np.float32) * np.ones((1, 24, 1), np.float32)
        bound = np.full_like(delta, 0.2)
        perturbed = add_delta(image, delta, bound)
        assert not perturbed[0, :4].any() and perturbed[0, 4:].min() >= 1 and perturbed.max() <= 4095
        write_image(tmp_path / "b.dcm", perturbed, image)
        np.testing.assert_array_equal(read_image(tmp_path / "b.dcm").array, perturbed)
    assert read_image(source).ends[0] >= 10


def test_a_series_folder_and_its_labels_are_read(tmp_path: Path) -> None:
    image = read_image(write_series(tmp_path / "in", WindowCenter=900, WindowWidth=1500))
    assert image.intensity_window == (150, 1649) and image.affine is not None
    mask = np.zeros((24, 20), bool)
    mask[3:9, 4:8] = True
    path = save(make_segmentation({(2, 3): mask}, image.affine), tmp_path / "seg.dcm")
    label = read_label(path, image)
    assert label[0, :, :, 3].sum() == 2 * mask.sum()
    with pytest.raises(CodecError, match="DICOM SEG without a DICOM image"):
        read_label(path)
    saved = SimpleITK.GetImageFromArray(label[0].transpose(2, 1, 0))
    saved.SetSpacing(image.spacing)
    saved.SetOrigin(image.affine[:3, 3].tolist())
    saved.SetDirection((image.affine[:3, :3] / image.spacing).ravel().tolist())
    for name in ("label.nrrd", "label.mha", "label.nii.gz"):
        SimpleITK.WriteImage(saved, str(tmp_path / name))
        np.testing.assert_array_equal(read_label(tmp_path / name, image), label)
        SimpleITK.WriteImage(SimpleITK.Flip(saved, [True, False, False]), str(tmp_path / name))
        np.testing.assert_array_equal(read_label(tmp_path / name, image), label)
        saved.SetSpacing([0.5, 0.5, 0.5])
        SimpleITK.WriteImage(saved, str(tmp_path / name))
        with pytest.raises(CodecError, match="the mask is not on the image's grid"):
            read_label(tmp_path / name, image)
        saved.SetSpacing(image.spacing)
    unplaced = nib.Nifti1Image(label[0], None)
    unplaced.to_filename(tmp_path / "label.nii.gz")
    with pytest.raises(CodecError, match="the mask is not on the image's grid"):
        read_label(tmp_path / "label.nii.gz", image)


@pytest.mark.skipif("MONAI_UMED_DICOM" not in os.environ, reason="MONAI_UMED_DICOM names no folder with a real series")
def test_real_series(tmp_path: Path) -> None:
    root = Path(os.environ["MONAI_UMED_DICOM"])
    image = read_image(root / "series")
    assert image.intensity_window == (864, 1263)
    for name in ("seg_liver.dcm", "liver_seg.nrrd"):
        assert read_label(root / name, image).sum() == 107098
    wide = replace(image, intensity_window=(-3000.0, 3000.0))
    delta = np.random.default_rng(0).uniform(-0.02, 0.02, image.array.shape).astype(np.float32)
    perturbed = add_delta(wide, delta, np.full_like(delta, 8 / 255))
    assert ((perturbed == -2000) == (image.array == -2000)).all()
    assert pydicom.dcmread(root / "series" / "01.dcm").SOPClassUID == uid.CTImageStorage
