"""Training on originals from a release and its key: the values are those of the original files, no disk sees them."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from dicom_files import read_with_itk, write_series
from grid_files import label_array, placed, reordered, volume, write_case
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImage, LoadImaged, ScaleIntensityd
from PIL import Image
from protected_folder import noise, small_protector, square, tree, write_array

from monai_umed.data.case import CaseError, DatasetError
from monai_umed.data.cases import find_cases
from monai_umed.release.protect import protect_dataset
from monai_umed.sealing.restore import seal_dataset
from monai_umed.sealing.restored_dataset import RestoredDataset
from monai_umed.sealing.seal import ChangedFileError, DamagedError, WrongKeyError
from monai_umed.transforms import UMedRestore, UMedRestored

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
SHAPE_2D, SHAPE_3D = (40, 52), (22, 24, 18)


def write_gray(images: Path) -> None:
    pixels = noise(SHAPE_2D).astype(np.uint8)
    write_array(images / "png.png", pixels)
    write_array(images / "jpeg.jpg", pixels)
    write_array(images / "bmp.bmp", pixels)
    write_array(images / "tiff.tif", pixels)
    write_array(images / "deep.png", noise(SHAPE_2D, 60000).astype(np.uint16))
    Image.fromarray(pixels).save(images / "lzw.tif", compression="tiff_lzw")


def write_color(images: Path) -> None:
    pixels = noise((*SHAPE_2D, 3)).astype(np.uint8)
    write_array(images / "rgb.png", pixels)
    write_array(images / "rgb_jpeg.jpg", pixels)
    write_array(images / "rgb_tiff.tif", pixels)
    write_array(images / "rgba.png", noise((*SHAPE_2D, 4)).astype(np.uint8))
    deep = SimpleITK.GetImageFromArray(noise((*SHAPE_2D, 3), 60000).astype(np.uint16), isVector=True)
    SimpleITK.WriteImage(deep, str(images / "rgb_deep.png"))


def write_volumes(images: Path) -> None:
    values = (noise(SHAPE_3D, 2000) - 1000).astype(np.int16)
    write_array(images / "nifti.nii.gz", values)
    write_array(images / "pair.img", values)
    scaled = nib.Nifti1Image(values, np.array([[0, -2, 0, 5], [1.5, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]]))
    scaled.header.set_slope_inter(0.37, -24.3)
    scaled.to_filename(images / "scaled.nii.gz")
    volume = SimpleITK.GetImageFromArray(values.T)
    volume.SetSpacing((0.75, 0.5, 2.5))
    volume.SetOrigin((1, 2, 3))
    volume.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    for ending in ("nrrd", "mha"):
        SimpleITK.WriteImage(volume, str(images / f"{ending}.{ending}"), useCompression=True)
    pixels = noise(SHAPE_3D[::-1], 4096).astype(np.uint16)
    write_series(images / "series", pixels, "caebdfghijklmnopqr", RescaleSlope=1.7, RescaleIntercept=-1024)


# name -> (how its images are written, shape, channels of the protector)
GROUPS: dict[str, tuple[Any, tuple[int, ...], int]] = {
    "gray": (write_gray, SHAPE_2D, 1),
    "color": (write_color, SHAPE_2D, 3),
    "volumes": (write_volumes, SHAPE_3D, 1),
}
IDS = {
    "gray": ["bmp", "deep", "jpeg", "lzw", "png", "tiff"],
    "color": ["rgb", "rgb_deep", "rgb_jpeg", "rgb_tiff", "rgba"],
    "volumes": ["mha", "nifti", "nrrd", "pair", "scaled", "series"],
}
# Their decoders read named files only and get an anonymous one in memory, which `no_file_may_grow` forbids as well.
NAMED_FILES = {"lzw", "rgb_deep", "mha", "nrrd"}
CASES = [(group, name) for group, names in IDS.items() for name in names]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Per group: dataset, protected folder and sealed folder; read only."""
    root = tmp_path_factory.mktemp("releases")
    for group, (write, shape, channels) in GROUPS.items():
        dataset = root / group / "dataset"
        for folder in ("images", "masks"):
            (dataset / folder).mkdir(parents=True)
        write(dataset / "images")
        for path in (dataset / "images").iterdir():
            stem = path.name.split(".")[0]
            if len(shape) == 2:
                write_array(dataset / "masks" / f"{stem}.png", square(shape))
            elif path.suffix != ".hdr":
                label = SimpleITK.GetImageFromArray(square(shape, 1).T)
                label.CopyInformation(read_with_itk(path) if path.is_dir() else SimpleITK.ReadImage(str(path)))
                SimpleITK.WriteImage(label, str(dataset / "masks" / f"{stem}.nrrd"))
        cases = find_cases(dataset)
        protect_dataset(cases, small_protector(channels, len(shape)), root / group / "protected", progress=False)
        report = seal_dataset(cases, root / group / "protected", root / group / "sealed", key=KEY, progress=False)
        assert report.done == IDS[group], report.failed
        (root / group / "dataset").rename(root / f"{group} originals")  # nobody who trains has them
    return root


