"""DICOM files are known by their ending or by how they begin, and nothing else is taken for one."""

from pathlib import Path

import pytest
from dicom_files import DEEP, make, save
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid

from monai_umed.io.dicom_sign import is_dicom, lacks_preamble, split_file
from monai_umed.io.source import MemoryFile
from monai_umed.io.suffixes import SUPPORTED

NAMES = {"IM000001": "IM000001", "1.2.840.113": "1.2.840.113", "A.IMA": "A", "a.b.dicom": "a.b", "a.v2": "a.v2"}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_dicom_files_are_known_whatever_they_are_called(tmp_path: Path, syntax: str, bare: bool) -> None:
    dataset = make(DEEP[0], bits=12)
    content = save(dataset, tmp_path / "a.dcm", syntax).read_bytes()
    if bare:  # 132 bytes, then the header of the file, whose length is its first value
        content = content[144 + int.from_bytes(content[140:144], "little") :]
    assert lacks_preamble(content) == bare
    for name, stem in NAMES.items():
        (tmp_path / name).write_bytes(content)
        for source in (tmp_path / name, MemoryFile(name, content)):
            assert is_dicom(source) and split_file(source) == (stem, ".dcm")


def test_a_header_without_preamble_is_known(tmp_path: Path) -> None:
    content = save(make(DEEP[0]), tmp_path / "a.dcm").read_bytes()
    assert is_dicom(MemoryFile("a", content[132:])) and lacks_preamble(content[132:])


@given(st.binary(max_size=200))
def test_endings_of_other_formats_count_whatever_the_content(content: bytes) -> None:
    for suffix in SUPPORTED:
        assert is_dicom(MemoryFile(f"a{suffix}", b"\0" * 128 + b"DICM" + content)) == (suffix == ".dcm")
    is_dicom(MemoryFile("a", content))  # never raises


@pytest.mark.parametrize(
    "content", [b"", b"\x08\x00", b"a note about the images", b"\x08\x00\x60\x00CS", b"II*\0" * 40]
)
def test_other_files_are_not_taken_for_dicom(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.v2").write_bytes(content)
    assert not is_dicom(tmp_path / "a.v2") and split_file(tmp_path / "a.v2") == ("a", ".v2")
    assert not is_dicom(tmp_path) and not is_dicom(tmp_path / "missing")
