"""Where pydicom is missing or too old, DICOM files are refused with a cure and all others are read and written."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from protected_folder import noise, write_array

from monai_umed.data.codec import decode_image, read_image, write_image
from monai_umed.data.labels import read_label
from monai_umed.dicom import lazy as lazy_dicom
from monai_umed.io.stored import CodecError


def missing(name: str) -> str:
    raise PackageNotFoundError(name)


@pytest.fixture(params=[lambda name: "2.4.4", missing], ids=["pydicom 2", "no pydicom"])
def without_pydicom(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_dicom, "version", request.param)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    folder = tmp_path / "series"
    folder.mkdir()
    for name in ("1.dcm", "2.dcm"):
        (folder / name).write_bytes(bytes(200))
    return folder


@pytest.mark.usefixtures("without_pydicom")
@pytest.mark.parametrize(
    "read",
    [
        read_image,
        lambda series: read_image(series / "1.dcm"),
        lambda series: read_label(series / "1.dcm"),
        lambda series: decode_image("series", {"1.dcm": bytes(200), "2.dcm": bytes(200)}),
    ],
    ids=["series", "file", "label", "memory"],
)
def test_a_dicom_file_names_the_version_and_the_cure(series: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(CodecError, match=r"need pydicom 3, this environment has (2\.4\.4|none); install .*\.nii\.gz"):
        read(series)


@pytest.mark.usefixtures("without_pydicom")
@pytest.mark.parametrize("ending", [".png", ".nii.gz"])
def test_other_files_are_read_and_written(tmp_path: Path, ending: str) -> None:
    shape = (20, 24) if ending == ".png" else (20, 24, 6)
    write_array(tmp_path / f"a{ending}", noise(shape).astype(np.uint8))
    image = read_image(tmp_path / f"a{ending}")
    write_image(tmp_path / f"b{ending}", image.array, image)
    assert np.array_equal(read_image(tmp_path / f"b{ending}").array, image.array)


def test_a_new_pydicom_reads_on(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_dicom, "version", lambda name: "10.0.1")
    lazy_dicom.require_pydicom("1.dcm")
