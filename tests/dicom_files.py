"""DICOM files for tests: single ones, series, segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import set_pixel_data

DEEP = np.random.default_rng(0).integers(0, 4096, (5, 24, 20)).astype(np.uint16)
SERIES_UID, STUDY_UID = "1.2.3.4", "1.2.3"


def make(pixels: np.ndarray, kind: str = "MONOCHROME2", bits: int | None = None, **elements: Any) -> Any:
    """A dataset with the elements that the tests want to find again."""
    dataset: Any = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY_UID, SERIES_UID
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName = "Müller^Åsa"
    dataset.SliceThickness = "1.250000"
    dataset.PixelSpacing = ["0.50", "0.75"]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-10, 20, 30], [1, 0, 0, 0, 1, 0]
    item: Any = Dataset()
    item.CodeMeaning = "Leber"
    dataset.AnatomicRegionSequence = [item]
    dataset.private_block(0x0029, "VENDOR", create=True).add_new(1, "OB", b"\1\2\3\4")
    dataset.SmallestImagePixelValue = 1
    dataset.LargestImagePixelValue = 2
    set_pixel_data(dataset, pixels, kind, bits or pixels.dtype.itemsize * 8, generate_instance_uid=False)
    signed = bool(dataset.PixelRepresentation)
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        dataset[keyword].VR = "SS" if signed else "US"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    if "PixelPaddingValue" in dataset:
        dataset["PixelPaddingValue"].VR = "SS" if signed else "US"
    return dataset


def save(dataset: Any, path: Path, syntax: str = uid.ExplicitVRLittleEndian) -> Path:
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, pixels: np.ndarray = DEEP, names: Sequence[str] = "caebd", **elements: Any) -> Path:
    """A series whose file names and instance numbers are in no order, tilted against the axes of the patient."""
    folder.mkdir(parents=True)
    row, column = np.array([0.8, 0.6, 0]), np.array([0, 0, -1.0])
    normal = np.cross(row, column)
    for number, (values, name) in enumerate(zip(pixels, names, strict=True)):
        position = np.array([1, 2, 3]) + 2.5 * number * normal
        dataset = make(values, bits=12, InstanceNumber=len(names) - number, SOPInstanceUID=f"1.2.3.4.{number + 1}")
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in position]
        dataset.ImageOrientationPatient = [*row, *column]
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        save(dataset, folder / f"{name}.dcm")
    return folder


def read_with_itk(folder: Path) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def make_segmentation(masks: dict[tuple[int, int], np.ndarray], affine: np.ndarray, **elements: Any) -> Any:
    """DICOM SEG of masks ``(rows, columns)`` by segment and slice."""
    frames = np.stack(list(masks.values())).astype(np.uint8)
    dataset = make(frames, SOPClassUID=uid.SegmentationStorage, SegmentationType="BINARY")
    dataset.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes() + b"\0" * (frames.size // 8 % 2)
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    measures.PixelSpacing = [spacing[1], spacing[0]]
    orientation.ImageOrientationPatient = [round(value, 6) for value in (affine[:3, :2] / spacing).T.ravel()]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for segment, index in masks:
        position, identity, group = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [round(value, 4) for value in (affine @ [0, 0, index, 1])[:3]]
        identity.ReferencedSegmentNumber = segment
        group.PlanePositionSequence, group.SegmentIdentificationSequence = [position], [identity]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset
