"""The embedded dataset: reproducible, calibrated like real ultrasound, and never half written."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from monai_umed.data import phantom
from monai_umed.data.default_window import WINDOW_PERCENTILES
from monai_umed.data.phantom import make_phantom, phantom_dir, write_phantom

SEED = 0
COUNT = 24


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def cases() -> list[phantom.Case]:
    return [make_phantom(SEED, index) for index in range(COUNT)]


@pytest.fixture(scope="module")
def volumes() -> list[phantom.Case]:
    return [make_phantom(SEED, index, 3) for index in range(COUNT)]


def scaled(volume: np.ndarray) -> np.ndarray:
    """The volume in the window in which it would be protected."""
    low, high = np.percentile(volume, WINDOW_PERCENTILES)
    return np.clip((volume - low) / (high - low), 0, 1)


def best_dice(guesses: list[np.ndarray], labels: list[np.ndarray]) -> float:
    """Mean Dice of whatever exceeds one threshold, the best for all cases."""
    truths = [label > 0 for label in labels]
    return max(
        np.mean([2 * (g > t)[y].sum() / ((g > t).sum() + y.sum()) for g, y in zip(guesses, truths, strict=True)])
        for t in np.linspace(0.05, 0.95, 37)
    )


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_same_arguments_give_the_same_arrays_in_another_process(spatial_dims: int) -> None:
    code = (
        "import hashlib; from monai_umed.data.phantom import make_phantom;"
        f"print(hashlib.sha256(b''.join(a.tobytes() for a in make_phantom(3, 5, {spatial_dims}))).hexdigest())"
    )
    root = Path(phantom.__file__).parents[2]
    other = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    here = hashlib.sha256(b"".join(array.tobytes() for array in make_phantom(3, 5, spatial_dims))).hexdigest()
    assert other.stdout.strip() == here


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("other", [(0, 1), (1, 0)])
def test_another_seed_or_index_gives_another_case(spatial_dims: int, other: tuple[int, int]) -> None:
    first, second = make_phantom(0, 0, spatial_dims), make_phantom(*other, spatial_dims)
    for a, b in zip(first, second, strict=True):
        assert not np.array_equal(a, b)


def test_2d_cases_have_the_documented_types_and_sizes(cases: list[phantom.Case]) -> None:
    for image, label in cases:
        assert image.dtype == label.dtype == np.uint8
        assert image.shape == label.shape
        assert 200 <= image.shape[0] <= 280 and 220 <= image.shape[1] <= 320
        assert set(np.unique(label)) == {0, 1}
    assert len({image.shape for image, _ in cases}) > COUNT // 2


def test_lesion_is_one_piece_of_3_to_15_percent(cases: list[phantom.Case]) -> None:
    for _, label in cases:
        assert 0.0295 <= label.mean() <= 0.1505  # a whole number of pixels
        pieces, _ = ndimage.label(label, np.ones((3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() > 0.99 * sizes.sum()


def test_lesions_lie_all_over_the_image(cases: list[phantom.Case]) -> None:
    centers = [np.divide(ndimage.center_of_mass(label), label.shape) for _, label in cases]
    assert (np.ptp(centers, axis=0) > 0.4).all()


def test_fine_noise_is_as_strong_as_in_real_ultrasound(cases: list[phantom.Case]) -> None:
    """BUSI's median of the same number, measured with this code on 647 images, is 0.029; within 15 % of it."""
    residues = []
    for image, _ in cases:
        small = np.asarray(Image.fromarray(image).resize((128, 128), Image.Resampling.BILINEAR), float) / 255
        residues.append((small - ndimage.uniform_filter(small, 3)).std())
    assert 0.85 * 0.029 <= np.median(residues) <= 1.15 * 0.029
    assert min(residues) >= 0.018 and max(residues) <= 0.037


