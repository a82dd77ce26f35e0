"""Loading a case: what is accepted, and a reason with value and limit for what is not."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_umed.data.case import Case, CaseError
from monai_umed.data.loading import load_case

SIDE = 32


def square(value: int = 1, dtype: type = np.uint8) -> np.ndarray:
    label: np.ndarray = np.zeros((SIDE, SIDE), dtype)
    label[8:20, 8:20] = value
    return label


def noise(shape: tuple[int, ...] = (SIDE, SIDE)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def write_case(folder: Path, image: np.ndarray, label: np.ndarray) -> Case:
    case = Case("a case", folder / "image.png", folder / "label.png")
    Image.fromarray(image).save(case.image)
    Image.fromarray(label).save(case.label)
    return case


def write_volumes(folder: Path, image: np.ndarray, label: np.ndarray) -> Case:
    case = Case("a volume", folder / "image.nii.gz", folder / "label.nii.gz")
    nib.Nifti1Image(image, np.eye(4)).to_filename(case.image)
    nib.Nifti1Image(label, np.eye(4)).to_filename(case.label)
    return case


@pytest.mark.parametrize(
    "label",
    [square(1), square(255), square(65535, np.uint16), square(1).astype(bool)],
    ids=["1", "255", "65535", "bit"],
)
def test_usual_binary_masks_become_class_numbers(tmp_path: Path, label: np.ndarray) -> None:
    image = noise()
    loaded = load_case(write_case(tmp_path, image, label))
    assert loaded.label.dtype == np.uint8
    np.testing.assert_array_equal(loaded.label, square(1)[None])
    np.testing.assert_array_equal(loaded.stored.array, image[None])


def test_convention_2d_arrays_are_rows_then_columns_as_in_the_file(tmp_path: Path) -> None:
    label = np.zeros((20, 40), np.uint8)
    label[2, 30] = 1
    loaded = load_case(write_case(tmp_path, noise((20, 40)), label))
    assert loaded.stored.shape == (20, 40)
    assert np.argwhere(loaded.label).tolist() == [[0, 2, 30]]


def test_multi_class_volume_keeps_its_class_numbers(tmp_path: Path) -> None:
    label = np.zeros((20, 18, 16), np.float32)
    label[4:8], label[9:12] = 1, 2
    loaded = load_case(write_volumes(tmp_path, noise((20, 18, 16)), label), num_classes=3)
    np.testing.assert_array_equal(loaded.label[0], label)


@pytest.mark.parametrize(
    ("image", "label", "num_classes", "message"),
    [
        (noise((SIDE, 30)), square(), 2, r"image has shape \(32, 30\), its mask \(32, 32\)"),
        (noise((SIDE, 15)), square()[:, :15], 2, "a side of 15, must be >= 16"),
        (noise() * 0 + 7, square(), 2, r"image is constant \(7\)"),
        (noise(), square(0), 2, "mask is empty"),
        (noise(), square(0) + 255, 2, "mask covers everything"),
        (noise(), square(7), 2, "values 7, expected 0 and 1"),
        (noise(), noise(), 2, r"values 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, \.\.\., expected"),
        (noise(), square(3), 3, "values 3, expected 0 to 2; renumber"),
    ],
)
def test_unusable_content_is_refused_with_the_reason(
    tmp_path: Path, image: np.ndarray, label: np.ndarray, num_classes: int, message: str
) -> None:
    with pytest.raises(CaseError, match=message) as error:
        load_case(write_case(tmp_path, image, label), num_classes)
    assert error.value.case_id == "a case"
    assert error.value.reason in str(error.value)


def test_nan_and_infinity_stay_outside_of_the_structure(tmp_path: Path) -> None:
    image = noise((20, 20, 20)).astype(np.float32)
    image[0, 0, :3] = [np.nan, np.inf, -np.inf]
    label = np.zeros((20, 20, 20), np.uint8)
    label[5] = 1
    loaded = load_case(write_volumes(tmp_path, image, label))
    assert loaded.outside is not None and np.argwhere(loaded.outside[0]).tolist() == [[0, 0, k] for k in range(3)]
    with pytest.raises(CaseError, match="all values of the image are NaN or infinite"):
        load_case(write_volumes(tmp_path, image * np.nan, label))


def test_window_beside_the_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="constant within the window"):
        load_case(write_case(tmp_path, noise() // 2, square()), intensity_window=(200, 250))


@pytest.mark.parametrize("part", ["image", "label"])
def test_truncated_or_missing_files_are_refused_by_name(tmp_path: Path, part: str) -> None:
    case = write_case(tmp_path, noise(), square())
    path: Path = getattr(case, part)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(CaseError, match=rf"{part}\.png: cannot be read"):
        load_case(case)
    path.unlink()
    with pytest.raises(CaseError, match=rf"{part}\.png: the file does not exist"):
        load_case(case)


@pytest.mark.parametrize("num_classes", [1, 257])
def test_impossible_number_of_classes_is_refused(tmp_path: Path, num_classes: int) -> None:
    with pytest.raises(ValueError, match="must be 2 to 256"):
        load_case(write_case(tmp_path, noise(), square()), num_classes)


@pytest.mark.parametrize("damaged", ["images", "masks"])
def test_a_damaged_file_is_named_with_its_folder(tmp_path: Path, damaged: str) -> None:
    case = Case("a", tmp_path / "images/a.png", tmp_path / "masks/a.png")
    for path, pixels in ((case.image, noise()), (case.label, square(255))):
        path.parent.mkdir()
        Image.fromarray(pixels).save(path)
    path = tmp_path / damaged / "a.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CaseError, match=rf"case 'a': {damaged}/a\.png: cannot be read .*fetch it again"):
        load_case(case)


@pytest.mark.parametrize("color", [0, 255])
def test_a_mask_drawn_in_its_transparency_is_refused_with_a_cure_that_works(tmp_path: Path, color: int) -> None:
    case = write_case(tmp_path, noise(), square(255))
    layers = [np.full((SIDE, SIDE), color, np.uint8)] * 3
    Image.fromarray(np.dstack([*layers, square(255)])).save(case.label)
    with pytest.raises(CaseError, match="drawn is its transparency alone; save its alpha channel as 8-bit gray"):
        load_case(case)
    with Image.open(case.label) as image:
        alpha = image.getchannel("A")
    alpha.save(case.label)
    np.testing.assert_array_equal(load_case(case).label[0], square(1))
