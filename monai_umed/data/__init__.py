"""Datasets on disk: find cases, read and write them without loss, record what was done."""

from monai_umed.data.cases import Section, find_cases, find_sections
from monai_umed.data.checksum import sha256_file, sha256_path
from monai_umed.data.codec import read_image, read_label, write_image
from monai_umed.data.fidelity import Fidelity, measure
from monai_umed.data.loading import MIN_SIDE, CaseError, LoadedCase, load_case
from monai_umed.data.manifest import CaseRecord, Manifest, ManifestError, Quarantined
from monai_umed.data.pairs import Case, DatasetError
from monai_umed.data.quantize import add_delta, floor_bound
from monai_umed.data.stored import CodecError, StoredImage
from monai_umed.data.suffixes import LOSSLESS, LOSSY, SUPPORTED, output_name
from monai_umed.data.two_folders import DatasetDir, TwoFolders, as_dataset

__all__ = [
    "LOSSLESS",
    "LOSSY",
    "MIN_SIDE",
    "SUPPORTED",
    "Case",
    "CaseError",
    "CaseRecord",
    "CodecError",
    "DatasetDir",
    "DatasetError",
    "Fidelity",
    "LoadedCase",
    "Manifest",
    "ManifestError",
    "Quarantined",
    "Section",
    "StoredImage",
    "TwoFolders",
    "add_delta",
    "as_dataset",
    "find_cases",
    "find_sections",
    "floor_bound",
    "load_case",
    "measure",
    "output_name",
    "read_image",
    "read_label",
    "sha256_file",
    "sha256_path",
    "write_image",
]