def test_lesions_are_darker_than_their_surround_by_varying_amounts(cases: list[phantom.Case]) -> None:
    contrasts = []
    for image, label in cases:
        ring = ndimage.binary_dilation(label, iterations=15) & (label == 0)
        contrasts.append((image[ring].mean() - image[label > 0].mean()) / 255)
    assert min(contrasts) > 0.05
    assert 0.15 < np.median(contrasts) < 0.25
    assert np.ptp(contrasts) > 0.1


def test_volumes_have_the_documented_type_size_and_organ(volumes: list[phantom.Case]) -> None:
    for image, label in volumes:
        assert image.dtype == np.int16 and label.dtype == np.uint8
        assert image.shape == label.shape == (48, 64, 48)
        assert set(np.unique(label)) == {0, 1}
        assert 0.099 <= label.mean() <= 0.201
        assert image.min() >= -1024 and image.max() <= 3071
        pieces, _ = ndimage.label(label, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() > 0.98 * sizes.sum()


def test_windows_of_volumes_are_as_wide_as_those_of_real_scans(volumes: list[phantom.Case]) -> None:
    widths = [np.ptp(np.percentile(image, WINDOW_PERCENTILES)) for image, _ in volumes]
    assert min(widths) > 300 and max(widths) < 600


def test_organs_vary_in_contrast_texture_and_size(volumes: list[phantom.Case]) -> None:
    contrasts, grains = [], []
    for image, label in volumes:
        ring = ndimage.binary_dilation(label, iterations=4) & (label == 0)
        values = scaled(image)
        contrasts.append(values[label > 0].mean() - values[ring].mean())
        grains.append((values - ndimage.uniform_filter(values, 3))[label > 0].std())
    assert 0.13 < np.median(contrasts) < 0.21 and np.ptp(contrasts) > 0.1
    assert 0.02 < np.median(grains) < 0.03 and np.ptp(grains) > 0.01
    assert np.ptp([label.mean() for _, label in volumes]) > 0.07


def test_neither_a_threshold_nor_the_usual_place_finds_the_organ(volumes: list[phantom.Case]) -> None:
    """A task that is solved without looking at structure is learned whatever the training images look like."""
    labels = [label for _, label in volumes]
    assert best_dice([ndimage.gaussian_filter(scaled(image), 1) for image, _ in volumes], labels) < 0.75
    assert best_dice([np.mean(labels, axis=0)] * COUNT, labels) < 0.6


@pytest.mark.parametrize("spatial_dims", [-1, 0, 1, 4])
def test_other_dimensions_are_refused(tmp_path: Path, spatial_dims: int) -> None:
    with pytest.raises(ValueError, match=rf"spatial_dims \({spatial_dims}\) must be 2 or 3"):
        make_phantom(0, 0, spatial_dims)
    with pytest.raises(ValueError, match="spatial_dims"):
        write_phantom(tmp_path / "set", spatial_dims=spatial_dims)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("num_train", "num_test"), [(0, 1), (1, -1)])
def test_impossible_numbers_are_refused(tmp_path: Path, num_train: int, num_test: int) -> None:
    with pytest.raises(ValueError, match=rf"num_train \({num_train}\).*num_test \({num_test}\)"):
        write_phantom(tmp_path / "set", spatial_dims=2, num_train=num_train, num_test=num_test)
    assert not any(tmp_path.iterdir())


def test_negative_seed_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"seed \(-1\)"):
        write_phantom(tmp_path / "set", spatial_dims=2, num_train=1, num_test=1, seed=-1)
    assert not any(tmp_path.iterdir())


def test_2d_files_hold_the_cases_exactly(tmp_path: Path) -> None:
    folder = write_phantom(tmp_path / "deep" / "set", spatial_dims=2, num_train=2, num_test=1, seed=7)
    split = json.loads((folder / "split.json").read_text())
    assert split == {"train": ["phantom_0000", "phantom_0001"], "test": ["phantom_0002"]}
    for index, name in enumerate(split["train"] + split["test"]):
        image, label = make_phantom(7, index)
        assert np.array_equal(np.asarray(Image.open(folder / "images" / f"{name}.png")), image)
        assert np.array_equal(np.asarray(Image.open(folder / "masks" / f"{name}.png")), label * np.uint8(255))