def dataset_of(release: Path, key: bytes = KEY, **options: Any) -> RestoredDataset:
    return RestoredDataset(release / "protected", release / "sealed", key, **options)


def original_of(releases: Path, group: str, name: str) -> Path:
    found = (releases / f"{group} originals" / "images").glob(f"{name}*" if name == "series" else f"{name}.*")
    [path] = (path for path in found if path.suffix != ".hdr")
    return path


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """The operating system refuses every byte that this process would write to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("group", "name"), CASES)
def test_images_are_those_that_monai_loads_from_the_original_file(releases: Path, group: str, name: str) -> None:
    item = dataset_of(releases / group, cases=[name])[0]
    original = original_of(releases, group, name)
    loaded = LoadImage(ensure_channel_first=True)(original)
    image = item["image"]
    assert isinstance(image, MetaTensor) and image.dtype == loaded.dtype and item["id"] == name
    if name == "rgb_deep":  # MONAI's reader drops half of the bits
        pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(original)))
        np.testing.assert_array_equal(image, pixels.astype(np.float32).T)
    else:
        np.testing.assert_array_equal(image, loaded)
    if group == "volumes":
        np.testing.assert_allclose(image.affine, loaded.affine, atol=1e-9)
        np.testing.assert_allclose(image.meta["original_affine"], loaded.affine, atol=1e-9)
    assert image.meta["filename_or_obj"] == f"images/{original.name}"


@pytest.mark.parametrize(("group", "name"), CASES)
def test_labels_are_class_numbers_on_the_grid_of_the_image(releases: Path, group: str, name: str) -> None:
    item = dataset_of(releases / group, cases=[name])[0]
    shape = GROUPS[group][1]
    expected = square(shape, 1)
    np.testing.assert_array_equal(item["label"][0], expected.T if len(shape) == 2 else expected)
    assert item["label"].dtype == torch.float32 and item["label"].shape[1:] == item["image"].shape[1:]
    np.testing.assert_array_equal(item["label"].affine, item["image"].affine)


@pytest.mark.parametrize(("group", "name"), CASES)
def test_nothing_is_written_to_any_folder(
    releases: Path, group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # also a file that is removed at once fails
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.chdir(tmp_path)
    before = tree(releases)
    with nullcontext() if name in NAMED_FILES else no_file_may_grow():
        assert dataset_of(releases / group, cases=[name])[0]["id"] == name
    assert tree(releases) == before and not list(tmp_path.iterdir())


def test_the_guard_of_the_test_above_sees_a_single_byte(tmp_path: Path) -> None:
    with no_file_may_grow(), pytest.raises(OSError, match="File too large"):
        (tmp_path / "a").write_bytes(b"1")


def test_a_system_without_files_in_memory_says_so_and_reads_all_other_formats(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    for group, name in CASES:
        dataset = dataset_of(releases / group, cases=[name])
        if name in NAMED_FILES:
            with pytest.raises(CaseError, match="use Linux, or restore it"):
                dataset[0]
        else:
            assert dataset[0]["id"] == name


def test_a_loader_with_worker_processes_gives_batches(releases: Path) -> None:
    dataset = dataset_of(releases / "gray", transform=[ScaleIntensityd("image")])
    batches = list(DataLoader(dataset, batch_size=4, num_workers=2))
    assert [name for batch in batches for name in batch["id"]] == IDS["gray"]
    for batch in batches:
        assert batch["image"].shape[1:] == batch["label"].shape[1:] == (1, *SHAPE_2D[::-1])
    alone = {name: dataset[index]["image"] for index, name in enumerate(IDS["gray"])}
    for batch in batches:
        for name, image in zip(batch["id"], batch["image"], strict=True):
            assert torch.equal(image, alone[name]) and (image.min(), image.max()) == (0, 1)


def test_a_plain_loader_and_a_cache_in_memory_work_as_well(releases: Path) -> None:
    dataset = dataset_of(releases / "volumes", cases=["nifti", "scaled"])
    cached = CacheDataset(dataset, None, num_workers=None, progress=False)  # type: ignore[arg-type]
    [batch] = torch.utils.data.DataLoader(cached, batch_size=2)
    assert torch.equal(batch["image"][1], dataset[1]["image"]) and batch["id"] == ["nifti", "scaled"]
    assert [item["id"] for item in dataset[1:]] == ["scaled"]


def test_a_pipeline_needs_one_transform_in_the_place_of_its_image_reader(releases: Path) -> None:
    for group, ids in IDS.items():
        release = releases / group
        cases = [case for case in find_cases(release / "protected") if case.id != "rgb_deep"]
        assert len(cases) == len(set(ids) - {"rgb_deep"})
        restored = UMedRestored("image", release / "protected", release / "sealed", KEY)
        rest = [EnsureChannelFirstd(("image", "label")), ScaleIntensityd(("image", "label"))]
        for case in cases:
            item = Compose([restored, LoadImaged("label"), *rest])({"image": case.image, "label": case.label})
            original = original_of(releases, group, case.id)
            expected = Compose([LoadImaged(("image", "label")), *rest])({"image": original, "label": case.label})
            for key in ("image", "label"):
                np.testing.assert_array_equal(item[key], expected[key])


def test_the_transform_takes_paths_of_the_release_only(releases: Path) -> None:
    folder = releases / "gray"
    restore = UMedRestore(folder / "protected", folder / "sealed", KEY)
    with pytest.raises(ValueError, match=r"a\.png is not an image in the manifest of .*protected; name one"):
        restore(folder / "a.png")
    with pytest.raises(TypeError, match=r"got MetaTensor; put it before LoadImage"):
        restore(restore(str(folder / "protected" / "images" / "png.png")))  # type: ignore[arg-type]


def test_a_wrong_key_is_refused_at_once(releases: Path) -> None:
    folder = releases / "gray"
    with pytest.raises(WrongKeyError, match="another key"):
        dataset_of(folder, OTHER_KEY)
    with pytest.raises(WrongKeyError, match="another key"):
        UMedRestored("image", folder / "protected", folder / "sealed", OTHER_KEY)
    with pytest.raises(ValueError, match="31 bytes, must be 32"):
        dataset_of(folder, KEY[1:])


def test_the_key_is_not_shown(releases: Path) -> None:
    dataset = dataset_of(releases / "gray")
    shown = repr(dataset) + str(dataset) + repr(dataset.originals)
    assert repr(KEY)[2:20] not in shown and KEY.hex()[:16] not in shown


def test_unknown_and_no_cases_are_refused(releases: Path) -> None:
    with pytest.raises(DatasetError, match="nobody: no such case"):
        dataset_of(releases / "gray", cases=["png", "nobody"])
    with pytest.raises(DatasetError, match="no case to read"):
        dataset_of(releases / "gray", cases=[])


def test_a_mask_of_more_classes_asks_for_their_number(releases: Path, tmp_path: Path) -> None:
    mask = square(SHAPE_2D, 1)
    mask[:4] = 2
    write_array(tmp_path / "dataset" / "images" / "a.png", noise(SHAPE_2D).astype(np.uint8))
    write_array(tmp_path / "dataset" / "masks" / "a.png", mask)
    cases = find_cases(tmp_path / "dataset")
    protect_dataset(cases, small_protector(), tmp_path / "protected", num_classes=3, progress=False)
    seal_dataset(cases, tmp_path / "protected", tmp_path / "sealed", key=KEY, progress=False)
    np.testing.assert_array_equal(dataset_of(tmp_path, num_classes=3)[0]["label"][0], mask.T)
    with pytest.raises(CaseError, match="set the number of classes"):
        dataset_of(tmp_path)[0]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("sealed/images/tiff.tif.sealed", DamagedError),
        ("protected/images/tiff.tif", ChangedFileError),
        ("protected/masks/tiff.png", ChangedFileError),
    ],
)
def test_a_bad_file_is_refused_when_its_case_is_read(
    releases: Path, tmp_path: Path, name: str, error: type[CaseError]
) -> None:
    release = shutil.copytree(releases / "gray", tmp_path / "copy")
    content = bytearray((release / name).read_bytes())
    content[len(content) // 2] ^= 1
    (release / name).write_bytes(content)
    dataset = dataset_of(release)
    assert dataset[0]["id"] == "bmp"
    with pytest.raises(error):
        dataset[len(dataset) - 1]
    with pytest.raises(RuntimeError, match=error.__name__):
        list(DataLoader(dataset, num_workers=1))


def test_labels_in_another_order_of_axes_are_matched(tmp_path: Path) -> None:
    label = reordered(placed(label_array()), (1, 2, 0), (True, False, True))
    write_case(tmp_path, volume(), label, (".nii.gz", ".nrrd"))
    cases = find_cases(tmp_path)
    protect_dataset(cases, small_protector(1, 3), tmp_path / "protected", progress=False)
    seal_dataset(cases, tmp_path / "protected", tmp_path / "sealed", key=KEY, progress=False)
    item = dataset_of(tmp_path)[0]
    np.testing.assert_array_equal(item["label"][0], label_array())
    assert torch.equal(item["label"].affine, item["image"].affine)