def test_3d_files_hold_the_cases_and_the_anisotropic_spacing(tmp_path: Path) -> None:
    folder = write_phantom(tmp_path / "set", spatial_dims=3, num_train=1, num_test=1, seed=7)
    for index, name in enumerate(["phantom_0000", "phantom_0001"]):
        for kind, array in zip(("imagesTr", "labelsTr"), make_phantom(7, index, 3), strict=True):
            volume = nib.Nifti1Image.from_filename(folder / kind / f"{name}.nii.gz")
            assert volume.get_data_dtype() == array.dtype
            assert np.array_equal(np.asarray(volume.dataobj), array)
            assert np.array_equal(volume.affine, np.diag([1, 1, 1.5, 1]))
            assert volume.header.get_zooms() == (1, 1, 1.5)
            assert volume.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_equal_parameters_give_equal_bytes(tmp_path: Path, spatial_dims: int) -> None:
    first, second = (
        digests(write_phantom(tmp_path / name, spatial_dims=spatial_dims, num_train=2, num_test=1)) for name in "ab"
    )
    assert first == second
    assert len(first) == 2 * 3 + 2


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail_at_third(seed: int, index: int, spatial_dims: int) -> phantom.Case:
        if index == 2:
            raise error
        return make_phantom(seed, index, spatial_dims)

    monkeypatch.setattr(phantom, "make_phantom", fail_at_third)
    with pytest.raises(type(error)):
        write_phantom(tmp_path / "set", spatial_dims=2, num_train=3, num_test=1)
    assert not any(tmp_path.iterdir())


def test_complete_folder_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_phantom(tmp_path / "set", spatial_dims=2, num_train=1, num_test=1)
    monkeypatch.setattr(phantom, "make_phantom", None)  # calling it would fail
    assert write_phantom(folder, spatial_dims=2, num_train=1, num_test=1) == folder


def test_folder_finished_meanwhile_by_another_process_is_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = phantom._write_cases

    def overtaken(folder: Path, record: dict[str, int]) -> None:
        ours(folder, record)
        monkeypatch.setattr(phantom, "_write_cases", ours)
        write_phantom(tmp_path / "set", spatial_dims=2, num_train=1, num_test=1)

    monkeypatch.setattr(phantom, "_write_cases", overtaken)
    folder = write_phantom(tmp_path / "set", spatial_dims=2, num_train=1, num_test=1)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(digests(folder)) == 2 * 2 + 2


@pytest.mark.parametrize("change", [{"num_train": 2}, {"num_test": 0}, {"seed": 1}, {"spatial_dims": 3}])
def test_folder_with_other_parameters_is_refused_and_kept(tmp_path: Path, change: dict[str, int]) -> None:
    folder = write_phantom(tmp_path / "set", spatial_dims=2, num_train=1, num_test=1)
    before = digests(folder)
    with pytest.raises(FileExistsError, match="pass another folder"):
        write_phantom(folder, **{"spatial_dims": 2, "num_train": 1, "num_test": 1} | change)
    assert digests(folder) == before


def test_folder_of_another_origin_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "precious.png").write_bytes(b"x")
    with pytest.raises(FileExistsError, match="no finished phantom"):
        write_phantom(tmp_path, spatial_dims=2, num_train=1, num_test=1)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.png"]


def test_cache_folder_follows_the_environment_and_the_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONAI_UMED_CACHE", str(tmp_path / "cache"))
    first, second = phantom_dir(2, num_train=1, num_test=1), phantom_dir(2, num_train=1, num_test=1, seed=4)
    assert first.parent == second.parent == tmp_path / "cache"
    assert first != second
    assert phantom_dir(2, num_train=1, num_test=1) == first
    assert "phantom2d_v1" in first.name and "phantom3d_v2" in phantom_dir(3, num_train=1, num_test=0).name


def test_cache_folder_defaults_to_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONAI_UMED_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert phantom_dir(3, num_train=1, num_test=0).parent == tmp_path / ".cache" / "monai_umed"
